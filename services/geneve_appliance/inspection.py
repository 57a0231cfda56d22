"""What an appliance does with a datagram: send it back as it came, or drop it. Pure.

One-arm, as AWS's sample does: outer addresses swapped, both UDP ports as received, the GENEVE header replayed, the inner packet untouched. It goes back with an
outer TTL of its own. Signatures are looked for in one packet's payload at a time (a word cut in two by segments passes: no reassembly, like the sample).
"""

from __future__ import annotations

import struct
from functools import lru_cache
from ipaddress import IPv4Address

from services.gwlb.geneve import PORT, header_length, parse

TCP, UDP = 6, 17
OUTER_TTL = 64
_IPV4 = struct.Struct("!BBHHHBBH4s4s")
_UDP = struct.Struct("!HHHH")
_DONT_FRAGMENT = 0x4000


def payload(packet: bytes) -> bytes:
    """The TCP or UDP payload of an inner IPv4 packet; empty where there is none, or it is cut short."""
    if len(packet) < 20 or packet[0] >> 4 != 4:
        return b""
    header = (packet[0] & 0xF) * 4
    if packet[9] == UDP:
        return packet[header + 8 :]
    if packet[9] == TCP and len(packet) >= header + 13:
        return packet[header + (packet[header + 12] >> 4) * 4 :]
    return b""


@lru_cache(maxsize=4096)
def _inner(header: bytes) -> int:
    """Where the inner packet begins: a flow has one header, which is looked at once. Raises ValueError."""
    return parse(header)[1]


@lru_cache(maxsize=1024)
def _packed(address: str) -> bytes:
    return IPv4Address(address).packed


def verdict(datagram: bytes, signatures: tuple[bytes, ...]) -> str | None:
    """None to send the datagram back, else why it is dropped: the signature it has, or what is wrong with its header."""
    try:
        inner = _inner(datagram[: header_length(datagram)])
    except ValueError as error:
        return f"malformed: {error}"
    body = payload(datagram[inner:])
    return next((f"signature: {signature.decode(errors='replace')}" for signature in signatures if signature in body), None)


def outer(datagram_bytes: int, own: IPv4Address, balancer: str, port: int) -> bytes:
    """What goes in front of a datagram that came from `balancer`'s `port`, to take it back: IP and UDP."""
    length = _UDP.size + datagram_bytes
    header = _IPV4.pack(0x45, 0, _IPV4.size + length, 0, _DONT_FRAGMENT, OUTER_TTL, UDP, 0, own.packed, _packed(balancer))
    return header + _UDP.pack(port, PORT, length, 0)
