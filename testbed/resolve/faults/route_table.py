"""Faults of route tables across resources: mains, associations, and where routes may lead (gateway route tables: see `gateway_route_table`).

That a NAT gateway's own subnet leads to an internet gateway is not asked for: AWS accepts it otherwise, and the packets show it.
Source: VPC user guide, "Configure route tables" (main table, associations, more specific than local, replaced local), "Amazon VPC quotas" (documented).
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network

from testbed.model.instance import Instance
from testbed.model.internet_gateway import InternetGateway
from testbed.model.nat_gateway import NatGateway
from testbed.model.network_interface import NetworkInterface
from testbed.model.prefix_list import PrefixList
from testbed.model.route_table import BLACKHOLE, Route, RouteTable
from testbed.model.subnet import Subnet
from testbed.model.values import Fault
from testbed.model.vpc import Vpc
from testbed.model.vpc_endpoint import VpcEndpoint
from testbed.model.vpc_peering_connection import VpcPeeringConnection
from testbed.model.vpn_gateway import VpnGateway
from testbed.resolve.faults.network_firewall import vpc_of_endpoint
from testbed.resolve.interfaces import Wanted
from testbed.resolve.references import References


def faults(references: References, _: tuple[Wanted, ...]) -> Iterator[Fault]:
    """Faults of the tables of each VPC, then of each table's associations and routes."""
    tables = references.topology.of(RouteTable)
    for vpc in references.topology.of(Vpc):
        mains = [table for table in references.inside(RouteTable, vpc.id) if table.main]
        for table in mains[1:]:
            yield Fault(resource=table.id, problem=f"{vpc.id} already has the main route table {mains[0].id}", remedy="leave main=True on one table of the VPC")
    for table in tables:
        yield from association_faults(table.id, table.vpc_id, table.associations, "route table", references)
        for route in table.routes:
            yield from _target_faults(table, route, references)
            yield from _local_faults(table, route, references)
            yield from _endpoint_faults(table, route, references)
            yield from _blackhole_faults(table, route, references)
    yield from shared_subnet_faults([(table.id, table.associations) for table in tables], "route table")
    yield from _quota_faults(references)


def association_faults(resource: str, vpc_id: str, associations: tuple[str, ...], noun: str, references: References) -> Iterator[Fault]:
    """Subnets of another VPC among the associations of a route table or network ACL."""
    for subnet_id in associations:
        subnet = references.get(Subnet, subnet_id)
        if subnet is not None and references.get(Vpc, vpc_id) is not None and subnet.vpc_id != vpc_id:
            yield Fault(resource=resource, problem=f"associated with {subnet_id}, a subnet of {subnet.vpc_id}", remedy=f"associate a {noun} with subnets of its own VPC {vpc_id}")


def shared_subnet_faults(holders: list[tuple[str, tuple[str, ...]]], noun: str) -> Iterator[Fault]:
    """Subnets that are associated twice: a subnet has exactly one route table and one network ACL."""
    first: dict[str, str] = {}
    for holder, associations in holders:
        for subnet_id in associations:
            if subnet_id in first:
                yield Fault(resource=subnet_id, problem=f"associated with two {noun}s, {first[subnet_id]} and {holder}", remedy=f"a subnet has one {noun}: remove it from one of them")
            first.setdefault(subnet_id, holder)


def _target_faults(table: RouteTable, route: Route, references: References) -> Iterator[Fault]:
    name = f"{table.id} {route.destination}"
    for target, vpc_ids in _vpcs_of_targets(route, references):
        if table.vpc_id not in vpc_ids:
            problem = f"target {target} is in {' and '.join(vpc_ids)}, not in {table.vpc_id}"
            yield Fault(resource=name, problem=problem, remedy=f"choose a target of {table.vpc_id}")
    interfaces = [interface.id for interface in references.topology.of(NetworkInterface) if interface.instance_id == route.instance_id]
    if route.instance_id is not None and interfaces:
        problem = f"target {route.instance_id} has more than one network interface"
        yield Fault(resource=name, problem=problem, remedy=f"name the interface in network_interface_id, such as {interfaces[0]}")


def _vpcs_of_targets(route: Route, references: References) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each target that exists, and the ids of the VPCs that may use it: two for a peering."""
    gateway = references.get(InternetGateway, route.gateway_id) or references.get(VpnGateway, route.gateway_id)
    if gateway is not None:
        yield gateway.id, (gateway.vpc_id,)
    peering = references.get(VpcPeeringConnection, route.vpc_peering_connection_id)
    if peering is not None:
        yield peering.id, peering.vpcs
    behind = vpc_of_endpoint(route.vpc_endpoint_id, references)
    if route.vpc_endpoint_id is not None and behind is not None:
        yield route.vpc_endpoint_id, (behind,)
    endpoint = references.get(VpcEndpoint, route.vpc_endpoint_id)
    if endpoint is not None:
        yield endpoint.id, (endpoint.vpc_id,)
    in_subnets = (references.get(NatGateway, route.nat_gateway_id), references.get(NetworkInterface, route.network_interface_id), references.get(Instance, route.instance_id))
    for target in in_subnets:
        subnet = None if target is None else references.get(Subnet, target.subnet_id)
        if target is not None and subnet is not None:
            yield target.id, (subnet.vpc_id,)


def destinations(route: Route, references: References) -> tuple[IPv4Network, ...]:
    """The blocks that a route leads to; what is no CIDR is left out."""
    if isinstance(route.destination_cidr_block, IPv4Network):
        return (route.destination_cidr_block,)
    named = references.get(PrefixList, route.destination_prefix_list_id)
    return () if named is None else tuple(entry.cidr for entry in named.entries if isinstance(entry.cidr, IPv4Network))


def _local_faults(table: RouteTable, route: Route, references: References) -> Iterator[Fault]:
    """A route for the VPC's own addresses: a whole block of the VPC or of a subnet, and only to a NAT gateway, a network interface or a Gateway Load Balancer endpoint."""
    vpc = references.get(Vpc, table.vpc_id)
    if vpc is None:
        return
    for destination in destinations(route, references):
        inside = [block for block in vpc.cidr_blocks if destination.subnet_of(block)]
        if not inside:
            continue
        name = f"{table.id} {route.destination if route.destination_prefix_list_id is None else f'{route.destination} {destination}'}"
        is_local = destination in inside
        relation = "has the local route's destination" if is_local else "more specific than the local route"
        if route.destination_prefix_list_id is not None and is_local:  # assumed: only a route with a CIDR replaces the local one
            yield Fault(resource=name, problem=f"{relation}, by a prefix list", remedy="remove the entry: every table has the local route")
        elif not is_local and destination not in [subnet.cidr_block for subnet in references.inside(Subnet, vpc.id)]:
            problem = f"{relation}, but not the block of a subnet"
            yield Fault(resource=name, problem=problem, remedy="use the whole cidr_block of a subnet as destination, or remove the route")
        for target, noun in ((route.gateway_id, "an internet gateway"), (route.vpc_peering_connection_id, "a VPC peering connection"), (route.transit_gateway_id, "a transit gateway")):
            if target is not None:
                problem = f"{relation}, but its target is {noun}"
                yield Fault(resource=name, problem=problem, remedy="use a NAT gateway, a network interface or a Gateway Load Balancer endpoint as target, or remove the route")


def _endpoint_faults(table: RouteTable, route: Route, references: References) -> Iterator[Fault]:
    """Routes lead to Gateway Load Balancer endpoints, never to interface endpoints; gateway endpoints put in their own. One that leads back to itself would send packets round for ever."""
    endpoint = references.get(VpcEndpoint, route.vpc_endpoint_id)
    if endpoint is None:
        return
    name = f"{table.id} {route.destination}"
    if not endpoint.is_gateway_load_balancer:
        yield Fault(resource=name, problem=f"target {endpoint.id} is no Gateway Load Balancer endpoint", remedy="name one of type GatewayLoadBalancer, or remove the route")
    served = {subnet.id for subnet in references.topology.of(Subnet) if subnet.id in table.associations or (table.main and subnet.vpc_id == table.vpc_id and not _has_own_table(subnet, references))}
    if served & set(endpoint.subnet_ids):  # assumed: AWS's guides always give the endpoint a subnet and a table of its own
        yield Fault(resource=name, problem=f"{endpoint.id} is in a subnet of this table, and would get its own packets back", remedy="give the endpoint's subnet a route table of its own")


def _has_own_table(subnet: Subnet, references: References) -> bool:
    return any(subnet.id in table.associations for table in references.topology.of(RouteTable))


def _blackhole_faults(table: RouteTable, route: Route, references: References) -> Iterator[Fault]:
    """state="blackhole" says that the target is gone: one that is there, and could forward, contradicts it."""
    if route.state != BLACKHOLE:
        return
    for target in route.targets():
        found = references.named(target)
        detached = isinstance(found, NetworkInterface) and found.instance_id is None
        pending = isinstance(found, VpcPeeringConnection) and not found.accepted
        if found is not None and not detached and not pending:
            problem = f"the route is a blackhole, but its target {target} exists"
            yield Fault(resource=f"{table.id} {route.destination}", problem=problem, remedy="leave state out, or remove the target from the topology")


def _quota_faults(references: References) -> Iterator[Fault]:
    quotas, tables = references.topology.quotas, references.topology.of(RouteTable)
    for vpc in references.topology.of(Vpc):
        count = len(references.inside(RouteTable, vpc.id))
        if count > quotas.route_tables_per_vpc:
            yield Fault(resource=vpc.id, problem=f"{count} route tables, over the limit of {quotas.route_tables_per_vpc}", remedy="raise the quota (Quotas.route_tables_per_vpc), or share tables")
    for table in tables:
        named = (references.get(PrefixList, route.destination_prefix_list_id) for route in table.routes)
        count = sum(1 if prefix_list is None else prefix_list.max_entries for prefix_list in named)
        if count > quotas.routes_per_route_table:
            remedy = "raise the quota (Quotas.routes_per_route_table); a prefix list counts as its max_entries"
            yield Fault(resource=table.id, problem=f"{count} routes, over the limit of {quotas.routes_per_route_table}", remedy=remedy)
