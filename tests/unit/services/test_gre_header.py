"""GRE headers: what is sent, and what of what is received is a packet of the tunnel (RFC 2784, RFC 2890)."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import GRE
from scapy.packet import Raw

from services.gre.header import HEADER, Malformed, inner_packet

INNER = bytes(IP(src="10.50.0.10", dst="10.1.1.10") / UDP(sport=1, dport=2) / Raw(b"hello"))
OUTER = IP(src="10.9.1.10", dst="172.31.255.1", proto=47)


def received(carried: bytes) -> bytes:
    return bytes(OUTER / Raw(carried))


def with_flags(flags: int, rest: bytes = b"", protocol: int = 0x0800) -> bytes:
    return received(struct.pack("!HH", flags, protocol) + rest + INNER)


def test_what_is_sent_is_scapys_plain_header():
    assert bytes(GRE(proto=0x0800)) == HEADER


def test_a_packet_comes_out_as_it_went_in():
    assert inner_packet(received(HEADER + INNER)) == INNER


def test_what_hangs_on_behind_the_inner_packet_is_cut_off():
    assert inner_packet(received(HEADER + INNER + b"padding")) == INNER


def test_options_of_the_outer_header_are_stepped_over():
    outer = IP(src="10.9.1.10", dst="172.31.255.1", proto=47, options=[b"\x01"] * 4)
    assert inner_packet(bytes(outer / Raw(HEADER + INNER))) == INNER


def test_a_right_checksum_passes():
    assert inner_packet(received(bytes(GRE(proto=0x0800, chksum_present=1) / Raw(INNER)))) == INNER


@pytest.mark.parametrize(
    ("datagram", "problem"),
    [
        (b"", "shorter than a GRE header"),
        (received(b"\0\0\x08"), "shorter than a GRE header"),
        (received(struct.pack("!HH", 0x8000, 0x0800) + b"\0"), "shorter than a GRE header"),
        (with_flags(0x0001), "version not 0"),
        (with_flags(0x4000), "reserved bits"),
        (with_flags(0x0008), "reserved bits"),
        (with_flags(0x2000, bytes(4)), "has a key"),
        (with_flags(0x1000, bytes(4)), "has a sequence number"),
        (with_flags(0, protocol=0x86DD), "other than IPv4"),
        (with_flags(0x8000, b"\xbe\xef\0\0"), "wrong checksum"),
        (received(HEADER + INNER[:19]), "no IPv4 packet inside"),
        (received(HEADER + b"\x60" + INNER[1:]), "no IPv4 packet inside"),
        (received(HEADER + b"\x44" + INNER[1:]), "no IPv4 packet inside"),
        (received(HEADER + INNER[:-1]), "cut short"),
        (received(HEADER + INNER[:2] + b"\0\x10" + INNER[4:]), "cut short"),
    ],
)
def test_what_is_not_right_is_refused_with_its_reason(datagram: bytes, problem: str):
    with pytest.raises(Malformed, match=problem):
        inner_packet(datagram)


@given(st.binary(max_size=200))
def test_junk_is_read_or_refused_and_nothing_else(carried: bytes):
    for datagram in (carried, received(carried), received(HEADER + carried)):
        try:
            found = inner_packet(datagram)
        except Malformed:
            continue
        assert found in datagram and found[0] >> 4 == 4
