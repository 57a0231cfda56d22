"""Faults of VPN connections and virtual private gateways across resources.

Keys and proposals that do not fit are no faults: AWS knows nothing of the customer's device, and shows the tunnel as DOWN (`testbed vpn` says why).
Source: Site-to-Site VPN user guide, "Tunnel options for your Site-to-Site VPN connection" (inside blocks are unique among a gateway's connections), "Site-to-Site VPN
quotas"; VPC user guide, "Amazon VPC quotas" (100 propagated routes); EC2 API reference, "AttachVpnGateway" (one for each VPC; documented).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from ipaddress import IPv4Network

from testbed.model.customer_gateway import CustomerGateway
from testbed.model.direct_connect_gateway import DirectConnectGatewayAssociation
from testbed.model.route_table import RouteTable
from testbed.model.transit_gateway import TransitGateway
from testbed.model.values import Fault, did_you_mean
from testbed.model.vpn_connection import VpnConnection, tunnel_name
from testbed.model.vpn_gateway import MOST_PROPAGATED_ROUTES, VpnGateway, VpnGatewayRoutePropagation
from testbed.resolve.interfaces import Wanted
from testbed.resolve.references import References
from testbed.resolve.vpn_connections import endpoint_node

MOST_ROUTES_FROM_SITE = 100
"""Static or by BGP, of a connection on a virtual private gateway."""


def faults(references: References, _: tuple[Wanted, ...]) -> Iterator[Fault]:
    """Everything that two resources have to agree on."""
    topology = references.topology
    for vpc_id, count in Counter(gateway.vpc_id for gateway in topology.of(VpnGateway)).items():
        if count > 1:
            yield Fault(resource=vpc_id, problem=f"{count} virtual private gateways are attached to it", remedy="a VPC has one: remove the others")
    for propagation in topology.of(VpnGatewayRoutePropagation):
        yield from _propagation_faults(propagation, references)
    yield from _inside_faults(topology.of(VpnConnection))
    for connection in topology.of(VpnConnection):
        yield from _connection_faults(connection, references)


def _propagation_faults(propagation: VpnGatewayRoutePropagation, references: References) -> Iterator[Fault]:
    gateway = references.get(VpnGateway, propagation.vpn_gateway_id)
    if gateway is None:
        return
    static = {block for connection in references.topology.of(VpnConnection) if connection.vpn_gateway_id == gateway.id for block in connection.static_routes}
    for table_id in propagation.route_table_ids:
        table = references.get(RouteTable, table_id)
        if table is None:
            continue
        if table.vpc_id != gateway.vpc_id:
            yield Fault(resource=propagation.id, problem=f"{table_id} is a table of {table.vpc_id}, but {gateway.id} is attached to {gateway.vpc_id}", remedy=f"name tables of {gateway.vpc_id}")
        if table.gateway_associations:
            yield Fault(resource=propagation.id, problem=f"{table_id} is a gateway route table, which takes no propagated routes", remedy="name a table that serves subnets")
        if len(static) > MOST_PROPAGATED_ROUTES:
            yield Fault(resource=table_id, problem=f"{len(static)} propagated routes, over the limit of {MOST_PROPAGATED_ROUTES}", remedy="announce wider prefixes: this quota cannot be raised")


def _inside_faults(connections: tuple[VpnConnection, ...]) -> Iterator[Fault]:
    """One gateway, one site's router: the inside blocks that meet there must differ."""
    first: dict[tuple[str | None, IPv4Network], str] = {}
    for connection in connections:
        for number, options in enumerate(connection.vpn_tunnel_options, start=1):
            block, name = options.tunnel_inside_cidr, tunnel_name(connection.id, number)
            if not isinstance(block, IPv4Network):
                continue
            ends = (connection.vpn_gateway_id or connection.transit_gateway_id, connection.customer_gateway_id)
            known = next((first[end, block] for end in ends if (end, block) in first), None)
            if known is not None:
                yield Fault(resource=name, problem=f"tunnel_inside_cidr {block} overlaps that of {known}", remedy="choose another /30 of 169.254.0.0/16, or leave it out")
            for end in ends:
                first.setdefault((end, block), name)


def _private_faults(connection: VpnConnection, references: References) -> Iterator[Fault]:
    """Private-IP VPN: its transport is a Direct Connect gateway's association with the same transit gateway, which has a block for outside addresses."""
    named, gateway = connection.transport_transit_gateway_attachment_id, references.get(TransitGateway, connection.transit_gateway_id)
    if named is None or gateway is None:
        return
    fibres = {each.id: each for each in references.topology.of(DirectConnectGatewayAssociation) if each.associated_gateway_id == gateway.id}
    if named not in fibres:
        problem = f"transport_transit_gateway_attachment_id {named!r} is no Direct Connect gateway's attachment of {gateway.id}"
        yield Fault(resource=connection.id, problem=problem, remedy=did_you_mean(named, sorted(fibres)))
    if not gateway.transit_gateway_cidr_blocks:
        yield Fault(resource=connection.id, problem=f"{gateway.id} has no CIDR block for private outside addresses", remedy=f"give {gateway.id} transit_gateway_cidr_blocks, and let the association's allowed_prefixes hold them")


def _connection_faults(connection: VpnConnection, references: References) -> Iterator[Fault]:
    customer = references.get(CustomerGateway, connection.customer_gateway_id)
    gateway = references.get(VpnGateway, connection.vpn_gateway_id) or references.get(TransitGateway, connection.transit_gateway_id)
    if connection.is_private and connection.transit_gateway_id is not None:
        yield from _private_faults(connection, references)
    for number in range(1, len(connection.vpn_tunnel_options) + 1):
        if references.named(endpoint_node(connection.id, number)) is not None:
            yield Fault(resource=endpoint_node(connection.id, number), problem=f"the id is the name of {connection.id}'s endpoint", remedy="choose another id")
    if customer is not None and gateway is not None and not connection.static_routes_only and customer.bgp_asn == gateway.amazon_side_asn:
        problem = f"{customer.id} and {gateway.id} both have the ASN {customer.bgp_asn}"
        yield Fault(resource=connection.id, problem=problem, remedy="BGP between them is external: give one of them another ASN")
    if connection.vpn_gateway_id is not None and len(connection.static_routes) > MOST_ROUTES_FROM_SITE:
        yield Fault(resource=connection.id, problem=f"{len(connection.static_routes)} static routes, over the limit of {MOST_ROUTES_FROM_SITE}", remedy="use wider prefixes")
    if connection.static_routes_only and connection.transit_gateway_id is not None and not connection.customer_routes:
        problem = "a static connection to a transit gateway does not say what the site's router sends into it"
        yield Fault(resource=connection.id, problem=problem, remedy="name the prefixes behind the transit gateway in customer_routes")
