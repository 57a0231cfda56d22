"""The oracle: asks `packet_walk` for a probe's packet, then for its reply, and says what became of both.

It never looks at resolve's effective routes, memberships or ACL choices: it follows the raw resources, so that a mistake there is seen
as a difference between kernel and oracle. It takes resolve's addresses, which are free choices and no AWS behaviour.
"""

from __future__ import annotations

from testbed.model.values import Packet, Protocol
from testbed.oracle.packet_walk import Arrival, Memory, PacketWalk
from testbed.oracle.places import Place, Places
from testbed.oracle.walk import ECHO_REQUEST, Leg, Path, Probe, Walk, reply_to
from testbed.resolve.resolved import Resolved

DEFAULT_SOURCE_PORT = 40000


class Oracle:
    """What AWS does with packets in one topology. Building it indexes the topology; a walk is cheap."""

    def __init__(self, resolved: Resolved) -> None:
        self._places = Places(resolved)

    def walk(self, probe: Probe) -> Walk:
        """The fate of the probe's packet and, if it asks for an answer and arrives, of the reply.

        Raises:
            LookupError: the probe's source is no place of this topology.
        """
        sender = self._places.sender(probe.source, probe.destination)
        packet = _first_packet(probe, sender)
        memory = Memory()
        request = PacketWalk(self._places, Leg.REQUEST, memory, probe.nat_source_port)
        arrival = request.walk(sender, packet)
        reply = None if arrival is None or not _asks_for_reply(packet) else self._reply(probe, sender, packet, arrival, memory)
        return Walk(probe=probe, request=request.path(arrival), reply=reply)

    def _reply(self, probe: Probe, sender: Place, packet: Packet, arrival: Arrival, memory: Memory) -> Path:
        reply = PacketWalk(self._places, Leg.REPLY, memory, probe.nat_source_port)
        answer = reply_to(arrival.packet)
        if arrival.at_once:
            return reply.back_at_once(sender, answer)
        back = reply.walk(arrival.place, answer)
        if back is not None and (back.place is not sender or back.packet != reply_to(packet)):
            reply.refuse(sender.node, back.packet, f"{sender.node}: waits for {reply_to(packet).source}, not {back.packet.source}")
            back = None
        return reply.path(back)


def _first_packet(probe: Probe, sender: Place) -> Packet:
    if probe.protocol is Protocol.ICMP:
        icmp_type = ECHO_REQUEST if probe.icmp_type is None else probe.icmp_type
        return Packet(source=sender.address, destination=probe.destination, protocol=probe.protocol, icmp_type=icmp_type, icmp_code=probe.icmp_code or 0)
    return Packet(
        source=sender.address,
        destination=probe.destination,
        protocol=probe.protocol,
        source_port=DEFAULT_SOURCE_PORT if probe.source_port is None else probe.source_port,
        destination_port=probe.destination_port,
    )


def _asks_for_reply(packet: Packet) -> bool:
    """TCP answers a SYN (or resets), a UDP peer is taken to answer, ICMP only to an echo request."""
    return packet.protocol is not Protocol.ICMP or packet.icmp_type == ECHO_REQUEST
