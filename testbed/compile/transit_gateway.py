"""A transit gateway becomes one namespace: no state, no address, one device for each attachment and zone, a few kernel tables.

    arriving device ─▶ mark = number of the associated route table | zone of the sender (nft map, one look-up)
    only if the route leads to an attachment with appliance mode: the zone is chosen for the flow, not for the sender
    mark ─▶ kernel table ─▶ device of the next attachment in that zone

What arrives keeps its zone: a route to a VPC attachment leads to the device of the same zone, or, where that zone is not enabled, of the first one that is (AWS: a random
one; here the first by name). With appliance mode the zone is that of both ends if they have the same, that of the one which has any, else `symhash` decides, alike for both directions.
No `ct` word may ever stand in this namespace: it sees one flow twice, one-sided, and with the same addresses in different tables.

For lowerings that attach something else (VPN, Direct Connect gateway):
  - say in `resolve.transit_gateways` that there is an attachment; `resolved.transit_gateway_attachments` then has it, with its table.
  - make a device in the node ``<transit gateway's id>``: `end(…)` is a `plan.Interface` for a link; a TUN device that a daemon makes there will do as well.
  - `arrivals(attachment, device, resolved)` is the NodePart that has what comes in by that device routed by the attachment's table. Call it once for each device.
  - static routes and blackholes are written by `transit_gateway_route_table`: they leave by ``device(attachment.id)`` via `fabric.FABRIC_END`, for which you give a permanent neighbour; change
    `transit_gateway_route_table.next_hop` for a kind that needs anything else. (A TUN device of that name is fine: neighbours are not asked there.)
  - propagated routes that BGP learns go into *each* of `kernel_tables(table, resolved)`, for each table of `propagated_to(attachment, resolved)`, with
    `metric(priority)`: one kernel table for each zone and one (zone 0) for what comes from outside VPCs. In BIRD: one ``kernel table N; metric M`` with a table of its own for each, joined by pipes.
    The kernel takes the longest prefix and then the lowest metric, which is AWS's order: static 100, prefix list 200, VPC 300, Direct Connect gateway 400, Connect 500,
    VPN over Direct Connect 600, VPN 700. Nothing matches: a blackhole with metric `NO_ROUTE_METRIC`.
  - BGP, BFD and GRE end in this namespace only if its `input` chain lets them in: add a rule's verdict to the map `received` (``ifname : verdict``), as `received(device, rules)` does.
Sources: Transit Gateway guide, "How AWS Transit Gateway works", "Amazon VPC attachments in AWS Transit Gateway" (appliance mode), "Transit gateway quotas" (MTU; documented).
That it is no hop in a traceroute is assumed. MSS is clamped always (documented). Whoever sends more than 8500 bytes from a VPC is told by its own fabric, in the name of the subnet's .1; nothing else
is told anything, since the gateway itself is silent (documented: replies on VPC and Connect attachments only). What may be cut is cut by the sender's fabric (assumed).
NOT MODELLED: the zone of an address that several attached VPCs have, which appliance mode then gives to the hash; bandwidth.
"""

from __future__ import annotations

from testbed.compile import fabric
from testbed.compile.fragment import Fragment, NodePart
from testbed.compile.places import forwarding_sysctls, region_of
from testbed.model.transit_gateway import MTU_BYTES, TransitGateway
from testbed.model.transit_gateway_attachment import AttachmentKind, TransitGatewayRoutePriority
from testbed.plan import Interface, NftChain, NftMap, NftRule, NftTable, Node, NodeKind, Route, RouteType
from testbed.plan.marks import AVAILABILITY_ZONE_SHIFT, LOSES_TTL, ROUTE_TABLE_MASK
from testbed.plan.names import identifier, interface_name, mac_address
from testbed.resolve.resolved import Resolved
from testbed.resolve.resolved_transit_gateway import ResolvedTransitGatewayAttachment, ResolvedTransitGatewayRouteTable

TABLE = "transit_gateway"
NO_ROUTE_METRIC = 9000
NO_ZONE = 0
PEERING_PREFIX = "x-"
CONNECT_PREFIX = "c-"
CONNECT_PEERS = "connect_peers"
"""Map of (arriving device, outer addresses of a Connect peer): GRE that ends here. Any other is dropped, since no route table leads to the gateway's own addresses."""
CONNECT_PEERS_TYPE = "ifname . ipv4_addr . ipv4_addr"
GRE = 47
RETURNED = "returned"
"""Map of (arriving device, leaving device): what may not go back where it came from."""
TCP_AND_IP_HEADER_BYTES = 40
A_HOP = NftRule(statement=f'iifname "{PEERING_PREFIX}*" fib daddr . mark oifname "{PEERING_PREFIX}*" meta mark set meta mark | {LOSES_TTL:#x}', origin="from peering to peering")
"""What loses one of its TTL here: static routes of peered gateways may go in a circle."""


def lower(gateway: TransitGateway, resolved: Resolved) -> Fragment:
    """The gateway's namespace, and the chains that it always has."""
    arrive = NftRule(statement="meta mark set iifname map @arrivals")
    lost = NftRule(statement=f"meta mark & {ROUTE_TABLE_MASK:#x} == 0 counter drop", origin=f"{gateway.id}: the attachment is associated with no route table")
    peered = any(attachment.kind is AttachmentKind.PEERING for attachment in resolved.attachments_of(gateway.id))
    back = (NftRule(statement=f"iifname . oifname vmap @{RETURNED}", origin=f"{gateway.id} sends nothing back over a peering"),) if peered else ()
    a_hop = (A_HOP,) if peered else ()
    peers = tuple(peer for peer in resolved.connect_peers if peer.transit_gateway == gateway.id)
    outer = (NftRule(statement=f"ip protocol {GRE} iifname . ip saddr . ip daddr vmap @{CONNECT_PEERS}", origin=f"{gateway.id} GRE of Connect peers"),) if peers else ()
    inner = tuple(_clamped(f'{way} "{connect_device(peer.id)}" ', peer.mtu_bytes, gateway) for peer in peers for way in ("iifname", "oifname"))
    chains = (
        NftChain(name="prerouting", hook="type filter hook prerouting priority raw; policy accept;", rules=(arrive, lost, *a_hop)),
        NftChain(
            name="forward",
            hook="type filter hook forward priority filter; policy accept;",
            rules=(*back, *inner, _clamped("", MTU_BYTES, gateway)),
        ),
        NftChain(name="input", hook="type filter hook input priority filter; policy drop;", rules=(NftRule(statement="iifname vmap @received"), *outer, NftRule(statement="counter drop", origin=f"{gateway.id} answers nobody"))),
        NftChain(
            name="output",
            hook="type filter hook output priority filter; policy accept;",
            rules=(NftRule(statement="icmp type { destination-unreachable, redirect, time-exceeded, parameter-problem } counter drop", origin=f"{gateway.id} is silent"),),
        ),
    )
    maps = [NftMap(name="arrivals", type="ifname", value_type="mark"), NftMap(name="received", type="ifname", value_type="verdict")]
    if peers:
        maps.append(NftMap(name=CONNECT_PEERS, type=CONNECT_PEERS_TYPE, value_type="verdict"))
    part = NodePart(
        name=gateway.id,
        identity=Node(name=gateway.id, kind=NodeKind.TRANSIT_GATEWAY, label=f"{gateway.id} AS {gateway.amazon_side_asn}", origin=gateway.id, city=region_of(resolved, gateway.region).city, keeps_ttl=True),
        sysctls=forwarding_sysctls(),
        routes=(Route(destination=fabric.EVERYTHING, type=RouteType.BLACKHOLE, origin=f"{gateway.id} no route"),),
        tables=(NftTable(name=TABLE, maps=tuple(maps), chains=chains),),
    )
    return Fragment(nodes=(part,))


def _clamped(where: str, mtu_bytes: int, gateway: TransitGateway) -> NftRule:
    clamp = mtu_bytes - TCP_AND_IP_HEADER_BYTES
    return NftRule(statement=f"{where}tcp flags & (syn | rst) == syn tcp option maxseg size > {clamp} tcp option maxseg size set {clamp}", origin=f"{gateway.id} MSS clamping")


def device(attachment_id: str, zone: str = "") -> str:
    """The gateway's device towards an attachment; `zone` is the letter of an Availability Zone of a VPC attachment."""
    return interface_name("a-", f"{attachment_id}-{zone}" if zone else attachment_id)


def connect_device(peer_id: str) -> str:
    """The gateway's device of a Connect peer's tunnel; no other device's name begins like this."""
    return interface_name(CONNECT_PREFIX, peer_id)


def peering_device(attachment_id: str) -> str:
    """The gateway's device towards a peer; no other device's name begins like this."""
    return interface_name(PEERING_PREFIX, attachment_id)


def end(transit_gateway_id: str, name: str, *, mtu_bytes: int = MTU_BYTES, origin: str) -> Interface:
    """A device in the gateway's namespace, for a link of whoever attaches something."""
    return Interface(node=transit_gateway_id, name=name, mac=mac_address(transit_gateway_id, name), mtu_bytes=mtu_bytes, sysctls=(("send_redirects", "0"),), origin=origin)


def arrivals(attachment: ResolvedTransitGatewayAttachment, name: str, resolved: Resolved, zone_number: int = NO_ZONE) -> NodePart:
    """What comes in by device `name` is the attachment's: it is routed by the table with which that is associated, as from this zone."""
    table = None if attachment.table is None else resolved.transit_gateway_route_table(attachment.table)
    elements = () if table is None else ((fabric.quoted(name), f"{mark(table, zone_number):#x}"),)
    return NodePart(name=attachment.transit_gateway, tables=(NftTable(name=TABLE, maps=(NftMap(name="arrivals", type="ifname", value_type="mark", elements=elements),)),))


def received(transit_gateway_id: str, name: str, rules: tuple[NftRule, ...]) -> NodePart:
    """Let the gateway's own daemons hear what `rules` accept of what comes in by device `name`."""
    chain = identifier("received", name)
    accepted = NftMap(name="received", type="ifname", value_type="verdict", elements=((fabric.quoted(name), f"jump {chain}"),))
    return NodePart(name=transit_gateway_id, tables=(NftTable(name=TABLE, maps=(accepted,), chains=(NftChain(name=chain, rules=rules),)),))


def mark(table: ResolvedTransitGatewayRouteTable, zone_number: int) -> int:
    """The packet mark of a table and a zone, laid out as in a VPC's fabric."""
    return zone_number << AVAILABILITY_ZONE_SHIFT | table.number


def kernel_table(table: ResolvedTransitGatewayRouteTable, zone_number: int) -> int:
    """The kernel table for packets of one zone (`NO_ZONE`: from outside VPCs)."""
    return fabric.FIRST_TABLE + mark(table, zone_number)


def kernel_tables(table: ResolvedTransitGatewayRouteTable, resolved: Resolved) -> tuple[int, ...]:
    """All kernel tables of a route table: what holds for one zone and what BGP learns goes into each."""
    return tuple(kernel_table(table, zone) for zone in zones(table.transit_gateway, resolved))


def zones(transit_gateway_id: str, resolved: Resolved) -> tuple[int, ...]:
    """The numbers of the zones that any VPC attachment enables, `NO_ZONE` first."""
    return (NO_ZONE, *sorted({number for attachment in resolved.attachments_of(transit_gateway_id) for number, _ in attachment.subnets}))


def propagated_to(attachment: ResolvedTransitGatewayAttachment, resolved: Resolved) -> tuple[ResolvedTransitGatewayRouteTable, ...]:
    """The tables into which an attachment propagates, by id."""
    return tuple(table for table in resolved.transit_gateway_route_tables if table.transit_gateway == attachment.transit_gateway and attachment.id in table.propagations)


def metric(priority: TransitGatewayRoutePriority) -> int:
    """The kernel's metric of a route: of equal prefixes the lowest wins."""
    return 100 * priority
