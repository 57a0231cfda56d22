"""Through a Gateway Load Balancer: from its endpoint to an appliance and back, and on from the endpoint as if nothing had happened. From the raw resources alone.

    endpoint ─▶ its service's balancer in its zone ─▶ an appliance: of the zone, or of all with cross-zone load balancing ─▶ back ─▶ endpoint, its subnet's route table
                                                       │ GENEVE to UDP 6081, and back to UDP 6081: both judged by the appliance's own groups, ACLs and routes

What an appliance thinks of a packet is its own affair: one that runs our inspection program lets a probe pass, since that has no payload; one that runs nothing never sends
anything back. Appliances whose health check cannot reach them get no flows while others can be reached; of several that could be chosen the first by name stands for all.
A packet on the way back belongs to a flow that the balancer has seen beginning: where flows are 5-tuples, a TCP reply whose request never came by is dropped.
Source: ELB user guide, "Gateway Load Balancers" (MTU, asymmetric flows), "Target groups for your GWLB", "Health checks"; PrivateLink guide, "Access an inspection system using a GWLB
endpoint" (documented). Assumed: an endpoint's own address answers nothing; of several balancers the first by id of the zone stands for all.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Self

from testbed.model.instance import GeneveAppliance, Instance
from testbed.model.listener import Forward, Listener
from testbed.model.load_balancer import GATEWAY, LoadBalancer
from testbed.model.subnet import Subnet
from testbed.model.target_group import FIVE_TUPLE, GENEVE_PORT, IP, TargetGroup
from testbed.model.topology import Topology
from testbed.model.values import Packet, Protocol
from testbed.model.vpc_endpoint import VpcEndpoint
from testbed.model.vpc_endpoint_service import VpcEndpointService
from testbed.oracle.memory import Memory
from testbed.oracle.path_mtu import Size
from testbed.oracle.walk import Hop, Leg, Stage, reply_to
from testbed.resolve.resolved import Resolved

if TYPE_CHECKING:
    from testbed.oracle.hybrid_walk import Arrival
    from testbed.oracle.places import InterfacePlace, Place, Places

MTU_BYTES = 8500
OUTER_PORT, CHECK_PORT = 60000, 40000
MOST_INSPECTIONS = 60
"""Packets keep their TTL here; a circle of routes would lead on for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Appliance:
    """A registered target and its address. `inspects`: it runs a program that sends packets back."""

    id: str
    address: IPv4Address
    inspects: bool


class GatewayLoadBalancers:
    """The gateway balancers of a topology, and the endpoints that lead to them."""

    def __init__(self, resolved: Resolved) -> None:
        self._topology: Topology = resolved.topology
        self.endpoints = {endpoint.id: endpoint for endpoint in self._topology.of(VpcEndpoint) if endpoint.is_gateway_load_balancer}
        self.by_id = {balancer.id: balancer for balancer in self._topology.of(LoadBalancer) if balancer.type == GATEWAY}
        self._zones = {subnet.id: subnet.availability_zone for subnet in self._topology.of(Subnet)}
        self._interfaces = tuple(sorted(resolved.interfaces, key=lambda interface: (interface.device, interface.id)))

    def owns(self, owner: str) -> bool:
        """Whether an interface's owner is a gateway balancer or an endpoint of one."""
        return owner in self.by_id or owner in self.endpoints

    def node(self, endpoint: str, zone: str) -> tuple[str, str] | None:
        """The balancer behind an endpoint, and the interface of its node in the endpoint's zone; None if it has none there."""
        named = self.endpoints[endpoint].provider_service
        service = next((each for each in self._topology.of(VpcEndpointService) if each.id == named), None)
        for balancer in sorted(() if service is None else service.gateway_load_balancer_arns):
            found = next((each.id for each in self._interfaces if each.owner == balancer and self._zones[each.subnet] == zone), None)
            if found is not None:
                return balancer, found
        return None

    def group(self, balancer: str) -> TargetGroup | None:
        """The group to which a balancer forwards."""
        listener = next((each for each in self._topology.of(Listener) if each.load_balancer_arn == balancer), None)
        named = None if listener is None else next((action.target_group_arn for action in listener.default_actions if isinstance(action, Forward)), None)
        return next((each for each in self._topology.of(TargetGroup) if each.id == named), None)

    def appliances(self, balancer: str, group: TargetGroup, zone: str) -> list[Appliance]:
        """The targets that a node of a zone may choose, by name."""
        across = self.by_id[balancer].load_balancing_cross_zone_enabled
        return [appliance for target in sorted(group.targets) for appliance, own in self._targets(group, target) if across or own in (None, zone)]

    def _targets(self, group: TargetGroup, target: str) -> list[tuple[Appliance, str | None]]:
        if group.target_type == IP:
            address = IPv4Address(target)
            own = next((each for each in self._interfaces if address in each.addresses and self._vpc(each.subnet) == group.vpc_id), None)
            zone = next((s.availability_zone for s in self._topology.of(Subnet) if s.vpc_id == group.vpc_id and address in s.cidr_block), None)
            return [(Appliance(id=target, address=address, inspects=own is not None and self._inspects(own.owner)), zone)]
        found = next((each for each in self._interfaces if each.owner == target), None)
        return [] if found is None else [(Appliance(id=target, address=found.address, inspects=self._inspects(target)), self._zones[found.subnet])]

    def _inspects(self, owner: str) -> bool:
        return any(instance.id == owner and isinstance(instance.user_data, GeneveAppliance) for instance in self._topology.of(Instance))

    def _vpc(self, subnet_id: str) -> str:
        return next((subnet.vpc_id for subnet in self._topology.of(Subnet) if subnet.id == subnet_id), "")


class InspectedWalk:
    """The step of a packet's walk at a Gateway Load Balancer endpoint; a part of `PacketWalk`, like `HybridWalk`."""

    _places: Places
    _size: Size
    _leg: Leg
    _memory: Memory
    _hops: list[Hop]
    _nat_source_port: int
    _inspections: int
    _is_inner: bool

    @abstractmethod
    def __init__(self, places: Places, leg: Leg, memory: Memory, nat_source_port: int, size: Size | None = None) -> None: ...

    @abstractmethod
    def walk(self, sender: Place, packet: Packet) -> Arrival | None: ...

    @abstractmethod
    def _hop(self, where: str, stage: Stage, origin: str, packet: Packet, translated: Packet | None = None) -> None: ...

    @abstractmethod
    def _drop(self, where: str, stage: Stage, packet: Packet, origin: str) -> Arrival | None: ...

    @abstractmethod
    def _arrived(self, place: InterfacePlace, packet: Packet) -> Arrival: ...

    @abstractmethod
    def _leave_interface(self, place: InterfacePlace, packet: Packet) -> Arrival | None: ...

    def _inspected(self, place: InterfacePlace, packet: Packet) -> Arrival | None:
        """From the endpoint to an appliance, back, and on."""
        endpoint, balancers, zone = place.owner, self._places.gateway_load_balancers, place.subnet.availability_zone
        if packet.destination in place.addresses:
            return self._drop(endpoint, Stage.VPC_ENDPOINT, packet, f"{endpoint}: nothing answers at its own address")
        if self._size.length_bytes > MTU_BYTES and not self._size.is_fragmented:
            return self._drop(endpoint, Stage.VPC_ENDPOINT, packet, f"{endpoint}: larger than {MTU_BYTES} bytes")
        found = balancers.node(endpoint, zone)
        group = None if found is None else balancers.group(found[0])
        if found is None or group is None:
            return self._drop(endpoint, Stage.VPC_ENDPOINT, packet, f"{endpoint}: no Gateway Load Balancer in {zone} that forwards")
        balancer, node = found[0], self._places.by_interface[found[1]]
        self._hop(endpoint, Stage.VPC_ENDPOINT, endpoint, packet)
        if (endpoint, packet) not in self._memory.inspected and self._leg is Leg.REPLY and packet.protocol is Protocol.TCP and group.flow_stickiness == FIVE_TUPLE:
            return self._drop(balancer, Stage.LOAD_BALANCER, packet, f"{balancer}: has not seen the flow begin")
        self._inspections += 1
        if self._inspections > MOST_INSPECTIONS:
            return self._drop(balancer, Stage.LOAD_BALANCER, packet, f"{balancer}: the routes lead round in a circle")
        candidates = balancers.appliances(balancer, group, zone)
        usable = [each for each in candidates if self._is_healthy(node, each, group)] or candidates
        if not usable:
            return self._drop(balancer, Stage.LOAD_BALANCER, packet, f"{balancer}: {group.id} has no target for {zone}")
        lost = self._lost_at(node, usable[0])
        if lost:
            return self._drop(balancer, Stage.LOAD_BALANCER, packet, f"{balancer} to {usable[0].id}: {lost}")
        self._memory.inspected |= {(endpoint, packet), (endpoint, reply_to(packet))}
        self._hop(balancer, Stage.LOAD_BALANCER, f"{balancer}, inspected by {usable[0].id}", packet)
        return self._leave_interface(place, packet)

    def _at_balancer(self, place: InterfacePlace, packet: Packet) -> Arrival | None:
        """A node takes what its appliances send back, and the answers to its health checks; nobody else gets a word out of it (assumed)."""
        if self._is_inner:
            return self._arrived(place, packet)
        return self._drop(place.owner, Stage.LOAD_BALANCER, packet, f"{place.owner}: speaks to its appliances only")

    def _lost_at(self, node: InterfacePlace, appliance: Appliance) -> str:
        """Why nothing comes back from an appliance; empty if it does. Both ways keep their UDP ports, so the way back is a flow of its own."""
        there = Packet(source=node.address, destination=appliance.address, protocol=Protocol.UDP, source_port=OUTER_PORT, destination_port=GENEVE_PORT)
        memory = Memory()
        out, back = self._inner(Leg.REQUEST, memory), self._inner(Leg.REQUEST, memory)
        arrival = out._leave_interface(node, there)
        if arrival is None:
            return out._hops[-1].origin
        if not appliance.inspects:
            return "nothing there sends packets back"
        answer = Packet(source=appliance.address, destination=node.address, protocol=Protocol.UDP, source_port=OUTER_PORT, destination_port=GENEVE_PORT)
        return "" if back.walk(arrival.place, answer) is not None else back._hops[-1].origin

    def _is_healthy(self, node: InterfacePlace, appliance: Appliance, group: TargetGroup) -> bool:
        """Whether a health check reaches an appliance that runs our program, and its answer comes back."""
        memory = Memory()
        check = Packet(source=node.address, destination=appliance.address, protocol=Protocol.TCP, source_port=CHECK_PORT, destination_port=group.checks_at)
        arrival = self._inner(Leg.REQUEST, memory)._leave_interface(node, check)
        if arrival is None or not appliance.inspects:
            return False
        return self._inner(Leg.REPLY, memory).walk(arrival.place, reply_to(check)) is not None

    def _inner(self, leg: Leg, memory: Memory) -> Self:
        """A walk between a balancer's node and an appliance, within this one."""
        inner = type(self)(self._places, leg, memory, self._nat_source_port)
        inner._is_inner = True
        return inner
