"""What an appliance does with a datagram: send it back as it came, or drop it. Pure.

One-arm, as AWS's sample does: outer addresses swapped, both UDP ports as received, the GENEVE header replayed, the inner packet untouched. It goes back with an
outer TTL of its own. Signatures are looked for in one packet's payload at a time (a word cut in two by segments passes: no reassembly, like the sample).
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address

from services.gwlb.geneve import PORT, parse

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


def verdict(datagram: bytes, signatures: tuple[bytes, ...]) -> str | None:
    """None to send the datagram back, else why it is dropped: the signature it has, or what is wrong with its header."""
    try:
        _, inner = parse(datagram)
    except ValueError as error:
        return f"malformed: {error}"
    body = payload(datagram[inner:])
    return next((f"signature: {signature.decode(errors='replace')}" for signature in signatures if signature in body), None)


def returned(datagram: bytes, own: IPv4Address, balancer: str, port: int) -> bytes:
    """The IP packet that takes `datagram`, which came from `balancer`'s `port`, back."""
    length = _UDP.size + len(datagram)
    outer = _IPV4.pack(0x45, 0, _IPV4.size + length, 0, _DONT_FRAGMENT, OUTER_TTL, UDP, 0, own.packed, IPv4Address(balancer).packed)
    return outer + _UDP.pack(port, PORT, length, 0) + datagram
