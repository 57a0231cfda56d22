"""Route selection from the tables as written: which table and which ACL serve a subnet, and which route takes a packet.

The longest prefix wins; of equal ones a static CIDR, then a prefix list, then what a virtual private gateway propagates. Every table has a local route for each CIDR of its VPC, whose target a
static route for the same CIDR replaces. Of two prefix lists with one block AWS picks one at random and stays with it: the first id here.
Deliberately not `resolve.routes`: the two are held against each other.
Source: VPC user guide, "How route priority works", "Configure route tables", "Gateway route tables", "Network ACLs" (documented).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from testbed.model.network_acl import Direction, NetworkAcl, NetworkAclEntry
from testbed.model.prefix_list import PrefixList
from testbed.model.route_table import Route, RoutePriority, RouteTable
from testbed.model.subnet import Subnet
from testbed.model.topology import Topology
from testbed.model.values import ANYWHERE, Verdict
from testbed.model.vpc import Vpc
from testbed.oracle.vpn_connection import PropagatedRoute
from testbed.resolve.references import default_network_acl, default_route_table

NEVER_FORWARDED = IPv4Network("169.254.168.0/22")
"""A wider route is accepted, but packets to these addresses are not forwarded (VPC user guide, "Configure route tables"; documented)."""


PrefixLists = Mapping[str, PrefixList]
"""Prefix lists by id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """The route that takes a packet; `route` None is the local one. A prefix list is a route for each of its blocks."""

    route: Route | None
    destination: IPv4Network
    priority: RoutePriority
    origin: str


def table_of(subnet: Subnet, topology: Topology) -> RouteTable:
    """The table with which the subnet is associated, else the VPC's main one, else the empty main table that AWS makes."""
    main = RouteTable(id=default_route_table(subnet.vpc_id), vpc_id=subnet.vpc_id, main=True)
    for table in topology.of(RouteTable):
        if subnet.id in table.associations:
            return table
        if table.main and table.vpc_id == subnet.vpc_id:
            main = table
    return main


def acl_of(subnet: Subnet, topology: Topology) -> NetworkAcl:
    """The ACL with which the subnet is associated, else the VPC's default, which allows everything."""
    for acl in topology.of(NetworkAcl):
        if subnet.id in acl.associations:
            return acl
    both_ways = tuple(NetworkAclEntry(rule_number=100, direction=direction, rule_action=Verdict.ALLOW, cidr_block=ANYWHERE) for direction in Direction)
    return NetworkAcl(id=default_network_acl(subnet.vpc_id), vpc_id=subnet.vpc_id, entries=both_ways)


def edge_table_of(gateway_id: str, topology: Topology) -> RouteTable | None:
    """The gateway route table of an internet gateway, if it has one."""
    return next((table for table in topology.of(RouteTable) if gateway_id in table.gateway_associations), None)


def in_order(table: RouteTable, vpc: Vpc, prefix_lists: PrefixLists) -> tuple[Selected, ...]:
    """Every route of the table, local ones included, the one that is preferred first. The first that holds a destination takes its packets."""
    return tuple(sorted(_routes(table, vpc, prefix_lists), key=_rank))


def select(table: RouteTable, vpc: Vpc, destination: IPv4Address, prefix_lists: PrefixLists) -> Selected | None:
    """The route that takes packets to `destination`; None if there is none or the destination is never forwarded."""
    if destination in NEVER_FORWARDED:
        return None
    return min((route for route in _routes(table, vpc, prefix_lists) if destination in route.destination), key=_rank, default=None)


def target_of(route: Route) -> str:
    """The id that the route names."""
    return next(iter(route.targets()), "")


def _rank(selected: Selected) -> tuple[int, RoutePriority, int, str]:
    list_id = "" if selected.route is None else selected.route.destination_prefix_list_id or ""
    return (-selected.destination.prefixlen, selected.priority, int(selected.destination.network_address), list_id)


def _routes(table: RouteTable, vpc: Vpc, prefix_lists: PrefixLists) -> Iterator[Selected]:
    replaced = {route.destination_cidr_block for route in table.routes if not isinstance(route, PropagatedRoute)}
    for block in vpc.cidr_blocks:
        if block not in replaced:
            yield Selected(route=None, destination=block, priority=RoutePriority.STATIC, origin=f"{table.id} {block} -> local")
    for route in table.routes:
        if isinstance(route, PropagatedRoute) and route.destination_cidr_block is not None:
            origin = f"{table.id} {route.destination_cidr_block} -> {target_of(route)} (propagated, {route.source})"
            yield Selected(route=route, destination=route.destination_cidr_block, priority=route.priority, origin=origin)
        elif route.destination_cidr_block is not None:
            origin = f"{table.id} {route.destination_cidr_block} -> {target_of(route)}"
            yield Selected(route=route, destination=route.destination_cidr_block, priority=RoutePriority.STATIC, origin=origin)
        elif (prefix_list := prefix_lists.get(route.destination_prefix_list_id or "")) is not None:
            for block in prefix_list.blocks:
                origin = f"{table.id} {prefix_list.id} {block} -> {target_of(route)}"
                yield Selected(route=route, destination=block, priority=RoutePriority.PREFIX_LIST, origin=origin)
