"""Private ways to services: gateway endpoints, interface endpoints, PrivateLink and the network balancer at its far end. From the raw resources alone.

    prefix-list route ─▶ gateway endpoint                       the service's public address, the client's private one
    interface endpoint of an AWS service                        a receiver of its own: the service's TCP ports, nothing else
    interface endpoint of a provider ─▶ balancer's node ─▶ target   the target sees the node's address; nothing of the consumer's VPC

Source: PrivateLink guide, "Gateway endpoints", "Access an AWS service using an interface VPC endpoint", "Create a service powered by AWS PrivateLink";
ELB user guide, "Network Load Balancers", "Edit target group attributes for your NLB" (documented). That an endpoint answers no ping is assumed.
Where several targets could be chosen the first by id stands for all (a probe whose fate depends on which is none for this oracle); of several balancers
of a service the first by id of the endpoint's zone. NOT MODELLED: client address preservation (see `compile/network_load_balancer.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from testbed.model.listener import Forward, Listener
from testbed.model.load_balancer import NETWORK, LoadBalancer
from testbed.model.route_table import Route, RouteTable
from testbed.model.subnet import Subnet
from testbed.model.target_group import TargetGroup
from testbed.model.topology import Topology
from testbed.model.values import Packet, Protocol
from testbed.model.vpc_endpoint import VpcEndpoint, ports
from testbed.model.vpc_endpoint_service import VpcEndpointService
from testbed.resolve.resolved import Resolved, ResolvedInterface


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointPlace:
    """A gateway endpoint as a receiver: the service behind it answers into its VPC."""

    node: str
    address: IPv4Address
    vpc: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Onward:
    """Where a balancer's node sends a connection: the node's interface and address, the target's address and port."""

    interface: str
    node: str
    balancer: str
    source: IPv4Address
    target: IPv4Address
    port: int


def with_gateway_routes(table: RouteTable, topology: Topology) -> RouteTable:
    """The table with a route for each gateway endpoint that names it."""
    added = tuple(
        Route(destination_prefix_list_id=f"pl-{endpoint.aws_service}-{endpoint.region}", gateway_id=endpoint.id)
        for endpoint in topology.of(VpcEndpoint)
        if endpoint.is_gateway and table.id in endpoint.route_table_ids
    )
    return replace(table, routes=(*table.routes, *added)) if added else table


class PrivateWays:
    """The endpoints and network balancers of a topology."""

    def __init__(self, resolved: Resolved) -> None:
        self._topology = resolved.topology
        endpoints = self._topology.of(VpcEndpoint)
        self.gateways: Mapping[str, VpcEndpoint] = {endpoint.id: endpoint for endpoint in endpoints if endpoint.is_gateway}
        self._endpoints = {endpoint.id: endpoint for endpoint in endpoints if not endpoint.is_gateway}
        self._balancers = {balancer.id: balancer for balancer in self._topology.of(LoadBalancer) if balancer.type == NETWORK}
        self._interfaces: dict[str, list[ResolvedInterface]] = {}
        for interface in sorted(resolved.interfaces, key=lambda interface: (interface.device, interface.id)):
            self._interfaces.setdefault(interface.owner, []).append(interface)
        self.service_addresses = {address: region.node for region in resolved.regions for service in region.aws_services for address in service.addresses}

    def is_private_way(self, owner: str) -> bool:
        """Whether an interface's owner is an endpoint or a network balancer: what it receives is not its own."""
        return owner in self._endpoints or owner in self._balancers

    def is_balancer(self, owner: str) -> bool:
        """Whether it is a network balancer."""
        return owner in self._balancers

    def gateway_answers(self, endpoint_id: str, packet: Packet) -> bool:
        """Whether a gateway endpoint has something for the packet."""
        return _is_tcp(packet, ports(self.gateways[endpoint_id].aws_service or ""))

    def tracks_always(self, gateway_id: str | None) -> bool:
        """Whether a route leads to DynamoDB's gateway endpoint: such flows are tracked whatever the rules say (EC2 user guide, "Automatically tracked connections"; documented)."""
        endpoint = self.gateways.get(gateway_id or "")
        return endpoint is not None and endpoint.aws_service == "dynamodb"

    def answers_itself(self, owner: str, packet: Packet) -> bool:
        """Whether the owner is an AWS service's endpoint, and the packet is for one of its ports."""
        endpoint = self._endpoints.get(owner)
        return endpoint is not None and endpoint.aws_service is not None and _is_tcp(packet, ports(endpoint.aws_service))

    def onward(self, owner: str, zone: str, packet: Packet) -> Onward | None:
        """Where a provider's endpoint, or a balancer's node, in a zone sends a new connection; None if nothing listens, or nothing is registered."""
        balancer = self._balancers.get(owner)
        endpoint = self._endpoints.get(owner)
        if endpoint is not None:
            service = next((s for s in self._topology.of(VpcEndpointService) if s.id == endpoint.provider_service), None)
            named = sorted(() if service is None else service.network_load_balancer_arns)
            balancer = next((self._balancers[name] for name in named if self._node(name, zone) is not None), None)
        node = None if balancer is None else self._node(balancer.id, zone)
        if balancer is None or node is None:
            return None
        listener = next((each for each in self._topology.of(Listener) if each.load_balancer_arn == balancer.id and _is_tcp(packet, (each.port,))), None)
        if listener is None:
            return None
        named_groups = {action.target_group_arn for action in listener.default_actions if isinstance(action, Forward)}
        group = next(each for each in self._topology.of(TargetGroup) if each.id in named_groups)
        targets = [self._interfaces[target][0] for target in sorted(group.targets) if target in self._interfaces]
        near = [target for target in targets if target.availability_zone == zone]
        chosen = targets if balancer.load_balancing_cross_zone_enabled or not near else near
        if not chosen:
            return None
        return Onward(interface=node.id, node=node.node, balancer=balancer.id, source=node.address, target=chosen[0].address, port=group.port)

    def _node(self, balancer: str, zone: str) -> ResolvedInterface | None:
        subnets = {subnet.id: subnet.availability_zone for subnet in self._topology.of(Subnet)}
        return next((interface for interface in self._interfaces.get(balancer, ()) if subnets[interface.subnet] == zone), None)


def _is_tcp(packet: Packet, opened: tuple[int, ...]) -> bool:
    return packet.protocol is Protocol.TCP and packet.destination_port in opened
