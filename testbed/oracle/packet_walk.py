"""The walk of one packet through VPCs and the internet, in AWS's order.

    guest ─▶ services of the fabric? ─▶ groups out ─▶ own subnet? ──────────────────────────────▶ groups in ─▶ guest
                                                         │ no                                        ▲
                                                         ▼                                           │
                                           ACL out ─▶ route table ─┬─ local ─────────▶ ACL in ───────┤
                                                                   ├─ NAT gateway ─▶ ACL in ─▶ translated, on from the gateway's own subnet
                                                                   ├─ interface ─────▶ ACL in, destination check
                                                                   └─ internet gateway ─▶ 1:1 swap ─▶ internet ─▶ 1:1 swap ─▶ ACL in

A `Memory` outlives a packet: which flows an interface has admitted, what a NAT gateway has translated. ACLs and routes remember nothing.
A network ACL is asked only where a subnet's border is crossed. Packets are whole: fragments have been reassembled (assumed).
Source: VPC user guide, "Network ACLs", "Security group rules", "Configure route tables", "Internet gateways", "NAT gateway basics" (documented);
the order of the hops is derived from these. A public address that is used from inside its own VPC goes out to the internet gateway and back (assumed).
NOT MODELLED: a guest that forwards for others; spoofed sources (the source check drops them).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from testbed.model.network_acl import Direction
from testbed.model.route_table import Route
from testbed.model.security_group import Flow, evaluate
from testbed.model.values import Packet, Protocol, Verdict
from testbed.oracle.places import InterfacePlace, InternetPlace, Place, Places
from testbed.oracle.route_selection import select, target_of
from testbed.oracle.services import service_at
from testbed.oracle.walk import Hop, Leg, Outcome, Path, Stage, reply_to


@dataclass(slots=True)
class Memory:
    """State of flows, by the packet that continues them."""

    admitted: dict[tuple[str, Packet], str] = field(default_factory=dict)
    """(interface, packet that is part of a flow it has admitted) → the rule that admitted it."""
    translated: dict[tuple[str, Packet], Packet] = field(default_factory=dict)
    """(NAT gateway's interface, packet coming back) → that packet for the inside host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """Where a packet ended, as its receiver sees it. `at_once`: nothing lies between, so nothing judges the answer either
    (a service of the fabric, or oneself)."""

    place: Place
    packet: Packet
    at_once: bool = False


class PacketWalk:
    """One packet on its way; `walk` may be called once."""

    def __init__(self, places: Places, leg: Leg, memory: Memory, nat_source_port: int) -> None:
        self._places = places
        self._leg = leg
        self._memory = memory
        self._nat_source_port = nat_source_port
        self._hops: list[Hop] = []
        self._gateways_passed: set[str] = set()

    def walk(self, sender: Place, packet: Packet) -> Arrival | None:
        """Where the packet arrives, or None if it is dropped on the way."""
        if isinstance(sender, InternetPlace):
            if packet.destination == sender.address:
                self._hop(sender.node, Stage.HOST, f"{sender.node} itself", packet)
                return Arrival(place=sender, packet=packet, at_once=True)
            return self._internet(packet)
        return self._leave_guest(sender, packet)

    def path(self, arrival: Arrival | None) -> Path:
        """The hops so far, with the outcome that the arrival says."""
        return Path(leg=self._leg, hops=tuple(self._hops), outcome=Outcome.DROPPED if arrival is None else Outcome.DELIVERED)

    def back_at_once(self, sender: Place, packet: Packet) -> Path:
        """The answer of the fabric's own services, or of oneself: nothing judges it."""
        self._hop(sender.node, Stage.HOST, f"{sender.node} hears it at once", packet)
        return self.path(Arrival(place=sender, packet=packet))

    def refuse(self, where: str, packet: Packet, origin: str) -> None:
        """A receiver's own guest ignores the packet."""
        self._drop(where, Stage.HOST, packet, origin)

    def _leave_guest(self, place: InterfacePlace, packet: Packet) -> Arrival | None:
        if any(own.address == packet.destination for own in self._places.by_node[place.node]):
            self._hop(place.node, Stage.HOST, f"{place.node} itself", packet)
            return Arrival(place=place, packet=packet, at_once=True)
        if (service := service_at(packet.destination, place.vpc)) is not None:
            if not service.answers(packet):
                return self._drop(place.vpc.id, Stage.SERVICE, packet, f"{service.name}: nothing answers here")
            self._hop(place.vpc.id, Stage.SERVICE, service.name, packet)
            return Arrival(place=place, packet=packet, at_once=True)
        if not self._passes_groups(place, packet, Flow.EGRESS):
            return None
        return self._leave_interface(place, packet)

    def _leave_interface(self, place: InterfacePlace, packet: Packet) -> Arrival | None:
        """Past the sender's groups (a NAT gateway has none): within the subnet, or over its border by its route table."""
        if packet.destination in place.subnet.cidr_block:
            return self._to_address(packet, place, came_from=place.subnet.id)
        if not self._passes_acl(place, packet, Direction.OUTBOUND):
            return None
        selected = select(place.route_table, place.vpc, packet.destination)
        if selected is None:
            return self._drop(place.route_table.id, Stage.ROUTE, packet, f"{place.route_table.id}: no route to {packet.destination}")
        self._hop(place.route_table.id, Stage.ROUTE, selected.origin, packet)
        if selected.route is None:
            return self._to_address(packet, place, came_from=place.subnet.id)
        return self._to_target(selected.route, packet, place)

    def _to_target(self, route: Route, packet: Packet, sender: InterfacePlace) -> Arrival | None:
        if route.gateway_id is not None:
            return self._out_of_internet_gateway(route.gateway_id, packet, sender)
        interface_id = route.network_interface_id or f"eni-{route.nat_gateway_id or route.instance_id}"
        target = self._places.by_interface.get(interface_id)
        if target is None:
            return self._drop(sender.route_table.id, Stage.ROUTE, packet, f"{sender.route_table.id} {route.destination_cidr_block} -> {target_of(route)} (blackhole)")
        return self._enter(target, packet, came_from=sender.subnet.id)

    def _to_address(self, packet: Packet, sender: InterfacePlace, came_from: str | None) -> Arrival | None:
        target = self._places.by_vpc.get((sender.vpc.id, packet.destination))
        if target is None:
            return self._drop(sender.vpc.id, Stage.INTERFACE, packet, f"{sender.vpc.id}: no interface has {packet.destination}")
        return self._enter(target, packet, came_from=came_from)

    def _enter(self, place: InterfacePlace, packet: Packet, came_from: str | None) -> Arrival | None:
        if came_from != place.subnet.id and not self._passes_acl(place, packet, Direction.INBOUND):
            return None
        if place.is_nat_gateway:
            return self._nat_gateway(place, packet)
        if packet.destination != place.address and place.source_dest_check:
            return self._drop(place.id, Stage.INTERFACE, packet, f"{place.id} source/destination check")
        if not self._passes_groups(place, packet, Flow.INGRESS):
            return None
        if packet.destination != place.address:
            return self._drop(place.node, Stage.HOST, packet, f"{place.node}: does not forward")
        return Arrival(place=place, packet=packet)

    def _nat_gateway(self, gateway: InterfacePlace, packet: Packet) -> Arrival | None:
        """Outward: port translation of a new flow. Back: only what continues such a flow; nothing else enters, and it answers no ping."""
        if packet.destination == gateway.address:
            inside = self._memory.translated.get((gateway.id, packet))
            if inside is None:
                return self._drop(gateway.owner, Stage.NAT_GATEWAY, packet, f"{gateway.owner}: accepts nothing that was not asked for from inside")
            self._hop(gateway.owner, Stage.NAT_GATEWAY, gateway.owner, packet, inside)
            return self._leave_interface(gateway, inside)
        if self._leg is Leg.REPLY:
            return self._drop(gateway.owner, Stage.NAT_GATEWAY, packet, f"{gateway.owner}: the reply of a flow that did not come through it")
        if gateway.id in self._gateways_passed:
            return self._drop(gateway.owner, Stage.NAT_GATEWAY, packet, f"{gateway.owner}: its own subnet routes back to it")
        self._gateways_passed.add(gateway.id)
        outside = replace(packet, source=gateway.address, source_port=None if packet.protocol is Protocol.ICMP else self._nat_source_port)
        self._memory.translated[gateway.id, reply_to(outside)] = reply_to(packet)
        self._hop(gateway.owner, Stage.NAT_GATEWAY, gateway.owner, packet, outside)
        return self._leave_interface(gateway, outside)

    def _out_of_internet_gateway(self, gateway: str, packet: Packet, sender: InterfacePlace) -> Arrival | None:
        source = self._places.by_vpc.get((sender.vpc.id, packet.source))
        if source is None or source.public_address is None:
            return self._drop(gateway, Stage.INTERNET_GATEWAY, packet, f"{gateway}: {packet.source} has no public address")
        outside = replace(packet, source=source.public_address)
        self._hop(gateway, Stage.INTERNET_GATEWAY, gateway, packet, outside)
        return self._internet(outside)

    def _internet(self, packet: Packet) -> Arrival | None:
        host = self._places.internet.get(packet.destination)
        if host is not None:
            self._hop(host.node, Stage.INTERNET, "internet", packet)
            return Arrival(place=host, packet=packet)
        target = self._places.by_public_address.get(packet.destination)
        if target is None:
            return self._drop("internet", Stage.INTERNET, packet, f"internet: nobody has {packet.destination}")
        if target.internet_gateway is None:
            return self._drop(target.vpc.id, Stage.INTERNET_GATEWAY, packet, f"{target.vpc.id}: no internet gateway")
        inside = replace(packet, destination=target.address)
        self._hop(target.internet_gateway, Stage.INTERNET_GATEWAY, target.internet_gateway, packet, inside)
        return self._enter(target, inside, came_from=None)

    def _passes_groups(self, place: InterfacePlace, packet: Packet, flow: Flow) -> bool:
        """By the interface's memory first, then by its rules; what the rules admit is remembered for the reply."""
        admitted_by = self._memory.admitted.get((place.id, packet))
        if admitted_by is not None:
            self._hop(place.id, Stage.SECURITY_GROUP, f"{admitted_by} (tracked)", packet)
            return True
        decision = evaluate(place.groups, packet, flow, self._places.members)
        if decision.verdict is Verdict.ALLOW:
            self._memory.admitted[place.id, reply_to(packet)] = decision.origin
        self._hops.append(Hop(where=place.id, stage=Stage.SECURITY_GROUP, verdict=decision.verdict, origin=decision.origin, packet=packet))
        return decision.verdict is Verdict.ALLOW

    def _passes_acl(self, place: InterfacePlace, packet: Packet, direction: Direction) -> bool:
        decision = place.network_acl.evaluate(packet, direction)
        self._hops.append(Hop(where=place.subnet.id, stage=Stage.NETWORK_ACL, verdict=decision.verdict, origin=decision.origin, packet=packet))
        return decision.verdict is Verdict.ALLOW

    def _hop(self, where: str, stage: Stage, origin: str, packet: Packet, translated: Packet | None = None) -> None:
        self._hops.append(Hop(where=where, stage=stage, verdict=Verdict.ALLOW, origin=origin, packet=packet, translated=translated))

    def _drop(self, where: str, stage: Stage, packet: Packet, origin: str) -> Arrival | None:
        self._hops.append(Hop(where=where, stage=stage, verdict=Verdict.DENY, origin=origin, packet=packet))
        return None

