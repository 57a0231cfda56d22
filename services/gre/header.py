"""GRE as a Connect peer speaks it. Pure.

    outer IPv4 20 | flags and version 2 | protocol 2 = 0x0800 | inner IPv4 packet              24 bytes in front of a packet

    flags   C 0x8000  a checksum and two reserved bytes follow      K 0x2000  a key follows      S 0x1000  a sequence number follows
            0x4000 and bits 5-12 must be 0 (RFC 2784, 2.3)          version (the last three bits) 0

What is sent has no flags. What is received may have a checksum, which must be right; a key or a sequence number belongs to a tunnel that nobody has configured here (assumed of AWS: no page speaks of them).
Source: RFC 2784, RFC 2890; Transit Gateway guide, "Transit gateway Connect attachments and Transit Gateway Connect peers" (documented).
"""

from __future__ import annotations

import struct

PROTOCOL = 47
IPV4 = 0x0800
CHECKSUM, KEY, SEQUENCE = 0x8000, 0x2000, 0x1000
RESERVED = 0x4FF8
VERSION = 0x0007
SHORTEST_IPV4 = 20
HEADER = struct.pack("!HH", 0, IPV4)
_BASE = struct.Struct("!HH")


class Malformed(ValueError):
    """What is received is no packet of this tunnel; the message says why."""


def inner_packet(datagram: bytes) -> bytes:
    """The packet inside what a raw socket received, outer IPv4 header and all. Raises `Malformed`."""
    start = (datagram[0] & 0x0F) * 4 if datagram else 0
    carried = datagram[start:]
    if len(carried) < _BASE.size:
        raise Malformed("shorter than a GRE header")
    flags, protocol = _BASE.unpack_from(carried)
    if flags & VERSION:
        raise Malformed("GRE version not 0")
    if flags & RESERVED:
        raise Malformed("reserved bits are set")
    if flags & KEY:
        raise Malformed("has a key")
    if flags & SEQUENCE:
        raise Malformed("has a sequence number")
    if protocol != IPV4:
        raise Malformed("carries something other than IPv4")
    begins = _BASE.size
    if flags & CHECKSUM:
        begins += 4
        if len(carried) < begins:
            raise Malformed("shorter than a GRE header")
        if checksum(carried) != 0:
            raise Malformed("wrong checksum")
    return _checked(carried[begins:])


def checksum(data: bytes) -> int:
    """The internet checksum; of data that holds its own it is 0 (RFC 1071)."""
    total: int = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _checked(packet: bytes) -> bytes:
    """An inner packet that is one, without what may hang on behind it."""
    if len(packet) < SHORTEST_IPV4 or packet[0] >> 4 != 4 or (packet[0] & 0x0F) * 4 < SHORTEST_IPV4:
        raise Malformed("no IPv4 packet inside")
    length = int.from_bytes(packet[2:4])
    if not (packet[0] & 0x0F) * 4 <= length <= len(packet):
        raise Malformed("the inner packet is cut short")
    return packet[:length]
