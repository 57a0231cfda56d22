"""The walk of one packet through VPCs and the internet, in AWS's order.

    guest ─▶ source its own? ─▶ services of the fabric? ─▶ groups out ─▶ own subnet? ──────────────────────────────▶ groups in ─▶ guest
                                                                            │ no                                        ▲
                                                                            ▼                                           │
                                                              ACL out ─▶ route table ─┬─ local ─────────▶ ACL in ───────┤
                                                                                      ├─ NAT gateway ─▶ ACL in ─▶ translated, on from the gateway's own subnet
                                                                                      ├─ interface ─────▶ ACL in, destination check
                                                                                      ├─ inspecting endpoint ─▶ ACL in ─▶ an appliance and back, on from the endpoint's own subnet
                                                                                      ├─ peering ───────▶ an interface of the peer, else lost ─▶ ACL in
                                                                                      ├─ transit gateway ─▶ ACL in ─▶ its tables ─▶ on from an attachment's subnet of another VPC
                                                                                      └─ internet gateway ─▶ 1:1 swap ─▶ internet ─▶ 1:1 swap ─▶ gateway route table ─▶ ACL in

A `Memory` outlives a packet: which flows an interface has admitted, what a NAT gateway or a NAT instance has translated. ACLs and routes remember nothing.
An interface without source/destination check whose guest forwards is left again by the guest's own choice of interface: its groups judge the packet inward
and outward. A rule that names a group does not match what has come, or is to go, through another interface than that of the named group's member
(VPC user guide, "Security group rules": middlebox appliances; documented). The middlebox's own groups see its neighbours' addresses, so there it does (assumed).
What comes over a peering reaches interfaces of that VPC and nothing else: no route table is asked there. What a NAT gateway sent over one comes back to
it over the same one, whatever the tables of the peer say (VPC user guide, "NAT gateway basics": return to sender; documented).
What comes from a transit gateway is routed by the table of the attachment's subnet, to interfaces and NAT gateways; gateway endpoints and peerings serve the VPC's own interfaces only
("Gateway endpoints", "VPC peering basics"; documented), and so does the way to another transit gateway, or back (assumed). The attachment's subnet is asked for its ACL inbound on the way to the
transit gateway, also for an interface of the same subnet, and outbound on the way from it, but then not for the same subnet ("How network ACLs work with transit gateways"; documented).
Inbound rules may name groups of the VPC from which the packet entered the transit gateway, if that and both attachments support it; outbound ones never do ("Amazon VPC attachments in AWS
Transit Gateway"; documented), so behind an inspection VPC they match nothing.
What comes by Global Accelerator enters like anything from the internet and returns as it came (`accelerated_walk`). A network ACL is asked only where a subnet's border is crossed, so not on the way to a next hop in the sender's own subnet ("not as it is routed within a
subnet", "Network ACLs"; documented). Its filters see packets whole (assumed); `path_mtu` knows which are in pieces.
Source: VPC user guide, "Network ACLs", "Security group rules", "Configure route tables", "Internet gateways", "NAT gateway basics" (documented);
the order of the hops is derived from these. A public address that is used from inside its own VPC goes out to the internet gateway and back (assumed).
A forged source address ends at the sender's source/destination check, before anything else looks at the packet. Without the check the packet is judged by
the address that it claims, and its answer goes there (EC2 user guide, "Infrastructure security in Amazon EC2", "Elastic network interfaces"; documented).
NOT MODELLED: forged sources of hosts on the internet (whether a provider lets them out, RFC 2827, is not AWS's affair), and of a NAT instance itself (its guest masquerades
them, too).
Longer than 400 lines: the steps of one walk, each of which may go on to any other.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network

from testbed.model.nat_gateway import evaluate as evaluate_nat_gateway
from testbed.model.network_acl import Direction
from testbed.model.route_table import BLACKHOLE, Route, RouteTable
from testbed.model.security_group import Flow, Members, evaluate, tracked
from testbed.model.values import Packet, Protocol, Verdict
from testbed.oracle.accelerated_walk import AcceleratedWalk
from testbed.oracle.gateway_load_balancer import InspectedWalk
from testbed.oracle.hybrid_walk import Arrival, HybridWalk
from testbed.oracle.memory import KnownFlow, Memory
from testbed.oracle.network_load_balancer import Everybody
from testbed.oracle.on_premises_site import SitePlace
from testbed.oracle.path_mtu import INTERNET_MTU_BYTES, NAT_GATEWAY_MTU_BYTES, VPC_MTU_BYTES, Size
from testbed.oracle.places import PRIMARY, InterfacePlace, InternetPlace, Place, Places
from testbed.oracle.private_access import EndpointPlace
from testbed.oracle.route_selection import select, target_of
from testbed.oracle.services import service_at
from testbed.oracle.walk import Hop, Leg, Outcome, Path, Stage, reply_to

MOST_FORWARDS = 60
"""Guests that a packet may pass before its TTL ends."""
ICMP_QUESTIONS = frozenset({8, 13, 15, 17})
"""What begins a flow for a guest's connection tracking: echo, timestamp, information and address mask requests."""


class PacketWalk(HybridWalk, InspectedWalk, AcceleratedWalk):
    """One packet on its way; `walk` may be called once."""

    def __init__(self, places: Places, leg: Leg, memory: Memory, nat_source_port: int, size: Size | None = None) -> None:
        self._places = places
        self._leg = leg
        self._memory = memory
        self._nat_source_port = nat_source_port
        self._size = Size() if size is None else size
        self._hops: list[Hop] = []
        self._gateways_passed: set[str] = set()
        self._left: InterfacePlace | None = None
        """The interface that the packet has left last, None once it has been outside."""
        self._forwards = 0
        self._inspections = 0
        self._is_accelerated = False
        self._is_inner = False
        self._entered: tuple[str, str] | None = None
        """The transit gateway that the packet has crossed last, and the VPC from which it entered that; None if it came by a peering or has never been there."""

    def walk(self, sender: Place, packet: Packet) -> Arrival | None:
        """Where the packet arrives, or None if it is dropped on the way."""
        if isinstance(sender, EndpointPlace):
            return self._to_address(packet, sender.vpc, came_from=None)
        if not self._size.fits(INTERNET_MTU_BYTES if isinstance(sender, (InternetPlace, SitePlace)) else VPC_MTU_BYTES):
            return self._drop(sender.node, Stage.HOST, packet, f"{sender.node}: larger than its interface takes, and not to be cut")
        if isinstance(sender, InternetPlace):
            if packet.destination == sender.address:
                self._hop(sender.node, Stage.HOST, f"{sender.node} itself", packet)
                return Arrival(place=sender, packet=packet, at_once=True)
            return self._internet(packet)
        if isinstance(sender, SitePlace):
            return self._from_site(sender, packet)
        tunnelled, arrival = self._out_of_gre(sender.node, packet, self._connected(sender, packet))
        return arrival if tunnelled else self._leave_guest(sender, packet)

    def _connected(self, place: InterfacePlace, packet: Packet) -> IPv4Network | None:
        """The subnet of one of a guest's interfaces that holds the destination."""
        return next((own.subnet.cidr_block for own in self._places.by_node[place.node] if packet.destination in own.subnet.cidr_block), None)

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
        if any(packet.destination in own.addresses for own in self._places.by_node[place.node]):
            self._hop(place.node, Stage.HOST, f"{place.node} itself", packet)
            return Arrival(place=place, packet=packet, at_once=True)
        if place.source_dest_check and packet.source not in place.addresses:
            return self._drop(place.id, Stage.INTERFACE, packet, f"{place.id} source/destination check")
        if (service := service_at(packet.destination, place.vpc)) is not None:
            if not service.answers(packet):
                return self._drop(place.vpc.id, Stage.SERVICE, packet, f"{service.name}: nothing answers here")
            self._hop(place.vpc.id, Stage.SERVICE, service.name, packet)
            return Arrival(place=place, packet=packet, at_once=True)
        has_none = self._leg is Leg.REPLY and not place.groups and self._places.private_ways.is_balancer(place.owner)
        if not has_none and not self._passes_groups(place, packet, Flow.EGRESS, self._next_hop(place, packet), self._by_tracking_gateway(place, packet)):
            return None
        return self._leave_interface(place, packet)

    def _leave_interface(self, place: InterfacePlace, packet: Packet) -> Arrival | None:
        """Past the sender's groups (a NAT gateway has none): within the subnet, or over its border by its route table."""
        self._left = place
        if (node := self._memory.kept.get((place.vpc.id, packet))) is not None:
            return self._back_to_balancer(place, self._places.by_interface[node], packet)
        if packet.destination in place.subnet.cidr_block:
            return self._to_address(packet, place.vpc.id, came_from=place.subnet.id)
        next_hop = self._next_hop(place, packet)
        crosses = next_hop is None or next_hop.is_transit_gateway or next_hop.subnet.id != place.subnet.id
        if crosses and not self._passes_acl(place, packet, Direction.OUTBOUND):
            return None
        if (place.vpc.id, packet) in self._memory.accelerated:
            return self._back_from_vpc(place, packet)
        if (peering_id := self._memory.returned.get((place.vpc.id, packet))) is not None:
            return self._over_peering(peering_id, packet, place, f"{peering_id} return to sender")
        selected = select(place.route_table, place.vpc, packet.destination, self._places.prefix_lists)
        if selected is None:
            return self._drop(place.route_table.id, Stage.ROUTE, packet, f"{place.route_table.id}: no route to {packet.destination}")
        if selected.route is not None and self._is_blackhole(selected.route):
            return self._drop(place.route_table.id, Stage.ROUTE, packet, f"{selected.origin} (blackhole)")
        self._hop(place.route_table.id, Stage.ROUTE, selected.origin, packet)
        if selected.route is None:
            return self._to_address(packet, place.vpc.id, came_from=place.subnet.id)
        return self._to_target(selected.route, packet, place)

    def _next_hop(self, place: InterfacePlace, packet: Packet) -> InterfacePlace | None:
        """The interface to which the packet goes from here, if it stays in the VPC and there is one."""
        if packet.destination in place.subnet.cidr_block:
            return self._places.by_vpc.get((place.vpc.id, packet.destination))
        if (place.vpc.id, packet) in self._memory.returned or (place.vpc.id, packet) in self._memory.accelerated:
            return None
        selected = select(place.route_table, place.vpc, packet.destination, self._places.prefix_lists)
        if selected is None or (selected.route is not None and self._is_blackhole(selected.route)):
            return None
        if selected.route is None:
            return self._places.by_vpc.get((place.vpc.id, packet.destination))
        if selected.route.transit_gateway_id is not None:
            return self._places.transit_gateway_end(selected.route.transit_gateway_id, place)
        return self._places.by_interface.get(_interface_of(selected.route, self._places))

    def _by_tracking_gateway(self, place: InterfacePlace, packet: Packet) -> bool:
        """Whether it goes to a gateway whose flows are always tracked."""
        ways = self._places.private_ways
        if not ways.gateways:
            return False
        selected = select(place.route_table, place.vpc, packet.destination, self._places.prefix_lists)
        return selected is not None and selected.route is not None and ways.tracks_always(selected.route.gateway_id)

    def _to_target(self, route: Route, packet: Packet, sender: InterfacePlace) -> Arrival | None:
        is_gateway_endpoint = route.gateway_id in self._places.private_ways.gateways
        if sender.is_transit_gateway and (is_gateway_endpoint or route.transit_gateway_id is not None or route.vpc_peering_connection_id is not None):
            target = target_of(route)
            return self._drop(sender.route_table.id, Stage.ROUTE, packet, f"{target}: serves {sender.vpc.id} alone, not what comes from a transit gateway")
        if route.transit_gateway_id is not None:
            return self._over_transit_gateway(route.transit_gateway_id, packet, sender)
        if route.gateway_id is not None and route.gateway_id in self._places.private_ways.gateways:
            return self._to_gateway_endpoint(route.gateway_id, packet, sender)
        if route.gateway_id is not None and route.gateway_id in self._places.vpn.gateways:
            return self._to_vpn_gateway(route.gateway_id, packet)
        if route.gateway_id is not None:
            return self._out_of_internet_gateway(route.gateway_id, packet, sender)
        if route.vpc_peering_connection_id is not None:
            return self._over_peering(route.vpc_peering_connection_id, packet, sender, route.vpc_peering_connection_id)
        return self._enter(self._places.by_interface[_interface_of(route, self._places)], packet, came_from=sender.subnet.id)

    def _is_blackhole(self, route: Route) -> bool:
        """Whether the target is gone: deleted, an interface attached to nothing, a peering that nobody has accepted."""
        if route.state == BLACKHOLE:
            return True
        if route.transit_gateway_id is not None:
            return False
        if route.vpc_peering_connection_id is not None:
            return not self._places.peerings[route.vpc_peering_connection_id].accepted
        return route.gateway_id is None and _interface_of(route, self._places) not in self._places.by_interface

    def _over_peering(self, peering_id: str, packet: Packet, sender: InterfacePlace, origin: str) -> Arrival | None:
        """Into the other VPC, and no further: there is no way to its gateways, its resolver or its other peers."""
        peer = self._places.peerings[peering_id].other(sender.vpc.id)
        self._hop(peering_id, Stage.PEERING, origin, packet)
        if (peer, packet.destination) not in self._places.by_vpc:
            return self._drop(peering_id, Stage.PEERING, packet, f"{peering_id}: leads to interfaces of {peer} only, none of which has {packet.destination}")
        if sender.is_nat_gateway:
            self._memory.returned[peer, reply_to(packet)] = peering_id
        return self._to_address(packet, peer, came_from=None)

    def _to_address(self, packet: Packet, vpc_id: str, came_from: str | None) -> Arrival | None:
        target = self._places.by_vpc.get((vpc_id, packet.destination))
        if target is None:
            return self._drop(vpc_id, Stage.INTERFACE, packet, f"{vpc_id}: no interface has {packet.destination}")
        return self._enter(target, packet, came_from=came_from)

    def _enter(self, place: InterfacePlace, packet: Packet, came_from: str | None) -> Arrival | None:
        if came_from != place.subnet.id and not self._passes_acl(place, packet, Direction.INBOUND):
            return None
        if place.is_nat_gateway:
            return self._nat_gateway(place, packet)
        if place.is_network_firewall:
            return self._at_firewall(place, packet)
        if place.owner in self._places.gateway_load_balancers.endpoints:
            return self._inspected(place, packet)
        if place.owner in self._places.gateway_load_balancers.by_id:
            return self._at_balancer(place, packet)
        if packet.destination not in place.addresses and place.source_dest_check and (place.id, packet) not in self._memory.forwarded:
            return self._drop(place.id, Stage.INTERFACE, packet, f"{place.id} source/destination check")
        is_private_way = self._places.private_ways.is_private_way(place.owner)
        if (place.groups or not is_private_way) and not self._passes_groups(place, packet, Flow.INGRESS, self._left):
            return None
        if is_private_way:
            return self._private_way(place, packet)
        return self._in_guest(place, packet)

    def _arrived(self, place: InterfacePlace, packet: Packet) -> Arrival:
        return Arrival(place=place, packet=packet)

    def _at_firewall(self, endpoint: InterfacePlace, packet: Packet) -> Arrival | None:
        """At a network firewall's endpoint, which hands on what it lets pass as it is."""
        self._forwards += 1
        if self._forwards > MOST_FORWARDS:
            return self._drop(endpoint.node, Stage.NETWORK_FIREWALL, packet, f"{endpoint.node}: its own subnet routes back to it")
        self._hops.extend(self._places.firewalls.judge(endpoint.owner, endpoint.node, packet, self._size, self._memory, begins=self._leg is Leg.REQUEST))
        return None if self._hops[-1].verdict is Verdict.DENY else self._leave_interface(endpoint, packet)

    def _to_gateway_endpoint(self, endpoint_id: str, packet: Packet, sender: InterfacePlace) -> Arrival | None:
        if not self._places.private_ways.gateway_answers(endpoint_id, packet):
            return self._drop(endpoint_id, Stage.VPC_ENDPOINT, packet, f"{endpoint_id} is no port of the service")
        self._hop(endpoint_id, Stage.VPC_ENDPOINT, endpoint_id, packet)
        return Arrival(place=EndpointPlace(node=endpoint_id, address=packet.destination, vpc=sender.vpc.id), packet=packet)

    def _private_way(self, place: InterfacePlace, packet: Packet) -> Arrival | None:
        """At an interface endpoint, or at a network balancer's node: the end for an AWS service's ports, onward for a listener's, back for what was sent onward."""
        ways = self._places.private_ways
        back = self._memory.forwarded.get((place.id, packet))
        if back is not None:
            origin, returning = self._places.by_interface[back[0]], back[1]
            self._hop(place.node, Stage.LOAD_BALANCER, place.owner, packet, returning)
            return self._send_on(origin, returning)
        if ways.answers_itself(place.owner, packet):
            self._hop(place.owner, Stage.LOAD_BALANCER if ways.is_balancer(place.owner) else Stage.VPC_ENDPOINT, place.owner, packet)
            return Arrival(place=place, packet=packet)
        onward = None if self._leg is Leg.REPLY else ways.onward(place.owner, place.subnet.availability_zone, packet)
        if onward is None:
            stage = Stage.LOAD_BALANCER if ways.is_balancer(place.owner) else Stage.VPC_ENDPOINT
            return self._drop(place.owner, stage, packet, f"{place.owner} has no listener or no target for it")
        node = self._places.by_interface[onward.interface]
        if place.id != node.id:
            self._hop(place.owner, Stage.VPC_ENDPOINT, place.owner, packet)
            if node.groups and ways.asks_about_consumers(node.owner) and not self._passes_balancers_groups(node, packet):
                return None
        outside = replace(packet, destination=onward.target, destination_port=onward.port)
        if onward.keeps_client:
            self._memory.kept[node.vpc.id, reply_to(outside)] = node.id
        else:
            outside = replace(outside, source=onward.source, source_port=self._nat_source_port)
        self._memory.forwarded[node.id, reply_to(outside)] = (place.id, reply_to(packet))
        self._hop(onward.node, Stage.LOAD_BALANCER, onward.balancer, packet, outside)
        return self._send_on(node, outside)

    def _passes_balancers_groups(self, node: InterfacePlace, packet: Packet) -> bool:
        """Through PrivateLink: by the consumer's own address, which is in no group of the provider's VPC (that is assumed)."""
        decision = evaluate(node.groups, packet, Flow.INGRESS, self._places.prefix_lists)
        self._hops.append(Hop(where=node.id, stage=Stage.SECURITY_GROUP, verdict=decision.verdict, origin=decision.origin, packet=packet))
        return decision.verdict is Verdict.ALLOW

    def _send_on(self, place: InterfacePlace, packet: Packet) -> Arrival | None:
        """From a private way's interface into its VPC, past its groups if it has any."""
        return None if place.groups and not self._passes_groups(place, packet, Flow.EGRESS, None) else self._leave_interface(place, packet)

    def _back_to_balancer(self, place: InterfacePlace, node: InterfacePlace, packet: Packet) -> Arrival | None:
        """A target's answer to a client whose address the balancer kept: through the balancer, whatever the route table says. ACLs are asked at borders, as on the way there (assumed)."""
        if place.subnet.id != node.subnet.id and not self._passes_acl(place, packet, Direction.OUTBOUND):
            return None
        return self._enter(node, packet, came_from=place.subnet.id)

    def _in_guest(self, place: InterfacePlace, packet: Packet) -> Arrival | None:
        """Received, or forwarded by a guest's own routes; a NAT instance puts the address of its eth0 on what leaves there, and takes it off the reply.

        The source port stays (Linux's masquerade keeps a port that is free). An ICMP answer to a question that did not come through it begins no flow, and is translated by nobody
        (Linux, net/netfilter/nf_conntrack_proto_icmp.c; documented by its code).
        """
        inside = self._memory.translated.get((place.node, packet))
        if inside is None and any(packet.source in own.addresses for own in self._places.by_node[place.node]):
            return self._drop(place.node, Stage.HOST, packet, f"{place.node}: takes nothing that comes from its own address")
        own = next((own for own in self._places.by_node[place.node] if packet.destination in own.addresses), None)
        if inside is None and own is not None:
            return Arrival(place=own, packet=packet)
        if not place.forwards:
            return self._drop(place.node, Stage.HOST, packet, f"{place.node}: does not forward")
        self._forwards += 1
        if self._forwards > MOST_FORWARDS:
            return self._drop(place.node, Stage.HOST, packet, f"{place.node}: the TTL has run out")
        if inside is None and place.firewall is not None and not place.firewall.begins(packet, first=self._leg is Leg.REQUEST):
            return self._drop(place.node, Stage.HOST, packet, f"{place.node} lets no such flow begin, and knows none that it belongs to")
        if inside in (None, packet):
            tunnelled, arrival = self._out_of_gre(place.node, packet, self._connected(place, packet))
            if tunnelled:
                self._memory.translated.setdefault((place.node, reply_to(packet)), reply_to(packet))
                return arrival
        onward = packet if inside is None else inside
        out = self._places.of_node(place.node, onward.destination)
        if inside is None and place.masquerades and out.device == PRIMARY and (packet.protocol is not Protocol.ICMP or packet.icmp_type in ICMP_QUESTIONS):
            onward = replace(packet, source=out.address)
        if inside is None:
            self._memory.translated[place.node, reply_to(onward)] = reply_to(packet)
        self._hop(place.node, Stage.HOST, f"{place.node} forwards", packet, None if onward == packet else onward)
        return self._leave_guest(out, onward)

    def _nat_gateway(self, gateway: InterfacePlace, packet: Packet) -> Arrival | None:
        """Outward: port translation of a new flow. Back: only what continues such a flow; nothing else enters, and it answers no ping."""
        if not self._size.fits(NAT_GATEWAY_MTU_BYTES):
            return self._drop(gateway.owner, Stage.NAT_GATEWAY, packet, f"{gateway.owner}: larger than {NAT_GATEWAY_MTU_BYTES} bytes, and not to be cut")
        refusal = evaluate_nat_gateway(self._places.nat_gateways[gateway.owner], packet, is_fragment=self._size.is_fragmented)
        if refusal is not None:
            return self._drop(gateway.owner, Stage.NAT_GATEWAY, packet, refusal)
        if packet.destination in gateway.addresses:
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
        public_address = None if source is None else source.public_of(packet.source)
        if public_address is None:
            return self._drop(gateway, Stage.INTERNET_GATEWAY, packet, f"{gateway}: {packet.source} has no public address")
        if not self._size.fits(INTERNET_MTU_BYTES):
            return self._drop(gateway, Stage.INTERNET_GATEWAY, packet, f"{gateway}: larger than {INTERNET_MTU_BYTES} bytes, and not to be cut")
        outside = replace(packet, source=public_address)
        self._hop(gateway, Stage.INTERNET_GATEWAY, gateway, packet, outside)
        return self._internet(outside)

    def _internet(self, packet: Packet) -> Arrival | None:
        self._left = None
        if packet.destination in self._places.accelerators.by_address:
            if refused := self._places.shield.refusal_at_gateway(packet):
                return self._drop("Global Accelerator", Stage.SHIELD, packet, refused)
            return self._to_accelerator(packet)
        if (exit := self._places.accelerators.by_own_address.get(packet.destination)) is not None:
            return self._back_from_public_address(exit, packet)
        router = self._places.sites.routers.get(packet.destination)
        if router is not None and (inside := self._memory.translated.get((router, packet))) is not None:
            self._hop(router, Stage.CUSTOMER_GATEWAY, router, packet, inside)
            return self._arrival_at_site(self._site_of(router), inside)
        host = self._places.internet.get(packet.destination)
        if host is not None:
            if refused := self._places.shield.refusal_at_edge(packet):
                return self._drop(host.node, Stage.SHIELD, packet, refused)
            self._hop(host.node, Stage.INTERNET, "internet", packet)
            return Arrival(place=host, packet=packet)
        target = self._places.by_public_address.get(packet.destination)
        if target is None:
            return self._drop("internet", Stage.INTERNET, packet, f"internet: nobody has {packet.destination}")
        if target.internet_gateway is None:
            return self._drop(target.vpc.id, Stage.INTERNET_GATEWAY, packet, f"{target.vpc.id}: no internet gateway")
        if refused := self._places.shield.refusal_at_gateway(packet):
            return self._drop(target.internet_gateway, Stage.SHIELD, packet, refused)
        inside = replace(packet, destination=target.private_of(packet.destination))
        self._hop(target.internet_gateway, Stage.INTERNET_GATEWAY, target.internet_gateway, packet, inside)
        table = self._places.edge_tables.get(target.internet_gateway)
        return self._enter(target, inside, came_from=None) if table is None else self._by_edge_table(table, inside, target)

    def _by_edge_table(self, table: RouteTable, packet: Packet, target: InterfacePlace) -> Arrival | None:
        """A gateway route table: local, an endpoint of a Gateway Load Balancer or a firewall, or an interface, which must be attached and have a public address."""
        selected = select(table, target.vpc, packet.destination, self._places.prefix_lists)
        if selected is None:
            return self._drop(table.id, Stage.ROUTE, packet, f"{table.id}: no route to {packet.destination}")
        if selected.route is None:
            self._hop(table.id, Stage.ROUTE, selected.origin, packet)
            return self._enter(target, packet, came_from=None)
        middlebox = None if self._is_blackhole(selected.route) else self._places.by_interface[_interface_of(selected.route, self._places)]
        if middlebox is None or (middlebox.public_address is None and selected.route.vpc_endpoint_id is None):
            return self._drop(table.id, Stage.ROUTE, packet, f"{selected.origin} (blackhole)")
        self._hop(table.id, Stage.ROUTE, selected.origin, packet)
        return self._enter(middlebox, packet, came_from=None)

    def _passes_groups(self, place: InterfacePlace, packet: Packet, flow: Flow, neighbour: InterfacePlace | None, always: bool = False) -> bool:
        """By the interface's memory first, then by its rules; what the rules admit is remembered, tracked if `always` or by the rules. `neighbour` is at the other end of this crossing of the VPC."""
        known = self._memory.known(place.id, flow, packet)
        if known is not None and known.flow.tracked:
            self._hop(place.id, Stage.SECURITY_GROUP, f"{known.flow.origin} (tracked)", packet)
            return True
        far_side = packet.source if flow is Flow.INGRESS else packet.destination
        by_middlebox = place.source_dest_check and neighbour is not None and far_side not in neighbour.addresses
        if place.source_dest_check and neighbour is not None and neighbour.is_transit_gateway:
            named: Members = self._places.named_across_transit_gateway(place, flow, self._entered)
        else:
            named = self._named_from(neighbour) if by_middlebox and neighbour is not None else self._places.named
        decision = evaluate(place.groups, packet, flow, named)
        if decision.verdict is Verdict.ALLOW and (known is None or not known.is_reply):
            always = always or self._is_accelerated or place.always_tracked or (neighbour is not None and neighbour.always_tracked)
            found = KnownFlow(origin=decision.origin, tracked=always or tracked(place.groups, packet, flow), protocol=packet.protocol, timeouts=place.timeouts)
            self._memory.learn(place.id, flow, packet, reply_to(packet), found)
        self._hops.append(Hop(where=place.id, stage=Stage.SECURITY_GROUP, verdict=decision.verdict, origin=decision.origin, packet=packet))
        return decision.verdict is Verdict.ALLOW

    def _named_from(self, middlebox: InterfacePlace) -> Members:
        """What a rule may name of what comes from a middlebox: no groups; of a network balancer its own, which stand for all its clients, and no client's
        (ELB user guide, "Update the security groups for your NLB", "Register targets with your NLB target group"; documented)."""
        if not self._places.private_ways.is_balancer(middlebox.owner):
            return self._places.prefix_lists
        return {**self._places.prefix_lists, **{group.id: Everybody() for group in middlebox.groups}}

    def _passes_acl(self, place: InterfacePlace, packet: Packet, direction: Direction) -> bool:
        decision = place.network_acl.evaluate(packet, direction)
        self._hops.append(Hop(where=place.subnet.id, stage=Stage.NETWORK_ACL, verdict=decision.verdict, origin=decision.origin, packet=packet, direction=direction.value))
        return decision.verdict is Verdict.ALLOW

    def _hop(self, where: str, stage: Stage, origin: str, packet: Packet, translated: Packet | None = None) -> None:
        self._hops.append(Hop(where=where, stage=stage, verdict=Verdict.ALLOW, origin=origin, packet=packet, translated=translated))

    def _drop(self, where: str, stage: Stage, packet: Packet, origin: str) -> Arrival | None:
        self._hops.append(Hop(where=where, stage=stage, verdict=Verdict.DENY, origin=origin, packet=packet))
        return None


def _interface_of(route: Route, places: Places) -> str:
    """The id of the interface that a route to an interface, an instance, a NAT gateway or an endpoint of a Gateway Load Balancer or a firewall leads to."""
    if route.vpc_endpoint_id is not None:
        own = f"eni-{route.vpc_endpoint_id}"
        return own if own in places.by_interface else f"eni-{route.vpc_endpoint_id.removeprefix('vpce-')}"
    return route.network_interface_id or f"eni-{route.nat_gateway_id or route.instance_id}"
