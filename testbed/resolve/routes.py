"""Effective routes: every table with its local route, and the one table and the one network ACL of each subnet.

Source: VPC user guide, "Configure route tables" (main table, local route, blackhole), "Network ACLs" (default ACL; documented).
The oracle does not use what is decided here.
"""

from __future__ import annotations

from testbed.model.internet_gateway import InternetGateway
from testbed.model.nat_gateway import NatGateway
from testbed.model.network_acl import Direction, NetworkAcl, NetworkAclEntry
from testbed.model.network_interface import NetworkInterface
from testbed.model.route_table import Route, RouteTable
from testbed.model.security_group import SecurityGroup, SecurityGroupRule
from testbed.model.subnet import Subnet
from testbed.model.values import ANYWHERE, Verdict
from testbed.model.vpc import Vpc
from testbed.resolve.references import References, default_network_acl, default_route_table, default_security_group
from testbed.resolve.resolved import EffectiveRoute, ResolvedRouteTable, ResolvedSubnet, TargetKind


def route_tables(references: References) -> tuple[ResolvedRouteTable, ...]:
    """All tables by id, those that AWS made included, numbered within their VPC by id."""
    resolved = []
    for vpc in references.topology.of(Vpc):
        written = [table for table in references.topology.of(RouteTable) if table.vpc_id == vpc.id]
        if not any(table.main for table in written):
            written.append(RouteTable(id=default_route_table(vpc.id), vpc_id=vpc.id, main=True))
        for number, table in enumerate(sorted(written, key=lambda table: table.id), start=1):
            routes = [_local(table, vpc), *(_effective(table, route, references) for route in table.routes)]
            in_order = sorted(routes, key=lambda route: (int(route.destination.network_address), route.destination.prefixlen))
            resolved.append(ResolvedRouteTable(id=table.id, vpc=vpc.id, number=number, routes=tuple(in_order)))
    return tuple(sorted(resolved, key=lambda table: table.id))


def subnets(references: References) -> tuple[ResolvedSubnet, ...]:
    """All subnets by id, each with its table and its ACL."""
    return tuple(
        ResolvedSubnet(subnet=subnet, route_table=_table_of(subnet, references), network_acl=_acl_of(subnet, references)) for subnet in references.topology.of(Subnet)
    )


def network_acls(references: References, resolved_subnets: tuple[ResolvedSubnet, ...]) -> tuple[NetworkAcl, ...]:
    """Written ACLs and every VPC's default, by id; the default's associations are the subnets that have no other."""
    defaults = (
        NetworkAcl(
            id=default_network_acl(vpc.id),
            vpc_id=vpc.id,
            entries=tuple(NetworkAclEntry(rule_number=100, direction=direction, rule_action=Verdict.ALLOW, cidr_block=ANYWHERE) for direction in Direction),
            associations=tuple(resolved.subnet.id for resolved in resolved_subnets if resolved.network_acl == default_network_acl(vpc.id)),
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
    tables = [table for table in references.topology.of(RouteTable) if table.vpc_id == subnet.vpc_id]
    explicit = next((table.id for table in tables if subnet.id in table.associations), None)
    main = next((table.id for table in tables if table.main), default_route_table(subnet.vpc_id))
    return explicit or main


def _acl_of(subnet: Subnet, references: References) -> str:
    return next((acl.id for acl in references.topology.of(NetworkAcl) if subnet.id in acl.associations), default_network_acl(subnet.vpc_id))


def _local(table: RouteTable, vpc: Vpc) -> EffectiveRoute:
    return EffectiveRoute(destination=vpc.cidr_block, target_kind=TargetKind.LOCAL, target=vpc.id, origin=f"{table.id} {vpc.cidr_block} -> local")


def _effective(table: RouteTable, route: Route, references: References) -> EffectiveRoute:
    kind, target, written = _target(route, references)
    return EffectiveRoute(destination=route.destination_cidr_block, target_kind=kind, target=target, origin=f"{table.id} {route.destination_cidr_block} -> {written}")


def _target(route: Route, references: References) -> tuple[TargetKind, str, str]:
    """The kind, the id that the fabric knows, and the id as written."""
    if (gateway := references.get(InternetGateway, route.gateway_id)) is not None:
        return TargetKind.INTERNET_GATEWAY, gateway.id, gateway.id
    if (nat := references.get(NatGateway, route.nat_gateway_id)) is not None:
        return TargetKind.NAT_GATEWAY, nat.id, nat.id
    if route.instance_id is not None:
        return TargetKind.NETWORK_INTERFACE, f"eni-{route.instance_id}", route.instance_id
    written = route.network_interface_id or ""
    interface = references.get(NetworkInterface, written)
    if interface is not None and interface.instance_id is None:  # an interface attached to nothing forwards nothing
        return TargetKind.BLACKHOLE, written, f"{written} (blackhole)"
    return TargetKind.NETWORK_INTERFACE, written, written
