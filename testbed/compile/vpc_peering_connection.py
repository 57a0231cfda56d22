"""A VPC peering connection becomes one link from fabric to fabric: no hop, no state, nothing that a packet could be transited through.

    fabric A   table of a subnet: peer's range ─> p-pcx ═══════════ p-pcx   fabric B   no mark: the main table, which knows interfaces of B only

What arrives over a peering gets no route table, so that it reaches no gateway, resolver or further peer of B. Each fabric keeps the state of its
own interfaces; two peers with the same range meet in none. Replies to a peer's NAT gateway return over the peering by which the flow came, whatever the
subnet's table says: the connection mark remembers it (marks: return table).
Source: VPC peering guide, "VPC peering basics", "VPC peering limitations"; VPC user guide, "NAT gateway basics"; EC2 user guide, "Network MTU" (documented).
A word of the fabric about an MTU of 8500 (inter-Region) is assumed. NOT MODELLED: encryption between Regions.
"""

from __future__ import annotations

from testbed.compile import fabric, return_path
from testbed.compile.fragment import Fragment, NodePart, join
from testbed.compile.link import ordered
from testbed.compile.places import city_of, region_of
from testbed.model.geography import round_trip_ms
from testbed.model.vpc_peering_connection import VpcPeeringConnection
from testbed.plan import Link, Neighbour, Wire
from testbed.resolve.resolved import OwnerKind, Resolved

INTER_REGION_MTU_BYTES = 8500


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
    device, origin = fabric.peering_device(peering.id), f"{peering.id} return to sender"
    route = fabric.through(device, fabric.EVERYTHING, return_path.kernel_table(vpc, peering.id, resolved), origin)
    sources = ", ".join(str(address) for interface in gateways for address in interface.addresses)
    return return_path.lower(vpc, peering.id, device, f"ip saddr {{ {sources} }}", route, resolved, origin=origin)
