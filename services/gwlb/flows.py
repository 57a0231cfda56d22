"""Which appliance a packet goes to: the flows of one endpoint. Pure: time, chance and the choice of an appliance are given.

    packet ─▶ its key (5-, 3- or 2-tuple, the same in both directions) ─▶ known: its flow ─┬─ idle too long: a TCP SYN begins anew, other TCP is dropped
                                                                       └▶ new ─▶ choose  └─ else: that appliance, whatever its health

A flow keeps its appliance when that fails (`rebalance` moves it). Both directions share one cookie (assumed), and an appliance's answer is known by it.
A reply whose first packet never came this way is dropped where it is TCP: only a SYN begins a TCP flow. That packets without ports (ICMP, all fragments but
the first) are flows of addresses and protocol is assumed.
Source: Elastic Load Balancing, "Gateway Load Balancers", "Target groups for your GWLBs" (documented).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

from services.gwlb.config import Stickiness
from services.gwlb.geneve import HEADER_BYTES, IPV4, Header, header_bytes

TCP, UDP = 6, 17
_WITH_PORTS = frozenset({TCP, UDP})
_SYN, _ACK = 0x02, 0x10
COOKIE_AT = HEADER_BYTES - 4
OUTER_PORTS = 8
"""So many outer source ports spread flows over the appliance's queues."""

Choose = Callable[[int], str | None]
"""The appliance for a flow with this hash; None if none is registered."""


class Flow:
    """One flow. `header` goes in front of its packets; `sender`, `tun` (descriptors) and `place` (the appliance's address and
    port, from which answers come) are the server's, set when the flow is first used."""

    __slots__ = ("appliance", "hash", "header", "key", "known_as", "last", "outer_port", "place", "protocol", "sender", "tun")

    def __init__(self, key: bytes, appliance: str, header: bytes, flow_hash: int, protocol: int, now: float) -> None:
        self.key = key
        self.known_as: list[bytes] = []
        self.appliance = appliance
        self.header = header
        self.hash = flow_hash
        self.outer_port = flow_hash % OUTER_PORTS
        self.protocol = protocol
        self.last = now
        self.sender = self.tun = -1
        self.place: tuple[str, int] | None = None


class FlowTable:
    """The flows of one endpoint, whose numbers are in every header. `cookies` has the flows of all of a node's endpoints, by their header's last bytes."""

    def __init__(self, interface: int, attachment: int, cookies: dict[bytes, Flow], *, stickiness: Stickiness, tcp_idle_s: float, other_idle_s: float, choose: Choose, random_bits: Callable[[int], int]) -> None:
        self._cookies = cookies
        self.known: dict[bytes, Flow] = {}
        """By protocol, addresses and ports as they are in a packet without options; the fast way, for packets whose flow is not idle."""
        self._flows: dict[bytes, Flow] = {}
        self._interface, self._attachment = interface, attachment
        self._stickiness = stickiness
        self._tcp_idle_s, self._other_idle_s = tcp_idle_s, other_idle_s
        self._choose = choose
        self._random_bits = random_bits

    def idle_after(self, flow: Flow) -> float:
        """Seconds after which a silent flow is over."""
        return self._tcp_idle_s if flow.protocol == TCP and self._stickiness is Stickiness.FIVE_TUPLE else self._other_idle_s

    def find(self, packet: bytes, now: float) -> Flow | None:
        """The flow of an IPv4 packet, begun if it may begin one; None to drop it."""
        if len(packet) < 20 or packet[0] >> 4 != 4 or (header := (packet[0] & 0xF) * 4) < 20 or len(packet) < header:
            return None
        key = self._key(packet, header)
        flow = self._flows.get(key)
        if flow is None or now - flow.last > self.idle_after(flow):
            if flow is not None:
                self.forget(flow)
            flow = self._begin(packet, header, key, now)
            if flow is None:
                return None
        flow.last = now
        if header == 20 and packet[9] in _WITH_PORTS and not _is_fragment(packet):
            as_it_is = packet[9:10] + packet[12:24]
            self.known[as_it_is] = flow
            flow.known_as.append(as_it_is)
        return flow

    def forget(self, flow: Flow) -> None:
        """The flow is over."""
        del self._flows[flow.key], self._cookies[flow.header[COOKIE_AT:]]
        for as_it_is in flow.known_as:
            self.known.pop(as_it_is, None)

    def expire(self, now: float) -> tuple[Flow, ...]:
        """Forget the flows that are idle too long; returns them."""
        over = tuple(flow for flow in self._flows.values() if now - flow.last > self.idle_after(flow))
        for flow in over:
            self.forget(flow)
        return over

    def rebalance(self, usable: frozenset[str]) -> None:
        """Move the flows of other appliances than `usable` to these."""
        for flow in [flow for flow in self._flows.values() if flow.appliance not in usable]:
            appliance = self._choose(flow.hash)
            if appliance is not None:
                flow.appliance, flow.sender = appliance, -1

    def _begin(self, packet: bytes, header: int, key: bytes, now: float) -> Flow | None:
        if packet[9] == TCP and self._stickiness is Stickiness.FIVE_TUPLE and not _is_fragment(packet) and not _begins_tcp(packet, header):
            return None
        flow_hash = zlib.crc32(key)
        appliance = self._choose(flow_hash)
        if appliance is None:
            return None
        header_of_flow = header_bytes(Header(self._interface, self._attachment, self._new_cookie(), IPV4))
        flow = Flow(key, appliance, header_of_flow, flow_hash, packet[9], now)
        self._flows[key] = self._cookies[header_of_flow[COOKIE_AT:]] = flow
        return flow

    def _new_cookie(self) -> int:
        while (cookie := self._random_bits(32)).to_bytes(4) in self._cookies:
            pass
        return cookie

    def _key(self, packet: bytes, header: int) -> bytes:
        """What makes the packet's flow, the same for both directions: the ends in order."""
        protocol, source, destination = packet[9:10], packet[12:16], packet[16:20]
        if self._stickiness is Stickiness.TWO_TUPLE:
            protocol = b""
        elif self._stickiness is Stickiness.FIVE_TUPLE and packet[9] in _WITH_PORTS and not _is_fragment(packet) and len(packet) >= header + 4:
            source, destination = source + packet[header : header + 2], destination + packet[header + 2 : header + 4]
        return protocol + min(source, destination) + max(source, destination)


def _is_fragment(packet: bytes) -> bool:
    """A part of a packet, the first one included: its flow is that of the others, which have no ports."""
    return bool(packet[6] & 0x3F or packet[7])


def _begins_tcp(packet: bytes, header: int) -> bool:
    return len(packet) >= header + 14 and packet[header + 13] & (_SYN | _ACK) == _SYN
