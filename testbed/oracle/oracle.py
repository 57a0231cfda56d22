"""The oracle: asks `packet_walk` for a probe's packet, then for its reply, and says what became of both.

It never looks at resolve's effective routes, memberships or ACL choices: it follows the raw resources, so that a mistake there is seen
as a difference between kernel and oracle. It takes resolve's addresses, which are free choices and no AWS behaviour.
"""

from __future__ import annotations

import copy
from ipaddress import IPv4Address

from testbed.model.values import Packet, Protocol
from testbed.oracle.group_sets import without_groups
from testbed.oracle.hybrid_walk import Arrival
from testbed.oracle.memory import Memory
from testbed.oracle.packet_walk import PacketWalk
from testbed.oracle.path_mtu import Size
from testbed.oracle.places import Place, Places
from testbed.oracle.reach import Reach, reach
from testbed.oracle.remedy import Advice, advise
from testbed.oracle.walk import ECHO_REQUEST, Leg, Path, Probe, Walk, reply_to
from testbed.oracle.words import Words
from testbed.resolve.resolved import Resolved

DEFAULT_SOURCE_PORT = 40000


class Oracle:
    """What AWS does with packets in one topology. Building it indexes the topology; a walk is cheap."""

    def __init__(self, resolved: Resolved) -> None:
        self._places = Places(resolved)
        self._resolved = resolved
        self._words = Words(resolved.topology)

    def reach(self, protocol: str = "tcp", port: int | None = None, source_port: int = DEFAULT_SOURCE_PORT) -> Reach:
        """Who reaches whom with `protocol` (``tcp``, ``udp``, ``icmp``) on a port: all pairs of nodes."""
        chosen = Protocol[protocol.upper()]
        users = tuple(user.node for user in self._resolved.users)
        opened = copy.copy(self)
        opened._places = without_groups(self._places)
        return reach(self.walk, opened.walk, self._places, self._resolved.topology, users, chosen, None if chosen is Protocol.ICMP else port, source_port)

    def describe(self, origin: str, direction: str = "") -> str:
        """What a rule says (``tcp/5432 from sg-app``); empty for what is no written rule. `direction` is an ACL's."""
        return self._words.of(origin, direction)

    def advise(self, walk: Walk) -> Advice:
        """Why a packet is dropped, and what would let it pass; both empty where it is not."""
        return advise(walk, self._places)

    def ask(self, source: str, destination: IPv4Address, protocol: str, source_port: int, destination_port: int) -> Walk:
        """The walk of a probe as an observer sends it: `protocol` is ``tcp``, ``udp`` or ``icmp`` (an echo request). Raises LookupError."""
        if protocol == "icmp":
            return self.walk(Probe(source=source, destination=destination, protocol=Protocol.ICMP))
        return self.walk(Probe(source=source, destination=destination, protocol=Protocol[protocol.upper()], source_port=source_port, destination_port=destination_port))

    def walk(self, probe: Probe, memory: Memory | None = None) -> Walk:
        """The fate of the probe's packet and, if it asks for an answer and arrives, of the reply.

        With a `memory`, what earlier walks have left there is known, and what this one leaves is kept: the same probe again is the flow's next packet, and
        another topology's oracle with the same memory is a change of rules between two packets of one flow (see `memory`).

        Raises:
            LookupError: the probe's source is no place of this topology.
        """
        sender = self._places.sender(probe.source, probe.destination)
        packet = _first_packet(probe, sender)
        memory = Memory() if memory is None else memory
        request = PacketWalk(self._places, Leg.REQUEST, memory, probe.nat_source_port, Size(probe.length_bytes, dont_fragment=probe.dont_fragment))
        arrival = request.walk(sender, packet)
        reply = None if arrival is None or not _asks_for_reply(packet) else self._reply(probe, sender, packet, arrival, memory)
        return Walk(probe=probe, request=request.path(arrival), reply=reply)

    def _reply(self, probe: Probe, sender: Place, packet: Packet, arrival: Arrival, memory: Memory) -> Path:
        reply = PacketWalk(self._places, Leg.REPLY, memory, probe.nat_source_port, Size(probe.length_bytes if probe.protocol is Protocol.ICMP else 0))
        answer = reply_to(arrival.packet)
        if arrival.at_once:
            return reply.back_at_once(sender, answer)
        back = reply.walk(arrival.place, answer)
        if back is not None and (back.place is not sender or back.packet != reply_to(packet)):
            reply.refuse(sender.node, back.packet, f"{sender.node}: waits for {reply_to(packet).source}, not {back.packet.source}")
            back = None
        return reply.path(back)


def _first_packet(probe: Probe, sender: Place) -> Packet:
    own = sender.address if isinstance(probe.source, str) else probe.source
    source = own if probe.claimed_source is None else probe.claimed_source
    if probe.protocol is Protocol.ICMP:
        icmp_type = ECHO_REQUEST if probe.icmp_type is None else probe.icmp_type
        return Packet(source=source, destination=probe.destination, protocol=probe.protocol, icmp_type=icmp_type, icmp_code=probe.icmp_code or 0)
    return Packet(
        source=source,
        destination=probe.destination,
        protocol=probe.protocol,
        source_port=DEFAULT_SOURCE_PORT if probe.source_port is None else probe.source_port,
        destination_port=probe.destination_port,
    )


def _asks_for_reply(packet: Packet) -> bool:
    """TCP answers a SYN (or resets), a UDP peer is taken to answer, ICMP only to an echo request."""
    return packet.protocol is not Protocol.ICMP or packet.icmp_type == ECHO_REQUEST
