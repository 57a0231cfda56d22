"""A gateway with virtual interfaces becomes a router at each location that has some: it ends their sessions and tells the gateways behind it.

    sites ══ VLANs, eBGP ══ <gateway>-<location> ── link with the distance's delay, iBGP ── virtual private gateway or transit gateway

A private virtual interface straight to a virtual private gateway gets such a router too: of that gateway's own, with its one neighbour. The router's AS is that of the gateway which the
virtual interfaces name; over iBGP the sites' paths, MED and local preference (from their communities) reach the gateways as they are, and nothing that one gateway
tells reaches another (iBGP is not passed on): no traffic from VPC to VPC, unless a site announces a prefix that covers both. BFD runs there too (assumed): a dead router is noticed at both its sides.

For who lowers a virtual private gateway or a transit gateway: its one speaker takes `gateway_neighbours`; the devices and addresses are in the plan by this module's links.
Source: Direct Connect user guide, "Direct Connect gateways", "Allowed prefixes interactions" (documented). That AWS's routers at locations are built like this: assumed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from services.bgp.config import Accept, Advertise, Bfd, Neighbour, Originated, PrefixRange, Table
from testbed.compile import bgp_speaker, fabric, transit_gateway, virtual_interface
from testbed.compile.fragment import Fragment, NodePart
from testbed.compile.link import ordered
from testbed.compile.places import forwarding_sysctls
from testbed.model.direct_connect_gateway import DirectConnectGatewayAssociation
from testbed.model.geography import CITIES, REGIONS, round_trip_ms
from testbed.model.transit_gateway import MTU_BYTES, TransitGateway
from testbed.model.vpn_gateway import VpnGateway
from testbed.plan import MAIN_TABLE, Interface, Link, NftChain, NftRule, NftTable, Node, NodeKind, Route, Wire
from testbed.plan import Neighbour as ArpEntry
from testbed.plan.names import interface_name, mac_address
from testbed.resolve.interfaces import hashed
from testbed.resolve.resolved import Resolved
from testbed.resolve.world import slug

BACKBONE = IPv4Network("100.127.0.0/16")
"""Addresses of the links from locations to Regions, a /31 each; no packet of a customer has them."""
LINKS = BACKBONE.num_addresses // 2
TABLE = virtual_interface.TABLE
LEARNED_METRIC = 1
BGP, BFD = 179, 3784
MOST_PATHS = 16
"""Of equally good sessions: all of a LAG's fibres, and of other virtual interfaces here (that AWS sends over all of them is documented, their number assumed)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocationRouter:
    """The router of one gateway at one location."""

    node: str
    gateway: str
    asn: int
    location: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """A gateway behind a location's router: `router_address` and `address` are the ends of the link between them. `association` is None for the router's own gateway."""

    router: LocationRouter
    gateway: VpnGateway | TransitGateway
    association: DirectConnectGatewayAssociation | None
    region: str
    device: str
    """At the gateway: a transit gateway's first one has the name by which its static routes leave."""
    router_address: IPv4Address
    address: IPv4Address

    @property
    def router_device(self) -> str:
        return interface_name("g-", self.gateway.id)


def location_routers(resolved: Resolved) -> tuple[LocationRouter, ...]:
    """All of them, by node."""
    found = {each.node: LocationRouter(node=each.node, gateway=each.gateway, asn=each.gateway_asn, location=each.location) for each in resolved.virtual_interfaces}
    return tuple(found[node] for node in sorted(found))


def lower(router: LocationRouter, resolved: Resolved) -> Fragment:
    """The router, its links to the gateways behind it, and its speaker."""
    behind = tuple(each for each in all_behind(resolved) if each.router == router)
    identity = Node(
        name=router.node, kind=NodeKind.DIRECT_CONNECT, label=f"{router.gateway} in {router.location} (AS {router.asn})", origin=router.gateway, city=router.location,
    )  # fmt: skip
    told = tuple((each, prefix) for each in behind if isinstance(each.gateway, TransitGateway) and each.association is not None for prefix in each.association.allowed_prefixes)
    routes = tuple(
        Route(destination=prefix, device=each.router_device, via=each.address, origin=f"{each.association.id if each.association else each.gateway.id} allowed prefix") for each, prefix in told
    )
    neighbours = (*virtual_interface.amazon_neighbours(router.node, resolved), *(_router_neighbour(each, resolved) for each in behind))
    services = bgp_speaker.speaker(
        router.node, router.asn, tables=(Table(name=TABLE, kernel=MAIN_TABLE, paths=MOST_PATHS),), neighbours=neighbours,
        originated=tuple(Originated(prefix=prefix, table=TABLE) for _, prefix in told), origin=router.gateway,
    )  # fmt: skip
    part = NodePart(name=router.node, identity=identity, sysctls=forwarding_sysctls(), routes=routes, tables=(_crossings(router, resolved),))
    at_hubs = (hub for each in behind for hub in _at_transit_gateway(each, resolved))
    return Fragment(nodes=(part, *at_hubs), links=tuple(_link(each) for each in behind), services=services)


def _crossings(router: LocationRouter, resolved: Resolved) -> NftTable:
    """What crosses the router is said to do so by its virtual interface. Its own table: it drops nothing."""
    rules = tuple(
        NftRule(statement=f'{way} "{virtual_interface.amazon_device(session)}" accept', origin=f"{router.gateway} in {router.location}: {words} {session.session}")
        for session in resolved.virtual_interfaces
        if session.node == router.node
        for way, words in (("iifname", "out of"), ("oifname", "into"))
    )
    return NftTable(name="direct_connect", chains=(NftChain(name="forward", hook="type filter hook forward priority filter; policy accept;", rules=rules),))


def gateway_neighbours(gateway_id: str, resolved: Resolved, *, association_id: str | None = None, propagates_to: tuple[str, ...], associated: str | None, metric: int) -> tuple[Neighbour, ...]:
    """The sessions of a virtual private gateway or transit gateway with its routers at locations, one for each; with `association_id`, those of this association alone.

    `propagates_to`, `associated` and `metric` are those of the gateway's own tables (`services.bgp.config.Neighbour`).
    """
    return tuple(
        Neighbour(
            name=each.router.node, address=each.router_address, local_address=each.address, asn=each.router.asn, local_asn=each.router.asn, device=each.device, bfd=Bfd(),
            propagates_to=propagates_to, associated=associated, metric=metric, origin=each.association.id if each.association is not None else each.router.gateway,
        )
        for each in behind_gateway(gateway_id, resolved)
        if association_id is None or (each.association is not None and each.association.id == association_id)
    )  # fmt: skip


def behind_gateway(gateway_id: str, resolved: Resolved) -> tuple[Behind, ...]:
    """The links of a virtual private gateway or a transit gateway to its routers at locations."""
    return tuple(each for each in all_behind(resolved) if each.gateway.id == gateway_id)


def all_behind(resolved: Resolved) -> tuple[Behind, ...]:
    """Every link between a location's router and a gateway, by router, then gateway."""
    taken: set[int] = set()
    return tuple(
        _numbered(router, gateway, association, resolved, taken) for router in location_routers(resolved) for gateway, association in sorted(_gateways(router, resolved), key=lambda found: found[0].id)
    )


def _gateways(router: LocationRouter, resolved: Resolved) -> Iterator[tuple[VpnGateway | TransitGateway, DirectConnectGatewayAssociation | None]]:
    gateways: dict[str, VpnGateway | TransitGateway] = {gateway.id: gateway for gateway in resolved.topology.of(VpnGateway)}
    gateways.update((gateway.id, gateway) for gateway in resolved.topology.of(TransitGateway))
    if router.gateway in gateways:
        yield gateways[router.gateway], None
    for association in resolved.topology.of(DirectConnectGatewayAssociation):
        if association.direct_connect_gateway_id == router.gateway:
            yield gateways[association.associated_gateway_id], association


def _numbered(router: LocationRouter, gateway: VpnGateway | TransitGateway, association: DirectConnectGatewayAssociation | None, resolved: Resolved, taken: set[int]) -> Behind:
    first = hashed(f"{router.node} {gateway.id}")
    number = next(n for step in range(LINKS) if (n := (first + step) % LINKS) not in taken)
    taken.add(number)
    low = BACKBONE[2 * number]
    region = gateway.region if isinstance(gateway, TransitGateway) else resolved.vpc(gateway.vpc_id).vpc.region
    return Behind(router=router, gateway=gateway, association=association, region=region, device=_device(router, gateway, association, resolved), router_address=low, address=low + 1)


def _device(router: LocationRouter, gateway: VpnGateway | TransitGateway, association: DirectConnectGatewayAssociation | None, resolved: Resolved) -> str:
    if not isinstance(gateway, TransitGateway) or association is None:
        return interface_name("d-", router.node)
    first = next(other for other in location_routers(resolved) if other.gateway == router.gateway)
    return transit_gateway.device(association.id, "" if router == first else slug(router.location))


def _router_neighbour(each: Behind, resolved: Resolved) -> Neighbour:
    return Neighbour(
        name=each.gateway.id, address=each.address, local_address=each.router_address, asn=each.router.asn, device=each.router_device, bfd=Bfd(),
        propagates_to=(TABLE,), associated=TABLE, metric=LEARNED_METRIC, accept=Accept(prefixes=_taken(each, resolved)), advertise=Advertise(originated=False),
        origin=each.association.id if each.association is not None else each.gateway.id,
    )  # fmt: skip


def _taken(each: Behind, resolved: Resolved) -> tuple[PrefixRange, ...] | None:
    """What a router takes from a gateway: all of its own, the admitted blocks of a VPC, nothing of a transit gateway."""
    if each.association is None:
        return None
    if isinstance(each.gateway, TransitGateway):
        return ()
    blocks: Iterable[IPv4Network] = resolved.vpc(each.gateway.vpc_id).vpc.cidr_blocks
    return tuple(PrefixRange(prefix=block) for block in blocks if each.association.admits(block))


def _at_transit_gateway(each: Behind, resolved: Resolved) -> Iterator[NodePart]:
    """What a transit gateway does with this link: the attachment's table for what arrives, BGP for itself, and where its static routes lead."""
    if not isinstance(each.gateway, TransitGateway) or each.association is None:
        return
    hub, device = each.gateway.id, each.device
    attachment = next(found for found in resolved.attachments_of(hub) if found.id == each.association.id)
    yield transit_gateway.arrivals(attachment, device, resolved)
    heard = (f"tcp dport {BGP}", f"tcp sport {BGP}", f"udp dport {BFD}")
    rules = tuple(NftRule(statement=f"ip saddr {each.router_address} {what} accept", origin=hub) for what in heard)
    yield transit_gateway.received(hub, device, rules)
    yield NodePart(name=hub, neighbours=(ArpEntry(address=fabric.FABRIC_END, mac=mac_address(each.router.node, each.router_device), device=device),))


def _link(each: Behind) -> Link:
    delay_ms = round(round_trip_ms(CITIES[each.router.location], CITIES[REGIONS[each.region]]) / 2, 3)
    mtu = MTU_BYTES if isinstance(each.gateway, TransitGateway) else fabric.VPC_MTU_BYTES
    origin = each.association.id if each.association is not None else each.gateway.id
    ends = (
        _end(each.router.node, each.router_device, each.router_address, mtu, origin),
        _end(each.gateway.id, each.device, each.address, mtu, origin),
    )
    return ordered(Link(a=ends[0], b=ends[1], wire=Wire(delay_ms=delay_ms) if delay_ms else None, origin=origin))


def _end(node: str, name: str, address: IPv4Address, mtu_bytes: int, origin: str) -> Interface:
    return Interface(node=node, name=name, mac=mac_address(node, name), addresses=(IPv4Interface((address, 31)),), mtu_bytes=mtu_bytes, sysctls=(("send_redirects", "0"),), origin=origin)
