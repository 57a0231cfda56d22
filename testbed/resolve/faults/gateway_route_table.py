"""Faults of gateway route tables: those that route what enters by an internet gateway.

Targets are `local`, network interfaces and Gateway Load Balancer endpoints, destinations whole blocks of the VPC or of a subnet, never a prefix list.
Source: VPC user guide, "Gateway route tables" (documented). That a table serves either gateways or subnets is assumed.
"""

from __future__ import annotations

from collections.abc import Iterator

from testbed.model.internet_gateway import InternetGateway
from testbed.model.route_table import RouteTable
from testbed.model.subnet import Subnet
from testbed.model.values import Fault
from testbed.model.vpc import Vpc
from testbed.resolve.faults.route_table import destinations
from testbed.resolve.interfaces import Wanted
from testbed.resolve.references import References


def faults(references: References, _: tuple[Wanted, ...]) -> Iterator[Fault]:
    """Faults of each table with a gateway association, and gateways with two tables."""
    first: dict[str, str] = {}
    for table in references.topology.of(RouteTable):
        for gateway_id in table.gateway_associations:
            if first.setdefault(gateway_id, table.id) != table.id:
                yield Fault(resource=gateway_id, problem=f"associated with two route tables, {first[gateway_id]} and {table.id}", remedy="a gateway has one route table: remove it from one of them")
            gateway = references.get(InternetGateway, gateway_id)
            if gateway is not None and gateway.vpc_id != table.vpc_id:
                yield Fault(resource=table.id, problem=f"associated with {gateway_id}, the gateway of {gateway.vpc_id}", remedy=f"associate a gateway of {table.vpc_id}")
        if table.gateway_associations:
            yield from _table_faults(table, references)


def _table_faults(table: RouteTable, references: References) -> Iterator[Fault]:
    if table.associations or table.main:
        yield Fault(resource=table.id, problem="serves an internet gateway and subnets", remedy="make a table of its own for the gateway")
    vpc = references.get(Vpc, table.vpc_id)
    subnets = [subnet.cidr_block for subnet in references.topology.of(Subnet) if subnet.vpc_id == table.vpc_id]
    for route in table.routes:
        name = f"{table.id} {route.destination}"
        if route.destination_prefix_list_id is not None:
            yield Fault(resource=name, problem="a gateway route table cannot have a prefix list as destination", remedy="use the cidr_block of the VPC or of a subnet")
        if route.gateway_id is not None or route.nat_gateway_id is not None or route.vpc_peering_connection_id is not None:
            yield Fault(resource=name, problem=f"a gateway route table cannot lead to {route.targets()[0]}", remedy="use a network interface of a middlebox or a Gateway Load Balancer endpoint as target, or remove the route")
        if vpc is not None and any(block not in (*vpc.cidr_blocks, *subnets) for block in destinations(route, references)):
            yield Fault(resource=name, problem="the destination is neither a whole block of the VPC nor of a subnet", remedy="use the cidr_block of the VPC or of a subnet")
