"""802.1Q in the userspace wire: tags go on and come off, and the kernel's header with them."""

import os
import random
import struct

import pytest

from testbed.engine.line import VNET_HEADER_BYTES
from testbed.engine.trunk import NEEDS_CHECKSUM, TrunkLine, VlanEntry, tag_of, tagged, untagged

PLAIN = bytes(VNET_HEADER_BYTES) + bytes.fromhex("02000000000102000000000208004500") + b"payload"
TCP_WITH_CHECKSUM_TO_DO = struct.pack("=BBHHHH", NEEDS_CHECKSUM, 1, 54, 1448, 34, 16) + PLAIN[VNET_HEADER_BYTES:]


@pytest.mark.parametrize("frame", [PLAIN, TCP_WITH_CHECKSUM_TO_DO], ids=["plain", "segmentation offload"])
@pytest.mark.parametrize("tag", [1, 101, 4094])
def test_a_tag_goes_on_and_comes_off(frame, tag):
    assert tag_of(tagged(frame, tag)) == tag
    assert untagged(tagged(frame, tag)) == frame


def test_the_tag_is_between_addresses_and_type():
    assert tagged(PLAIN, 101)[VNET_HEADER_BYTES + 12 : VNET_HEADER_BYTES + 18].hex() == "810000650800"


def test_what_the_kernel_still_has_to_do_moves_with_the_headers():
    _, _, headers, _, start, offset = struct.unpack_from("=BBHHHH", tagged(TCP_WITH_CHECKSUM_TO_DO, 7))
    assert (headers, start, offset) == (58, 38, 16)


def test_a_frame_without_a_tag_has_none():
    assert tag_of(PLAIN) is None


@pytest.fixture
def pipes():
    made = [os.pipe2(os.O_NONBLOCK) for _ in range(3)]
    yield made
    for pair in made:
        for descriptor in pair:
            os.close(descriptor)


def test_a_frame_is_seen_on_both_ends_of_the_trunk_and_delivered_in_its_vlan_alone(pipes):
    (near_read, near_write), (far_read, far_write), (vlan_read, vlan_write) = pipes
    line = TrunkLine(near_write, far_write, random.Random(1))
    line.ends = {101: vlan_write}
    assert VlanEntry(99, 101, line).enter(PLAIN, now=0)
    line.deliver(now=0)
    assert os.read(near_read, 1000) == os.read(far_read, 1000) == tagged(PLAIN, 101)
    assert os.read(vlan_read, 1000) == PLAIN
    assert VlanEntry(99, 102, line).enter(PLAIN, now=0)
    line.deliver(now=0)
    with pytest.raises(BlockingIOError):
        os.read(vlan_read, 1000)


def test_a_trunk_that_is_down_carries_no_vlan(pipes):
    closed = os.open("/dev/null", os.O_RDONLY)
    try:
        line = TrunkLine(closed, pipes[1][1], random.Random(1))
        assert not VlanEntry(99, 101, line).enter(PLAIN, now=0)
        assert not line.held
    finally:
        os.close(closed)
