"""Route selection from the tables as written: which table and which ACL serve a subnet, and which route takes a packet.

The longest prefix wins; the VPC's local route is in every table. Deliberately not `resolve.routes`: the two are held against each other.
Source: VPC user guide, "How route priority works", "Configure route tables", "Network ACLs" (documented).
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from testbed.model.network_acl import Direction, NetworkAcl, NetworkAclEntry
from testbed.model.route_table import Route, RouteTable
from testbed.model.subnet import Subnet
from testbed.model.topology import Topology
from testbed.model.values import ANYWHERE, Verdict
from testbed.model.vpc import Vpc
from testbed.resolve.references import default_network_acl, default_route_table

NEVER_FORWARDED = IPv4Network("169.254.168.0/22")
"""A wider route is accepted, but packets to these addresses are not forwarded (VPC user guide, "Configure route tables"; documented)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """The route that takes a packet; `route` None is the local one."""

    route: Route | None
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


def select(table: RouteTable, vpc: Vpc, destination: IPv4Address) -> Selected | None:
    """The longest matching route, the local one included; None if there is none or the destination is never forwarded."""
    if destination in NEVER_FORWARDED:
        return None
    best = Selected(route=None, origin=f"{table.id} {vpc.cidr_block} -> local") if destination in vpc.cidr_block else None
    length = vpc.cidr_block.prefixlen if best is not None else -1
    for route in table.routes:
        if route.destination_cidr_block.prefixlen > length and destination in route.destination_cidr_block:
            length = route.destination_cidr_block.prefixlen
            best = Selected(route=route, origin=f"{table.id} {route.destination_cidr_block} -> {target_of(route)}")
    return best


def target_of(route: Route) -> str:
    """The id that the route names."""
    return route.gateway_id or route.nat_gateway_id or route.network_interface_id or route.instance_id or ""
