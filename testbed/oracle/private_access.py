"""Private ways to services: gateway endpoints, interface endpoints, PrivateLink and the network balancer at its far end. From the raw resources alone.

    prefix-list route ─▶ gateway endpoint                       the service's public address, the client's private one
    interface endpoint of an AWS service                        a receiver of its own: the service's TCP ports, nothing else
    interface endpoint of a provider ─▶ balancer's node ─▶ target   the target sees the node's address; nothing of the consumer's VPC

Source: PrivateLink guide, "Gateway endpoints", "Access an AWS service using an interface VPC endpoint", "Create a service powered by AWS PrivateLink";
ELB user guide, "Edit target group attributes for your NLB" (documented). What the balancer does is `network_load_balancer`'s. That an endpoint answers no ping is
assumed, and that of several balancers of a service the first by id of the endpoint's zone stands for all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from testbed.model.route_table import Route, RouteTable
from testbed.model.topology import Topology
from testbed.model.values import Packet, Protocol
from testbed.model.vpc_endpoint import VpcEndpoint, ports
from testbed.model.vpc_endpoint_service import VpcEndpointService
from testbed.oracle.network_load_balancer import NetworkLoadBalancers, Onward
from testbed.resolve.resolved import Resolved


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointPlace:
    """A gateway endpoint as a receiver: the service behind it answers into its VPC."""

    node: str
    address: IPv4Address
    vpc: str


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
        self._endpoints = {endpoint.id: endpoint for endpoint in endpoints if endpoint.is_interface}
        self.balancers = NetworkLoadBalancers(resolved)
        self.service_addresses = {address: region.node for region in resolved.regions for service in region.aws_services for address in service.addresses}

    def is_private_way(self, owner: str) -> bool:
        """Whether an interface's owner is an endpoint or a network balancer: what it receives is not its own."""
        return owner in self._endpoints or owner in self.balancers.by_id

    def is_balancer(self, owner: str) -> bool:
        """Whether it is a network balancer."""
        return owner in self.balancers.by_id

    def asks_about_consumers(self, balancer: str) -> bool:
        """Whether a balancer's groups judge what comes through PrivateLink ("Update the security groups for your NLB": on by default; documented)."""
        return self.balancers.by_id[balancer].enforce_security_group_inbound_rules_on_private_link_traffic == "on"

    def gateway_answers(self, endpoint_id: str, packet: Packet) -> bool:
        """Whether a gateway endpoint has something for the packet."""
        return _is_tcp(packet, ports(self.gateways[endpoint_id].aws_service or ""))

    def tracks_always(self, gateway_id: str | None) -> bool:
        """Whether a route leads to DynamoDB's gateway endpoint: such flows are tracked whatever the rules say (EC2 user guide, "Automatically tracked connections"; documented)."""
        endpoint = self.gateways.get(gateway_id or "")
        return endpoint is not None and endpoint.aws_service == "dynamodb"

    def answers_itself(self, owner: str, packet: Packet) -> bool:
        """Whether the owner is an AWS service's endpoint, and the packet is for one of its ports; or a network balancer that ends the connection."""
        endpoint = self._endpoints.get(owner)
        if endpoint is None:
            return self.balancers.ends(owner, packet)
        return endpoint is not None and endpoint.aws_service is not None and _is_tcp(packet, ports(endpoint.aws_service))

    def onward(self, owner: str, zone: str, packet: Packet) -> Onward | None:
        """Where a provider's endpoint, or a balancer's node, in a zone sends a new connection; None if nothing listens, or nothing is registered."""
        endpoint = self._endpoints.get(owner)
        if endpoint is None:
            node = self.balancers.node(owner, zone)
            return None if node is None else self.balancers.onward(node, packet)
        service = next((s for s in self._topology.of(VpcEndpointService) if s.id == endpoint.provider_service), None)
        nodes = (self.balancers.node(name, zone) for name in sorted(() if service is None else service.network_load_balancer_arns))
        node = next((node for node in nodes if node is not None), None)
        onward = None if node is None else self.balancers.onward(node, packet)
        return None if onward is None else replace(onward, keeps_client=False)


def _is_tcp(packet: Packet, opened: tuple[int, ...]) -> bool:
    return packet.protocol is Protocol.TCP and packet.destination_port in opened
