"""802.1Q in the userspace wire, where the kernel has no VLAN devices: one fibre, and at each of its ends a TAP for each VLAN.

    VLAN's TAP ─► tag ─┬─► the fibre's Line (delay, loss, rate: shared by all VLANs) ─┬─► untag ─► VLAN's TAP
                       └─► copy to the near end of the trunk                          └─► copy to the far end of the trunk

A capture on either end of the trunk sees every frame of the fibre, both ways, with its tag; the kernel itself takes no notice of what it sees there (a tag that no device of the
namespace has means another host). Frames that are sent on the trunk itself pass without a tag.
Source: IEEE 802.1Q, 9.6 (tag format); Linux, include/uapi/linux/virtio_net.h (documented). NOT MODELLED: priority bits, nested tags.
"""

from __future__ import annotations

import os
import random
import struct

from testbed.engine.line import VNET_HEADER_BYTES, Line

MAC_ADDRESSES_BYTES = 12
TAG_BYTES = 4
TAG_AT = VNET_HEADER_BYTES + MAC_ADDRESSES_BYTES
TAG_PROTOCOL = b"\x81\x00"
VLAN_ID_MASK = 0xFFF
NEEDS_CHECKSUM = 1
_VNET_HEADER = struct.Struct("=BBHHHH")
"""Flags, kind of segmentation, length of headers, segment size, where the checksum starts, where it goes."""


def tagged(frame: bytes, tag: int) -> bytes:
    """The frame with an 802.1Q tag, its virtio header mended."""
    return _moved(frame, TAG_BYTES) + frame[VNET_HEADER_BYTES:TAG_AT] + TAG_PROTOCOL + tag.to_bytes(2, "big") + frame[TAG_AT:]


def untagged(frame: bytes) -> bytes:
    """The frame without its tag."""
    return _moved(frame, -TAG_BYTES) + frame[VNET_HEADER_BYTES:TAG_AT] + frame[TAG_AT + TAG_BYTES :]


def tag_of(frame: bytes) -> int | None:
    """The VLAN of a frame; None if it has no tag."""
    if frame[TAG_AT : TAG_AT + 2] != TAG_PROTOCOL:
        return None
    return int.from_bytes(frame[TAG_AT + 2 : TAG_AT + TAG_BYTES], "big") & VLAN_ID_MASK


def _moved(frame: bytes, by: int) -> bytes:
    flags, segmentation, headers, size, start, offset = _VNET_HEADER.unpack_from(frame)
    return _VNET_HEADER.pack(flags, segmentation, headers + by if headers else 0, size, start + by if flags & NEEDS_CHECKSUM else start, offset)


class TrunkLine(Line):
    """One direction of a fibre with VLANs: `ends` are the descriptors of the VLANs' TAPs at its far end, by tag."""

    __slots__ = ("ends", "vlan_feeds")

    def __init__(self, source: int, target: int, rng: random.Random) -> None:
        super().__init__(source, target, rng)
        self.ends: dict[int, int] = {}
        self.vlan_feeds: list[int] = []

    @property
    def feeds(self) -> tuple[int, ...]:
        """The descriptors from which frames enter: the trunk's own, and those of the VLANs' TAPs at the near end."""
        return (self.source, *self.vlan_feeds)

    def write(self, frame: bytes) -> None:
        """Hand a frame to the far end: to the trunk, and to the VLAN that it belongs to."""
        super().write(frame)
        tag = tag_of(frame)
        end = None if tag is None else self.ends.get(tag)
        if end is None:
            return
        try:
            os.write(end, untagged(frame))
        except OSError:
            self.dropped += 1


class VlanEntry:
    """Where frames of one VLAN enter one direction of a fibre: they are read from `source`, a TAP, and shown to the near end of the trunk."""

    __slots__ = ("line", "source", "tag")

    def __init__(self, source: int, tag: int, line: TrunkLine) -> None:
        self.source, self.tag, self.line = source, tag, line

    def enter(self, frame: bytes, now: int) -> bool:
        """Take a frame that arrived at `now`; False if it is lost on the fibre."""
        whole = tagged(frame, self.tag)
        try:
            os.write(self.line.source, whole)
        except OSError:
            self.line.dropped += 1  # the trunk is down, as a cut fibre is
            return False
        return self.line.enter(whole, now)
