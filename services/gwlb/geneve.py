"""GENEVE as a Gateway Load Balancer speaks it. Pure.

    outer IPv4 20 | UDP 8, destination 6081 | base 8 | options 32 | inner packet                     68 bytes in front of a packet

    base      version 0, options' length 8 (words), no flags, protocol 0x0800 (IPv4) or 0x86DD (IPv6), VNI 0
    option 1  class 0x0108, type 1, 8 bytes   the endpoint's network interface
    option 2  class 0x0108, type 2, 8 bytes   the attachment, as customers see it
    option 3  class 0x0108, type 3, 4 bytes   the flow's cookie; an appliance sends it back as it came

Source: RFC 8926; the appliance sample published by AWS ("aws-gateway-load-balancer-tunnel-handler": classes, types, lengths, both protocols; confirmed); "Gateway Load
Balancers" (68 bytes; documented). Assumed: a VNI of 0, this order of options.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

PORT = 6081
IPV4, IPV6 = 0x0800, 0x86DD
HEADER_BYTES = 40
OVERHEAD_BYTES = 20 + 8 + HEADER_BYTES
CLASS = 0x0108
INTERFACE, ATTACHMENT, COOKIE = 1, 2, 3
_LENGTHS = {INTERFACE: 8, ATTACHMENT: 8, COOKIE: 4}
_BASE = struct.Struct("!BBHI")
_OPTION = struct.Struct("!HBB")
_VERSION_SHIFT, _OPTIONS_MASK, _OAM = 6, 0x3F, 0x80


@dataclass(frozen=True, slots=True)
class Header:
    """What a header says: numbers of 64, 64 and 32 bits, and the inner packet's ethertype."""

    interface: int
    attachment: int
    cookie: int
    protocol: int = IPV4


def header_bytes(header: Header) -> bytes:
    """The 40 bytes between UDP and the inner packet."""
    return b"".join((
        _BASE.pack((HEADER_BYTES - _BASE.size) // 4, 0, header.protocol, 0),
        _OPTION.pack(CLASS, INTERFACE, 2) + header.interface.to_bytes(8),
        _OPTION.pack(CLASS, ATTACHMENT, 2) + header.attachment.to_bytes(8),
        _OPTION.pack(CLASS, COOKIE, 1) + header.cookie.to_bytes(4),
    ))  # fmt: skip


def header_length(datagram: bytes) -> int:
    """How long a UDP payload says that its header is, options included; the payload may be shorter."""
    return _BASE.size + (datagram[0] & _OPTIONS_MASK) * 4 if datagram else _BASE.size


def parse(datagram: bytes) -> tuple[Header, int]:
    """The header of a UDP payload, in whatever order its options are, and where the inner packet begins. Raises ValueError saying what is wrong:
    anything that is not version 0, is cut short, carries an unknown critical option, or lacks one of the three."""
    if len(datagram) < _BASE.size:
        raise ValueError("shorter than a GENEVE header")
    first, flags, protocol, _ = _BASE.unpack_from(datagram)
    if first >> _VERSION_SHIFT:
        raise ValueError(f"GENEVE version {first >> _VERSION_SHIFT}")
    if flags & _OAM:
        raise ValueError("a control packet")
    if protocol not in (IPV4, IPV6):
        raise ValueError(f"protocol {protocol:#06x} inside")
    end = _BASE.size + (first & _OPTIONS_MASK) * 4
    if len(datagram) < end:
        raise ValueError("options are cut short")
    values = _options(datagram[_BASE.size : end])
    if len(values) < len(_LENGTHS):
        raise ValueError(f"options of type {sorted(_LENGTHS.keys() - values.keys())} are missing")
    return Header(values[INTERFACE], values[ATTACHMENT], values[COOKIE], protocol), end


def _options(options: bytes) -> dict[int, int]:
    values: dict[int, int] = {}
    at = 0
    while at < len(options):
        option_class, kind, words = _OPTION.unpack_from(options, at)
        length = (words & 0x1F) * 4
        at += _OPTION.size
        if at + length > len(options):
            raise ValueError("an option is cut short")
        if option_class == CLASS and kind in _LENGTHS:
            if length != _LENGTHS[kind]:
                raise ValueError(f"an option of type {kind} with {length} bytes")
            if kind in values:
                raise ValueError(f"two options of type {kind}")
            values[kind] = int.from_bytes(options[at : at + length])
        elif kind & 0x80:
            raise ValueError(f"unknown critical option {option_class:#06x}/{kind:#04x}")
        at += length
    return values
