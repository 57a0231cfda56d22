"""A subnet becomes its .1 address, a blackhole for addresses that nobody has, and the chain that marks what its interfaces send.

Source: VPC user guide, "Subnet CIDR blocks", "Configure route tables": frames between hosts of one subnet meet no route (documented).
"""

from __future__ import annotations

from ipaddress import IPv4Interface

from testbed.compile import fabric
from testbed.compile.fragment import Fragment, NodePart
from testbed.plan import NftChain, NftRule, NftTable, Route, RouteType
from testbed.plan.names import identifier
from testbed.resolve.resolved import Resolved, ResolvedSubnet


def lower(subnet: ResolvedSubnet, resolved: Resolved) -> Fragment:
    """The subnet's part of its VPC's fabric."""
    name, block = subnet.subnet.id, subnet.subnet.cidr_block
    table = resolved.route_table(subnet.route_table)
    zones = dict(fabric.vpc_of(resolved, subnet.subnet.vpc_id).zone_numbers)
    leaving, staying = fabric.subnet_mark(table.number, zones[subnet.subnet.availability_zone])
    marks = NftChain(
        name=chain_name(name),
        rules=(
            NftRule(statement=f"{fabric.within('daddr', block)} meta mark set {staying:#x} return", origin=f"{name} same subnet"),
            NftRule(statement=f"meta mark set {leaving:#x}", origin=table.id),
        ),
    )
    part = NodePart(
        name=subnet.subnet.vpc_id,
        loopback=(IPv4Interface(fabric.router(subnet.subnet)),),
        routes=(Route(destination=block, type=RouteType.BLACKHOLE, origin=f"{name} no such address"),),
        tables=(NftTable(name=fabric.TABLE, chains=(marks,)),),
    )
    return Fragment(nodes=(part,))


def chain_name(subnet_id: str) -> str:
    """The chain that marks the packets of a subnet's interfaces."""
    return identifier("subnet", subnet_id)
