"""Effective routes: every table with its local routes, one route for each destination, and the one table and the one network ACL of each subnet.

Source: VPC user guide, "Configure route tables" (main table, local route, blackhole), "How route priority works", "Gateway route tables",
"Network ACLs" (default ACL; documented).
The oracle does not use what is decided here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from ipaddress import IPv4Network

from testbed.model.internet_gateway import InternetGateway
from testbed.model.nat_gateway import NatGateway
from testbed.model.network_acl import Direction, NetworkAcl, NetworkAclEntry
from testbed.model.network_interface import NetworkInterface
from testbed.model.prefix_list import PrefixList
from testbed.model.route_table import BLACKHOLE, Route, RoutePriority, RouteTable
from testbed.model.security_group import SecurityGroup, SecurityGroupRule
from testbed.model.subnet import Subnet
from testbed.model.values import ANYWHERE, Verdict
from testbed.model.vpc import Vpc
from testbed.model.vpc_endpoint import VpcEndpoint
from testbed.model.vpc_peering_connection import VpcPeeringConnection
from testbed.model.vpn_connection import VpnConnection
from testbed.model.vpn_gateway import VpnGateway, VpnGatewayRoutePropagation
from testbed.resolve.references import References, default_network_acl, default_route_table, default_security_group
from testbed.resolve.resolved import EffectiveRoute, ResolvedRouteTable, ResolvedSubnet, TargetKind
from testbed.resolve.world import prefix_list_id


def route_tables(references: References, public_interfaces: Collection[str]) -> tuple[ResolvedRouteTable, ...]:
    """All tables by id, those that AWS made included, numbered within their VPC by id. `public_interfaces` have a public address."""
    resolved = []
    for vpc in references.topology.of(Vpc):
        written = list(references.inside(RouteTable, vpc.id))
        if not any(table.main for table in written):
            written.append(RouteTable(id=default_route_table(vpc.id), vpc_id=vpc.id, main=True))
        for number, table in enumerate(sorted(written, key=lambda table: table.id), start=1):
            routes = _in_force(_candidates(table, vpc, public_interfaces, references))
            resolved.append(ResolvedRouteTable(id=table.id, vpc=vpc.id, number=number, routes=routes, gateways=tuple(sorted(table.gateway_associations))))
    return tuple(sorted(resolved, key=lambda table: table.id))


def subnets(references: References) -> tuple[ResolvedSubnet, ...]:
    """All subnets by id, each with its table and its ACL."""
    return tuple(
        ResolvedSubnet(subnet=subnet, route_table=_table_of(subnet, references), network_acl=_acl_of(subnet, references)) for subnet in references.topology.of(Subnet)
    )


def network_acls(references: References, resolved_subnets: tuple[ResolvedSubnet, ...]) -> tuple[NetworkAcl, ...]:
    """Written ACLs and every VPC's default, by id; the default's associations are the subnets that have no other."""
    without: dict[str, list[str]] = {resolved.subnet.vpc_id: [] for resolved in resolved_subnets}
    for resolved in resolved_subnets:
        if resolved.network_acl == default_network_acl(resolved.subnet.vpc_id):
            without[resolved.subnet.vpc_id].append(resolved.subnet.id)
    defaults = (
        NetworkAcl(
            id=default_network_acl(vpc.id),
            vpc_id=vpc.id,
            entries=tuple(NetworkAclEntry(rule_number=100, direction=direction, rule_action=Verdict.ALLOW, cidr_block=ANYWHERE) for direction in Direction),
            associations=tuple(without.get(vpc.id, ())),
        )
        for vpc in references.topology.of(Vpc)
    )
    return tuple(sorted((*references.topology.of(NetworkAcl), *defaults), key=lambda acl: acl.id))


def security_groups(references: References) -> tuple[SecurityGroup, ...]:
    """Written groups and every VPC's default, by id: members may speak to each other, and outward to everything."""
    defaults = (
        SecurityGroup(
            id=default_security_group(vpc.id),
            vpc_id=vpc.id,
            group_description="default VPC security group",
            security_group_ingress=(SecurityGroupRule(ip_protocol="-1", security_group_id=default_security_group(vpc.id)),),
        )
        for vpc in references.topology.of(Vpc)
    )
    return tuple(sorted((*references.topology.of(SecurityGroup), *defaults), key=lambda group: group.id))


def _table_of(subnet: Subnet, references: References) -> str:
    tables = references.inside(RouteTable, subnet.vpc_id)
    explicit = next((table.id for table in tables if subnet.id in table.associations), None)
    main = next((table.id for table in tables if table.main), default_route_table(subnet.vpc_id))
    return explicit or main


def _acl_of(subnet: Subnet, references: References) -> str:
    return next((acl.id for acl in references.inside(NetworkAcl, subnet.vpc_id) if subnet.id in acl.associations), default_network_acl(subnet.vpc_id))


def _in_force(candidates: Iterable[EffectiveRoute]) -> tuple[EffectiveRoute, ...]:
    """One route for each destination: static before prefix list, then the prefix list that comes first by id (AWS: one at random, always the same)."""
    best: dict[IPv4Network, EffectiveRoute] = {}
    for route in sorted(candidates, key=lambda route: (route.priority, route.prefix_list or "")):
        best.setdefault(route.destination, route)
    return tuple(best[destination] for destination in sorted(best))


def _candidates(table: RouteTable, vpc: Vpc, public_interfaces: Collection[str], references: References) -> Iterator[EffectiveRoute]:
    written = {route.destination_cidr_block for route in table.routes}
    for block in vpc.cidr_blocks:
        if block not in written:  # else the local route's target has been replaced
            yield EffectiveRoute(destination=block, target_kind=TargetKind.LOCAL, target=vpc.id, origin=f"{table.id} {block} -> local")
    for route in (*table.routes, *_of_gateway_endpoints(table, references)):
        kind, target, name = _target(route, references)
        if table.gateway_associations and target not in public_interfaces and route.vpc_endpoint_id is None:  # what comes from an internet gateway reaches only what it could reach by itself
            kind = TargetKind.BLACKHOLE
        note = " (blackhole)" if kind is TargetKind.BLACKHOLE else ""
        if route.destination_cidr_block is not None:
            block = route.destination_cidr_block
            yield EffectiveRoute(destination=block, target_kind=kind, target=target, origin=f"{table.id} {block} -> {name}{note}")
        prefix_list = references.get(PrefixList, route.destination_prefix_list_id)
        for block in () if prefix_list is None else prefix_list.blocks:
            origin = f"{table.id} {route.destination_prefix_list_id} {block} -> {name}{note}"
            yield EffectiveRoute(
                destination=block, target_kind=kind, target=target, origin=origin, priority=RoutePriority.PREFIX_LIST, prefix_list=route.destination_prefix_list_id
            )
    yield from _propagated(table, vpc, references)


def _propagated(table: RouteTable, vpc: Vpc, references: References) -> Iterator[EffectiveRoute]:
    """The static routes of VPN connections whose gateway propagates into the table; what lies within the VPC never beats the local route. Routes that BGP learns come at run time."""
    for propagation in references.topology.of(VpnGatewayRoutePropagation):
        if table.id not in propagation.route_table_ids:
            continue
        for connection in references.topology.of(VpnConnection):
            for block in connection.static_routes if connection.vpn_gateway_id == propagation.vpn_gateway_id else ():
                if not any(block.subnet_of(own) for own in vpc.cidr_blocks):
                    origin = f"{table.id} {block} -> {propagation.vpn_gateway_id} (propagated, {connection.id} static)"
                    yield EffectiveRoute(
                        destination=block, target_kind=TargetKind.VPN_GATEWAY, target=propagation.vpn_gateway_id, origin=origin, priority=RoutePriority.PROPAGATED_VPN_STATIC
                    )


def _of_gateway_endpoints(table: RouteTable, references: References) -> Iterator[Route]:
    """The routes that AWS adds for gateway endpoints: the service's prefix list leads to the endpoint (PrivateLink guide, "Gateway endpoints"; documented)."""
    for endpoint in references.topology.of(VpcEndpoint):
        if endpoint.is_gateway and table.id in endpoint.route_table_ids:
            yield Route(destination_prefix_list_id=prefix_list_id(endpoint.aws_service or "", endpoint.region or ""), gateway_id=endpoint.id)


def _target(route: Route, references: References) -> tuple[TargetKind, str, str]:
    """The kind, the id that the fabric knows, and the id as written."""
    if route.state == BLACKHOLE:
        return TargetKind.BLACKHOLE, "", next(iter(route.targets()), "")
    if (peering := references.get(VpcPeeringConnection, route.vpc_peering_connection_id)) is not None:
        return TargetKind.VPC_PEERING_CONNECTION if peering.accepted else TargetKind.BLACKHOLE, peering.id, peering.id
    if (inspecting := references.get(VpcEndpoint, route.vpc_endpoint_id)) is not None:
        return TargetKind.NETWORK_INTERFACE, f"eni-{inspecting.id}", inspecting.id
    if route.vpc_endpoint_id is not None:  # a firewall's
        return TargetKind.NETWORK_INTERFACE, f"eni-{route.vpc_endpoint_id.removeprefix('vpce-')}", route.vpc_endpoint_id
    if route.transit_gateway_id is not None:
        return TargetKind.TRANSIT_GATEWAY, route.transit_gateway_id, route.transit_gateway_id
    if (gateway := references.get(InternetGateway, route.gateway_id)) is not None:
        return TargetKind.INTERNET_GATEWAY, gateway.id, gateway.id
    if (endpoint := references.get(VpcEndpoint, route.gateway_id)) is not None:
        return TargetKind.VPC_ENDPOINT, endpoint.id, endpoint.id
    if (private := references.get(VpnGateway, route.gateway_id)) is not None:
        return TargetKind.VPN_GATEWAY, private.id, private.id
    if (nat := references.get(NatGateway, route.nat_gateway_id)) is not None:
        return TargetKind.NAT_GATEWAY, nat.id, nat.id
    if route.instance_id is not None:
        return TargetKind.NETWORK_INTERFACE, f"eni-{route.instance_id}", route.instance_id
    written = route.network_interface_id or ""
    interface = references.get(NetworkInterface, written)
    if interface is not None and interface.instance_id is None:  # an interface attached to nothing forwards nothing
        return TargetKind.BLACKHOLE, written, written
    return TargetKind.NETWORK_INTERFACE, written, written
