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
    """One flow: over once it is later than `until`, `idle_s` after its last packet. `header` goes in front of its packets; `sender`, `hearer` (sockets' descriptors, to the appliance and
    from it) and `tun` are the server's, set when the flow is first used."""

    __slots__ = ("appliance", "hash", "header", "hearer", "idle_s", "key", "known_as", "outer_port", "sender", "tun", "until")

    def __init__(self, key: bytes, appliance: str, header: bytes, flow_hash: int, idle_s: float) -> None:
        self.key = key
        self.known_as: list[tuple[dict[bytes, Flow], bytes]] = []
        self.appliance = appliance
        self.header = header
        self.hash = flow_hash
        self.outer_port = flow_hash % OUTER_PORTS
        self.idle_s = idle_s
        self.until = 0.0
        self.sender = self.hearer = self.tun = -1


class FlowTable:
    """The flows of one endpoint, whose numbers are in every header. `headers` has the flows of all of a node's endpoints, by their header."""

    def __init__(self, interface: int, attachment: int, headers: dict[bytes, Flow], *, stickiness: Stickiness, tcp_idle_s: float, other_idle_s: float, choose: Choose, random_bits: Callable[[int], int]) -> None:
        self._headers = headers
        self.known: dict[int, dict[bytes, Flow]] = {TCP: {}, UDP: {}}
        """By protocol, then by addresses and ports as they are in a packet without options; the fast way, for packets whose flow is not idle."""
        self._flows: dict[bytes, Flow] = {}
        self._interface, self._attachment = interface, attachment
        self._stickiness = stickiness
        self._tcp_idle_s, self._other_idle_s = tcp_idle_s, other_idle_s
        self._choose = choose
        self._random_bits = random_bits

    def _idle_after(self, protocol: int) -> float:
        return self._tcp_idle_s if protocol == TCP and self._stickiness is Stickiness.FIVE_TUPLE else self._other_idle_s

    def find(self, packet: bytes, now: float) -> Flow | None:
        """The flow of an IPv4 packet, begun if it may begin one; None to drop it."""
        if len(packet) < 20 or packet[0] >> 4 != 4 or (header := (packet[0] & 0xF) * 4) < 20 or len(packet) < header:
            return None
        key = self._key(packet, header)
        flow = self._flows.get(key)
        if flow is None or now > flow.until:
            if flow is not None:
                self.forget(flow)
            flow = self._begin(packet, header, key)
            if flow is None:
                return None
        flow.until = now + flow.idle_s
        if header == 20 and packet[9] in _WITH_PORTS and not _is_fragment(packet):
            known, as_it_is = self.known[packet[9]], packet[12:24]
            if known.get(as_it_is) is not flow:
                known[as_it_is] = flow
                flow.known_as.append((known, as_it_is))
        return flow

    def forget(self, flow: Flow) -> None:
        """The flow is over."""
        del self._flows[flow.key], self._headers[flow.header]
        for known, as_it_is in flow.known_as:
            known.pop(as_it_is, None)

    def forget_all(self) -> None:
        """Every flow is over."""
        for flow in tuple(self._flows.values()):
            self.forget(flow)

    def expire(self, now: float) -> tuple[Flow, ...]:
        """Forget the flows that are idle too long; returns them."""
        over = tuple(flow for flow in self._flows.values() if now > flow.until)
        for flow in over:
            self.forget(flow)
        return over

    def rebalance(self, usable: frozenset[str]) -> None:
        """Move the flows of other appliances than `usable` to these."""
        for flow in [flow for flow in self._flows.values() if flow.appliance not in usable]:
            appliance = self._choose(flow.hash)
            if appliance is not None:
                flow.appliance, flow.sender = appliance, -1

    def _begin(self, packet: bytes, header: int, key: bytes) -> Flow | None:
        if packet[9] == TCP and self._stickiness is Stickiness.FIVE_TUPLE and not _is_fragment(packet) and not _begins_tcp(packet, header):
            return None
        flow_hash = zlib.crc32(key)
        appliance = self._choose(flow_hash)
        if appliance is None:
            return None
        own = self._new_header()
        self._flows[key] = self._headers[own] = flow = Flow(key, appliance, own, flow_hash, self._idle_after(packet[9]))
        return flow

    def _new_header(self) -> bytes:
        while (header := header_bytes(Header(self._interface, self._attachment, self._random_bits(32), IPV4))) in self._headers:
            pass
        return header

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
