"""Which packets are a probe's, and which its reply's, whatever translated them on their way.

A gateway changes addresses and ports, never what a packet carries: the sequence number of a SYN, the payload of a datagram or of an echo request. So
every packet of the request is known by what it carries; a packet of the reply has the ends of some packet of the request, turned round.
Pure: captured frames in, the leg of any header out.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address

from testbed.observe.packets import ETHERNET_HEADER, LINK_RAW_IP, TCP_ACK, TCP_SYN, Frame, Header, header_of
from testbed.observe.probe import ECHO_REPLY, ECHO_REQUEST, Protocol, Sent

REQUEST, REPLY = "request", "reply"
NUMBERS = {Protocol.ICMP: 1, Protocol.TCP: 6, Protocol.UDP: 17}
UDP_HEADER = ICMP_HEADER = 8

Ends = tuple[IPv4Address, int, IPv4Address, int]


class ProbeFlow:
    """The probe's packets as they were seen. Without frames, only the ends that its sender chose are known."""

    def __init__(self, sent: Sent, frames: Iterable[Frame] = ()) -> None:
        self._protocol = NUMBERS[sent.protocol]
        self._requests: set[Ends] = {(sent.source, sent.source_port, sent.destination, 0 if sent.protocol is Protocol.ICMP else sent.destination_port)}
        carried = [(header, _carries(frame, header)) for frame in frames if (header := header_of(frame)) is not None and header.protocol == self._protocol]
        own = {what for header, what in carried if what is not None and ends(header) in self._requests}
        self._requests |= {ends(header) for header, what in carried if what in own}
        self._replies = {turned(request, self._protocol) for request in self._requests}

    def leg(self, header: Header | None) -> str:
        """Request or reply; empty for a packet of another flow."""
        if header is None or header.protocol != self._protocol:
            return ""
        if header.icmp_type == ECHO_REPLY:
            return REPLY if ends(header) in self._replies else ""
        if ends(header) in self._requests:
            return REQUEST
        return REPLY if ends(header) in self._replies else ""


def ends(header: Header) -> Ends:
    """Both ends of a packet, in its direction; an echo message's identifier stands for the source port."""
    return (header.source, header.source_port or header.identifier, header.destination, header.destination_port)


def turned(request: Ends, protocol: int) -> Ends:
    """The ends of the answer."""
    source, source_port, destination, destination_port = request
    if protocol == NUMBERS[Protocol.ICMP]:
        return (destination, source_port, source, 0)
    return (destination, destination_port, source, source_port)


def _carries(frame: Frame, header: Header) -> bytes | None:
    """What no gateway changes in a packet that begins a flow; None in others."""
    if header.protocol == NUMBERS[Protocol.TCP]:
        return header.sequence.to_bytes(4, "big") if header.tcp_flags & (TCP_SYN | TCP_ACK) == TCP_SYN else None
    packet = frame.data if frame.link_type == LINK_RAW_IP else frame.data[ETHERNET_HEADER:]
    body = packet[(packet[0] & 0xF) * 4 :]
    if header.protocol == NUMBERS[Protocol.UDP]:
        return body[UDP_HEADER:]
    return body[ICMP_HEADER:] if header.icmp_type == ECHO_REQUEST else None
