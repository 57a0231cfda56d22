"""The table of lowerings, and the whole way from `Resolved` to `Plan`.

Each lowering turns one noun into a fragment and sees the resolved topology, never another's fragment. Nouns without a line here speak
through another: listeners and target groups through their load balancer, hosted zones and distributions through the edge locations that serve
them, Elastic IPs through the internet gateway that maps them, network interfaces through their owner.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeVar

from testbed.compile import (
    accelerator,
    city_speaker,
    db_instance,
    direct_connect_connection,
    direct_connect_gateway,
    dns_server,
    edge_location,
    endpoint_group,
    flow_log,
    instance,
    internet,
    internet_gateway,
    load_balancer,
    name_server,
    nat_gateway,
    network_acl,
    network_firewall,
    on_premises_site,
    on_premises_site_speaker,
    public_virtual_interface,
    region,
    resolver_endpoint,
    route_table,
    security_group,
    subnet,
    traffic_mirror,
    transit_gateway,
    transit_gateway_appliance_mode,
    transit_gateway_connect,
    transit_gateway_flow_log,
    transit_gateway_peering_attachment,
    transit_gateway_route_table,
    transit_gateway_speaker,
    transit_gateway_vpc_attachment,
    virtual_interface,
    vpc,
    vpc_endpoint,
    vpc_peering_connection,
    vpn_connection,
    vpn_gateway,
    vpn_gateway_speaker,
)
from testbed.compile.fragment import Fragment
from testbed.compile.link import link
from testbed.model.db_instance import DBInstance
from testbed.model.direct_connect_connection import DirectConnectConnection
from testbed.model.dns_server import DnsServer
from testbed.model.instance import Instance
from testbed.model.internet_gateway import InternetGateway
from testbed.model.load_balancer import LoadBalancer
from testbed.model.nat_gateway import NatGateway
from testbed.model.network_firewall import NetworkFirewall
from testbed.model.resolver_endpoint import ResolverEndpoint
from testbed.model.transit_gateway import TransitGateway
from testbed.model.transit_gateway_peering_attachment import TransitGatewayPeeringAttachment
from testbed.model.vpc_endpoint import VpcEndpoint
from testbed.model.vpc_peering_connection import VpcPeeringConnection
from testbed.model.vpn_gateway import VpnGateway
from testbed.plan import Plan
from testbed.resolve.resolved import Resolved

N = TypeVar("N")
Lowering = Callable[[Resolved], Iterable[Fragment]]


def _each(nouns: Callable[[Resolved], Iterable[N]], lower: Callable[[N, Resolved], Fragment]) -> Lowering:
    """The lowering of every noun of one kind."""
    return lambda resolved: (lower(noun, resolved) for noun in nouns(resolved))


LOWERINGS: tuple[Lowering, ...] = (
    _each(lambda r: r.vpcs, vpc.lower),
    _each(lambda r: r.subnets, subnet.lower),
    _each(lambda r: r.route_tables, route_table.lower),
    _each(lambda r: r.network_acls, network_acl.lower),
    _each(lambda r: r.security_groups, security_group.lower),
    _each(lambda r: r.topology.of(InternetGateway), internet_gateway.lower),
    _each(lambda r: r.topology.of(NatGateway), nat_gateway.lower),
    _each(lambda r: r.topology.of(VpcEndpoint), vpc_endpoint.lower),
    _each(lambda r: r.topology.of(VpcPeeringConnection), vpc_peering_connection.lower),
    _each(lambda r: r.topology.of(TransitGateway), transit_gateway.lower),
    _each(lambda r: r.topology.of(TransitGateway), transit_gateway_appliance_mode.lower),
    _each(lambda r: r.topology.of(TransitGateway), transit_gateway_speaker.lower),
    _each(lambda r: r.connect_peers, transit_gateway_connect.lower),
    _each(lambda r: r.topology.of(TransitGatewayPeeringAttachment), transit_gateway_peering_attachment.lower),
    _each(lambda r: r.transit_gateway_route_tables, transit_gateway_route_table.lower),
    _each(lambda r: r.transit_gateway_attachments, transit_gateway_vpc_attachment.lower),
    _each(lambda r: r.topology.of(VpnGateway), vpn_gateway.lower),
    _each(lambda r: r.topology.of(VpnGateway), vpn_gateway_speaker.lower),
    _each(lambda r: r.vpn_connections, vpn_connection.lower),
    _each(lambda r: r.sites, on_premises_site.lower),
    _each(lambda r: r.sites, on_premises_site_speaker.lower),
    _each(lambda r: r.topology.of(Instance), instance.lower),
    _each(lambda r: r.topology.of(NetworkFirewall), network_firewall.lower),
    _each(lambda r: r.topology.of(ResolverEndpoint), resolver_endpoint.lower),
    _each(lambda r: r.topology.of(DnsServer), dns_server.lower),
    _each(lambda r: r.topology.of(LoadBalancer), load_balancer.lower),
    _each(lambda r: r.topology.of(DBInstance), db_instance.lower),
    _each(lambda r: r.cities, internet.lower_city),
    _each(lambda r: r.users, internet.lower_user),
    _each(lambda r: r.edges, edge_location.lower),
    _each(lambda r: r.regions, region.lower),
    _each(lambda r: r.topology.of(DirectConnectConnection), direct_connect_connection.lower),
    _each(lambda r: r.virtual_interfaces, virtual_interface.lower),
    _each(lambda r: r.public_virtual_interfaces, virtual_interface.lower),
    _each(lambda r: r.public_virtual_interfaces, public_virtual_interface.lower),
    _each(lambda r: r.cities, public_virtual_interface.lower_city),
    _each(lambda r: r.cities, city_speaker.lower),
    _each(lambda r: r.accelerator_edges, accelerator.lower),
    _each(lambda r: r.accelerator_exits, endpoint_group.lower),
    _each(direct_connect_gateway.location_routers, direct_connect_gateway.lower),
    lambda resolved: (name_server.lower(resolved),),
    _each(lambda r: r.vpcs, flow_log.lower),
    _each(lambda r: r.topology.of(TransitGateway), transit_gateway_flow_log.lower),
    _each(lambda r: r.vpcs, traffic_mirror.lower),
)


def compile_plan(resolved: Resolved) -> Plan:
    """The plan of a resolved topology: pure, and the same whatever the order in which resources were written. Raises PlanError (our bug)."""
    fragments = (fragment for lowering in LOWERINGS for fragment in lowering(resolved))
    return _in_zones(link(resolved.topology.name, fragments, resolved.topology.time_scale), resolved)


def _in_zones(plan: Plan, resolved: Resolved) -> Plan:
    """The plan with the Availability Zone of whatever has a network interface.

    NOT MODELLED: what has none of its own in a zone stays when the zone fails (a transit gateway's way into it, say): nothing in the zone is left to use it.
    """
    zones = {interface.node: interface.availability_zone for interface in resolved.interfaces}
    return replace(plan, nodes=tuple(replace(node, zone=zones[node.name]) if node.name in zones else node for node in plan.nodes))
