"""Faults of route tables across resources: mains, associations, and where routes may lead.

That a NAT gateway's own subnet leads to an internet gateway is not asked for: AWS accepts it otherwise, and the packets show it.
Source: VPC user guide, "Configure route tables" (main table, associations, more specific than local; documented).
NOT MODELLED: replacing the local route's target, gateway route tables.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network

from testbed.model.instance import Instance
from testbed.model.internet_gateway import InternetGateway
from testbed.model.nat_gateway import NatGateway
from testbed.model.network_interface import NetworkInterface
from testbed.model.route_table import Route, RouteTable
from testbed.model.subnet import Subnet
from testbed.model.values import Fault
from testbed.model.vpc import Vpc
from testbed.resolve.interfaces import Wanted
from testbed.resolve.references import References


def faults(references: References, _: tuple[Wanted, ...]) -> Iterator[Fault]:
    """Faults of the tables of each VPC, then of each table's associations and routes."""
    tables = references.topology.of(RouteTable)
    for vpc in references.topology.of(Vpc):
        mains = [table for table in tables if table.main and table.vpc_id == vpc.id]
        for table in mains[1:]:
            yield Fault(resource=table.id, problem=f"{vpc.id} already has the main route table {mains[0].id}", remedy="leave main=True on one table of the VPC")
    for table in tables:
        yield from association_faults(table.id, table.vpc_id, table.associations, "route table", references)
        for route in table.routes:
            yield from _target_faults(table, route, references)
            yield from _local_faults(table, route, references)
    yield from shared_subnet_faults([(table.id, table.associations) for table in tables], "route table")


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
    name = f"{table.id} {route.destination_cidr_block}"
    for target, vpc_id in _vpcs_of_targets(route, references):
        if vpc_id != table.vpc_id:
            yield Fault(resource=name, problem=f"target {target} is in {vpc_id}, not in {table.vpc_id}", remedy=f"choose a target of {table.vpc_id}")
    interfaces = [interface.id for interface in references.topology.of(NetworkInterface) if interface.instance_id == route.instance_id]
    if route.instance_id is not None and interfaces:
        problem = f"target {route.instance_id} has more than one network interface"
        yield Fault(resource=name, problem=problem, remedy=f"name the interface in network_interface_id, such as {interfaces[0]}")


def _vpcs_of_targets(route: Route, references: References) -> Iterator[tuple[str, str]]:
    """Each target that exists, and its VPC's id."""
    gateway = references.get(InternetGateway, route.gateway_id)
    if gateway is not None:
        yield gateway.id, gateway.vpc_id
    in_subnets = (references.get(NatGateway, route.nat_gateway_id), references.get(NetworkInterface, route.network_interface_id), references.get(Instance, route.instance_id))
    for target in in_subnets:
        subnet = None if target is None else references.get(Subnet, target.subnet_id)
        if target is not None and subnet is not None:
            yield target.id, subnet.vpc_id


def _local_faults(table: RouteTable, route: Route, references: References) -> Iterator[Fault]:
    """A route for the VPC's own addresses: only a whole subnet's block, and only through a NAT gateway or network interface."""
    vpc = references.get(Vpc, table.vpc_id)
    destination = route.destination_cidr_block
    if vpc is None or not isinstance(vpc.cidr_block, IPv4Network) or not isinstance(destination, IPv4Network) or not destination.subnet_of(vpc.cidr_block):
        return
    name = f"{table.id} {destination}"
    if destination == vpc.cidr_block:
        yield Fault(resource=name, problem="the VPC's local route has this destination", remedy="remove the route: every table has the local one")
        return
    if destination not in [subnet.cidr_block for subnet in references.topology.of(Subnet) if subnet.vpc_id == vpc.id]:
        problem = "more specific than the local route, but not the block of a subnet"
        yield Fault(resource=name, problem=problem, remedy="use the whole cidr_block of a subnet as destination, or remove the route")
    if route.gateway_id is not None:
        problem = "more specific than the local route, but its target is an internet gateway"
        yield Fault(resource=name, problem=problem, remedy="use a NAT gateway or a network interface as target, or remove the route")
