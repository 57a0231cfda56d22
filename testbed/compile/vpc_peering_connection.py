"""A VPC peering connection becomes one link from fabric to fabric: no hop, no state, nothing that a packet could be transited through.

    fabric A   table of a subnet: peer's range ─> p-pcx ═══════════ p-pcx   fabric B   no mark: the main table, which knows interfaces of B only

What arrives over a peering gets no route table, so that it reaches no gateway, resolver or further peer of B. Each fabric keeps the state of its
own interfaces; two peers with the same range meet in none. Replies to a peer's NAT gateway return over the peering by which the flow came, whatever the
subnet's table says: the connection mark remembers it (marks: return table).
Source: VPC peering guide, "VPC peering basics", "VPC peering limitations"; VPC user guide, "NAT gateway basics"; EC2 user guide, "Network MTU" (documented).
A word of the fabric about an MTU of 8500 (inter-Region) is assumed. NOT MODELLED: encryption between Regions.
"""

from __future__ import annotations

from testbed.compile import fabric
from testbed.compile.fragment import Fragment, NodePart, join
from testbed.compile.link import ordered
from testbed.compile.places import city_of, region_of
from testbed.model.geography import round_trip_ms
from testbed.model.vpc_peering_connection import VpcPeeringConnection
from testbed.plan import Link, Neighbour, NftChain, NftMap, NftRule, NftTable, PolicyRule, Wire
from testbed.plan.marks import FIRST_RETURN_TABLE, RETURN_TABLE_MASK, RETURN_TABLE_SHIFT, ROUTE_TABLE_MASK
from testbed.plan.names import identifier
from testbed.resolve.interfaces import hashed
from testbed.resolve.resolved import OwnerKind, Resolved

INTER_REGION_MTU_BYTES = 8500
RETURN_CHAIN = "returns"
ARRIVALS, RETURN_TABLES = "nat_gateway_arrivals", "return_tables"


def lower(peering: VpcPeeringConnection, resolved: Resolved) -> Fragment:
    """The link and both ends of an active peering; nothing of one that is pending."""
    if not peering.accepted:
        return Fragment()
    device, regions = fabric.peering_device(peering.id), [region_of(resolved, fabric.vpc_of(resolved, vpc).vpc.region) for vpc in peering.vpcs]
    same_region = regions[0].id == regions[1].id
    mtu = fabric.VPC_MTU_BYTES if same_region else INTER_REGION_MTU_BYTES
    ends = [fabric.end(vpc, device, mtu_bytes=mtu, origin=peering.id) for vpc in peering.vpcs]
    near, far = (city_of(resolved, region.city).city for region in regions)
    wire = None if same_region else Wire(delay_ms=round(round_trip_ms(near, far) / 2, 3))
    nodes = tuple(
        NodePart(name=mine.node, neighbours=(Neighbour(address=fabric.GATEWAY_END, mac=other.mac, device=device),)) for mine, other in (ends, reversed(ends))
    )
    returns, doors = (_returns(vpc, peering, resolved) for vpc in peering.vpcs), tuple(fabric.door(vpc, device) for vpc in peering.vpcs)
    return join(Fragment(nodes=(*nodes, *doors), links=(ordered(Link(a=ends[0], b=ends[1], wire=wire, origin=peering.id)),)), *returns)


def peerings_of(vpc: str, resolved: Resolved) -> tuple[VpcPeeringConnection, ...]:
    """The active peerings of a VPC, by id."""
    return tuple(peering for peering in resolved.topology.of(VpcPeeringConnection) if peering.accepted and vpc in peering.vpcs)


def _returns(vpc: str, peering: VpcPeeringConnection, resolved: Resolved) -> Fragment:
    """In the fabric of `vpc`: flows that a NAT gateway of the peer begins are remembered, and their replies go back over the peering."""
    peer = peering.other(vpc)
    gateways = [interface for interface in resolved.interfaces_in(peer) if interface.owner_kind is OwnerKind.NAT_GATEWAY]
    if not gateways:
        return Fragment()
    device, number = fabric.peering_device(peering.id), return_table(vpc, peering, resolved)
    remember, back = identifier("remember", peering.id), identifier("return", peering.id)
    mark, origin = number << RETURN_TABLE_SHIFT, f"{peering.id} return to sender"
    table = NftTable(
        name=fabric.TABLE,
        maps=(
            NftMap(name=ARRIVALS, type="iface_index . ipv4_addr", value_type="verdict", elements=tuple((f"{fabric.quoted(device)} . {address}", f"goto {remember}") for i in gateways for address in i.addresses)),
            NftMap(name=RETURN_TABLES, type="mark", value_type="verdict", elements=((f"{mark:#010x}", f"goto {back}"),)),
        ),
        chains=(
            NftChain(
                name=RETURN_CHAIN,
                hook="type filter hook prerouting priority mangle; policy accept;",
                rules=(
                    NftRule(statement=f"ct state new iif . ip saddr vmap @{ARRIVALS}"),
                    NftRule(statement=f"ct direction reply ct mark & {RETURN_TABLE_MASK:#x} vmap @{RETURN_TABLES}"),
                ),
            ),
            NftChain(name=remember, rules=(NftRule(statement=f"ct mark set ct mark & {0xFFFFFFFF ^ RETURN_TABLE_MASK:#x} | {mark:#x}", origin=origin),)),
            NftChain(name=back, rules=(NftRule(statement=f"meta mark set meta mark & {0xFFFFFFFF ^ ROUTE_TABLE_MASK:#x} | {number:#x}", origin=origin),)),
        ),
    )
    kernel_table = fabric.FIRST_TABLE + number
    rule = PolicyRule(priority=kernel_table, mark=number, mask=ROUTE_TABLE_MASK, table=kernel_table, origin=origin)
    return Fragment(nodes=(NodePart(name=vpc, rules=(rule,), routes=(fabric.through(device, fabric.EVERYTHING, kernel_table, origin),), tables=(table,)),))


def return_table(vpc: str, peering: VpcPeeringConnection, resolved: Resolved) -> int:
    """The number of the peering's return table: by its id's hash, since connection marks outlive a live change."""
    room, taken = ROUTE_TABLE_MASK + 1 - FIRST_RETURN_TABLE, dict[int, str]()
    for each in peerings_of(vpc, resolved):
        number = next(n for step in range(room) if (n := FIRST_RETURN_TABLE + (hashed(each.id) + step) % room) not in taken)
        taken[number] = each.id
    return next(number for number, owner in taken.items() if owner == peering.id)
