"""Replies that go back the way that their flow came, whatever the tables of their subnet say: by the connection mark (`marks`: return table).

    new flow    by one of the devices in `arrivals`, from a source that its chain is for     ct mark = number of the return table
    reply       ct mark ─▶ chain of that table: packet mark = its route table, by which `ip rule` leads to the one route there

Used for what a peer's NAT gateway sends over a peering, for what a Network Load Balancer's node sends on with its client's address, and for what comes by Global Accelerator.
A table's number is its owner's hash's, since connection marks outlive a live change.
"""

from __future__ import annotations

from ipaddress import IPv4Network

from testbed.compile import fabric
from testbed.compile.fragment import Fragment, NodePart
from testbed.compile.network_target_group import keepers
from testbed.compile.per_topology import per_topology
from testbed.model.vpc_peering_connection import VpcPeeringConnection
from testbed.plan import NftChain, NftMap, NftRule, NftTable, PolicyRule, Route
from testbed.plan.marks import FIRST_RETURN_TABLE, RETURN_TABLE_MASK, RETURN_TABLE_SHIFT, ROUTE_TABLE_MASK, SAME_SUBNET
from testbed.plan.names import identifier
from testbed.resolve.interfaces import hashed
from testbed.resolve.resolved import Resolved

CHAIN = "returns"
ARRIVALS, TABLES = "return_arrivals", "return_tables"
ALL = 0xFFFFFFFF


def kernel_table(vpc: str, owner: str, resolved: Resolved) -> int:
    """The kernel's number of the return table of a peering or a balancer's node in a VPC's fabric."""
    return fabric.FIRST_TABLE + _numbers(resolved, vpc)[owner]


def lower(vpc: str, owner: str, device: str, sources: str, route: Route, resolved: Resolved, *, origin: str, subnet: IPv4Network | None = None) -> Fragment:
    """In the fabric of `vpc`: new flows that come by `device` from `sources` (nft's words: ``ip saddr …``) have replies that take `route`.

    `subnet` is where they go back to, if it is one of the VPC: then it is that subnet's border which they cross, if any; None: they leave as they would have.
    """
    number = _numbers(resolved, vpc)[owner]
    remember, back, mark = identifier("remember", owner), identifier("return", owner), number << RETURN_TABLE_SHIFT
    by_table = f"meta mark set meta mark & {ALL ^ ROUTE_TABLE_MASK:#x} | {number:#x}"
    crossing = f"meta mark set meta mark & {ALL ^ ROUTE_TABLE_MASK ^ SAME_SUBNET:#x} | {number:#x}"
    within = () if subnet is None else (NftRule(statement=f"{fabric.within('saddr', subnet)} meta mark set meta mark | {SAME_SUBNET:#x}"),)
    table = NftTable(
        name=fabric.TABLE,
        maps=(
            fabric.verdicts(ARRIVALS, ((fabric.quoted(device), f"goto {remember}"),)),
            NftMap(name=TABLES, type="mark", value_type="verdict", elements=((f"{mark:#010x}", f"goto {back}"),)),
        ),
        chains=(
            NftChain(
                name=CHAIN,
                hook="type filter hook prerouting priority mangle; policy accept;",
                rules=(NftRule(statement=f"ct state new iif vmap @{ARRIVALS}"), NftRule(statement=f"ct direction reply ct mark & {RETURN_TABLE_MASK:#x} vmap @{TABLES}")),
            ),
            NftChain(name=remember, rules=(NftRule(statement=f"{sources} ct mark set ct mark & {ALL ^ RETURN_TABLE_MASK:#x} | {mark:#x}", origin=origin),)),
            NftChain(name=back, rules=(NftRule(statement=by_table if subnet is None else crossing, origin=origin), *within)),
        ),
    )
    kernel = fabric.FIRST_TABLE + number
    rule = PolicyRule(priority=kernel, mark=number, mask=ROUTE_TABLE_MASK, table=kernel, origin=origin)
    return Fragment(nodes=(NodePart(name=vpc, rules=(rule,), routes=(route,), tables=(table,)),))


@per_topology
def _numbers(resolved: Resolved, vpc: str) -> dict[str, int]:
    """Every owner's number in a VPC: where its hash points, or the next free one."""
    peerings = [peering.id for peering in resolved.topology.of(VpcPeeringConnection) if peering.accepted and vpc in peering.vpcs]
    room, taken = ROUTE_TABLE_MASK + 1 - FIRST_RETURN_TABLE, dict[int, str]()
    for owner in (*peerings, *(interface.id for interface in keepers(resolved, vpc)), *(exit.node for exit in resolved.accelerator_exits if exit.vpc == vpc)):
        taken[next(n for step in range(room) if (n := FIRST_RETURN_TABLE + (hashed(owner) + step) % room) not in taken)] = owner
    return {owner: number for number, owner in taken.items()}
