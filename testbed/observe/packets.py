"""A captured frame, and the little of it that observing needs to read quickly: the IPv4 flow it belongs to.

Whoever wants every header takes scapy (`capture.Capture.packets`); these lines read addresses and ports of thousands of frames without it.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass, field
from ipaddress import IPv4Address

ETHERNET_HEADER = 14
ETHERTYPE_IPV4 = 0x0800
LINK_ETHERNET = 1
LINK_RAW_IP = 101
OUTGOING = 4
"""sockaddr_ll's packet type of a frame that this host sends."""
ECHO = (0, 8)
TCP_FIN, TCP_SYN, TCP_RST, TCP_ACK = 0x01, 0x02, 0x04, 0x10


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One frame seen at `interface` of `node`, at the kernel's `time_ns` since the epoch. `data` may be cut; `length_bytes` is what was on the wire."""

    time_ns: int
    node: str
    interface: str
    outgoing: bool
    data: bytes
    length_bytes: int
    link_type: int = LINK_ETHERNET

    @property
    def where(self) -> str:
        """``node/interface``, as captures name it."""
        return f"{self.node}/{self.interface}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Addresses and ports of one IPv4 packet (ports 0 where it has none); `payload_bytes` beyond the TCP or UDP header.

    `sequence` is TCP's, `identifier` an echo message's; neither counts when headers are compared.
    """

    source: IPv4Address
    destination: IPv4Address
    protocol: int
    source_port: int = 0
    destination_port: int = 0
    tcp_flags: int = 0
    payload_bytes: int = 0
    sequence: int = field(default=0, compare=False)
    icmp_type: int | None = field(default=None, compare=False)
    identifier: int = field(default=0, compare=False)

    @property
    def sender(self) -> str:
        return f"{self.source}:{self.source_port}"

    @property
    def receiver(self) -> str:
        return f"{self.destination}:{self.destination_port}"

    @property
    def ends(self) -> frozenset[str]:
        """Both ends, without direction: equal for a request and its reply."""
        return frozenset((self.sender, self.receiver))

    def __str__(self) -> str:
        return f"{self.sender} -> {self.receiver}" if self.source_port else f"{self.source} -> {self.destination}"


def header_of(frame: Frame) -> Header | None:
    """The IPv4 header of `frame`, None if it has none."""
    if frame.link_type == LINK_RAW_IP:
        return read_header(frame.data)
    if len(frame.data) < ETHERNET_HEADER or struct.unpack_from("!H", frame.data, 12)[0] != ETHERTYPE_IPV4:
        return None
    return read_header(frame.data[ETHERNET_HEADER:])


def read_header(packet: bytes, transport: bytes | None = None) -> Header | None:
    """The header of an IPv4 packet; `transport` where it is kept apart (nftables traces). None if it is not IPv4 or too short."""
    if len(packet) < 20 or packet[0] >> 4 != 4:
        return None
    header_bytes = (packet[0] & 0xF) * 4
    total_bytes = struct.unpack_from("!H", packet, 2)[0]
    protocol = packet[9]
    source, destination = IPv4Address(packet[12:16]), IPv4Address(packet[16:20])
    body = packet[header_bytes:] if transport is None else transport
    is_later_fragment = struct.unpack_from("!H", packet, 6)[0] & 0x1FFF
    if protocol == socket.IPPROTO_ICMP and not is_later_fragment and len(body) >= 8:
        identifier = struct.unpack_from("!H", body, 4)[0] if body[0] in ECHO else 0
        return Header(source=source, destination=destination, protocol=protocol, icmp_type=body[0], identifier=identifier)
    if is_later_fragment or protocol not in (socket.IPPROTO_TCP, socket.IPPROTO_UDP) or len(body) < 8:
        return Header(source=source, destination=destination, protocol=protocol)
    source_port, destination_port = struct.unpack_from("!HH", body)
    flags, transport_bytes, sequence = 0, 8, 0
    if protocol == socket.IPPROTO_TCP and len(body) >= 14:
        flags, transport_bytes, sequence = body[13], (body[12] >> 4) * 4, struct.unpack_from("!I", body, 4)[0]
    return Header(
        source=source, destination=destination, protocol=protocol, source_port=source_port, destination_port=destination_port,
        tcp_flags=flags, payload_bytes=max(0, total_bytes - header_bytes - transport_bytes), sequence=sequence,
    )
