"""A public virtual interface becomes a router of its own at the location, between the fibre and the cities of all Regions: no customer's packet comes to another's.

    router-<site> ══ VLAN, eBGP with AS 7224 ══ <vif>-<location> ── link with the distance's delay, iBGP ── city of each Region

The router tells the site every Region's public addresses; forwards by it only what comes from the site's announced prefixes, and only to those addresses. Each Region's city, which is AWS's network
there too, sends by it what comes from AWS's addresses to a prefix of the site, as long as it is announced; everybody else's packets to the site take the internet.
Source: see `model.public_virtual_interface`; that AWS prefers Direct Connect to the internet is documented there ("Routing policies and BGP communities"), how its network is built is assumed.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from services.bgp.config import Accept, Advertise, Bfd, Neighbour, Originated, PrefixRange, Table
from testbed.compile import bgp_speaker, fabric, virtual_interface
from testbed.compile.fragment import Fragment, NodePart
from testbed.compile.link import ordered
from testbed.compile.places import city_of, forwarding_sysctls
from testbed.model.geography import CITIES, round_trip_ms
from testbed.model.public_virtual_interface import MOST_ROUTES_FROM_SITE, NO_EXPORT, PublicVirtualInterface
from testbed.model.virtual_interface import AMAZON, HOLD_S, KEEPALIVE_S
from testbed.plan import MAIN_TABLE, Interface, Link, NftChain, NftRule, NftTable, Node, NodeKind, PolicyRule, Route, RouteType, Wire
from testbed.plan.names import interface_name, mac_address
from testbed.resolve.interfaces import hashed
from testbed.resolve.resolved import Resolved, ResolvedCity, ResolvedSite
from testbed.resolve.resolved_virtual_interface import ResolvedVirtualInterface

BACKBONE = IPv4Network("100.125.0.0/16")
"""Addresses of the links between routers and cities, a /31 each."""
LINKS = BACKBONE.num_addresses // 2
TABLE, TO_SITES = "aws", 7224
"""The routers' and cities' table of BGP; in a city it is kernel table `TO_SITES`, asked only for what AWS's own addresses send."""
CITY_TABLES = (Table(name=TABLE, kernel=TO_SITES),)
LONGEST_PREFIX = 32


def lower(session: ResolvedVirtualInterface, resolved: Resolved) -> Fragment:
    """AWS's router of one session."""
    pools = _pools(resolved)
    links = tuple(_link(session, city, resolved) for city in _cities(resolved))
    told = tuple(Route(destination=pool, device=_router_device(city), via=_ends(session, city, resolved)[1], origin=f"AWS in {city.city.name}") for pool, city in pools)
    site = next(site for site in resolved.sites if site.id == session.site)
    known = ", ".join(str(prefix) for prefix in announced(session, site))
    spoofed = NftRule(statement=f'iifname "{virtual_interface.amazon_device(session)}" ip saddr != {{ {known} }} counter drop', origin=f"{session.id}: the source is in no prefix that the site announces")
    crossed = (
        NftRule(statement=f'{way} "{virtual_interface.amazon_device(session)}" accept', origin=f"{session.id} in {session.location}: {words} the fibre") for way, words in (("iifname", "out of"), ("oifname", "into"))
    )
    forward = NftChain(name="forward", hook="type filter hook forward priority filter; policy accept;", rules=(spoofed, *crossed))
    part = NodePart(
        name=session.node,
        identity=Node(name=session.node, kind=NodeKind.DIRECT_CONNECT, label=f"{session.id} in {session.location} (AS {AMAZON})", origin=session.id, city=session.location),
        sysctls=forwarding_sysctls(),
        routes=(Route(destination=fabric.EVERYTHING, type=RouteType.BLACKHOLE, origin=f"{session.id} leads to AWS's public addresses only"), *told),
        tables=(NftTable(name="direct_connect", chains=(forward,)),),
    )
    services = bgp_speaker.speaker(
        session.node, AMAZON, tables=(Table(name=TABLE, kernel=MAIN_TABLE),), originated=tuple(Originated(prefix=pool, table=TABLE) for pool, _ in pools), origin=session.id,
        neighbours=(_amazon_neighbour(session, site), *(_router_neighbour(session, city, resolved) for city in _cities(resolved))),
    )  # fmt: skip
    return Fragment(nodes=(part,), links=links, services=services)


def lower_city(city: ResolvedCity, resolved: Resolved) -> Fragment:
    """A city's part: what AWS's addresses there send to sites asks a table of its own first, which BGP fills."""
    if not resolved.public_virtual_interfaces or city not in _cities(resolved):
        return Fragment()
    rules = tuple(
        PolicyRule(priority=TO_SITES + number, source=pool, table=TO_SITES, origin=f"AWS in {city.city.name}") for number, (pool, at) in enumerate(_pools(resolved)) if at == city
    )
    return Fragment(nodes=(NodePart(name=city.node, rules=rules),))


def city_neighbours(city: ResolvedCity, resolved: Resolved) -> tuple[Neighbour, ...]:
    """The sessions of a city of a Region, which its speaker has (`city_speaker`)."""
    return tuple(_city_neighbour(session, city, resolved) for session in resolved.public_virtual_interfaces) if city in _cities(resolved) else ()


def site_neighbours(site: ResolvedSite, resolved: Resolved, *, table: str, told_from: str) -> tuple[Neighbour, ...]:
    """The sessions of a site's router: what it learns goes into `table`, what it tells is originated in `told_from`."""
    return tuple(_site_neighbour(session, site, table, told_from) for session in _sessions_of(site, resolved))


def originated(site: ResolvedSite, resolved: Resolved, *, table: str) -> tuple[Originated, ...]:
    """The site's public prefixes."""
    return tuple(Originated(prefix=prefix, table=table) for prefix in sorted({prefix for session in _sessions_of(site, resolved) for prefix in _configured(session, site)}))


def hiding(site: ResolvedSite, resolved: Resolved) -> tuple[NftRule, ...]:
    """The LAN is behind the router's public address here as on the internet."""
    return tuple(
        NftRule(statement=f'oifname "{virtual_interface.site_device(session)}" ip saddr {site.network} snat ip to {site.public_address}', origin=f"{site.id} behind {site.public_address}")
        for session in _sessions_of(site, resolved)
    )


def announced(session: ResolvedVirtualInterface, site: ResolvedSite) -> tuple[IPv4Network, ...]:
    """The prefixes that the site announces and AWS takes."""
    return tuple(prefix for prefix in _configured(session, site) if any(prefix.subnet_of(allowed) for allowed in _allowed(session, site)))


def _sessions_of(site: ResolvedSite, resolved: Resolved) -> tuple[ResolvedVirtualInterface, ...]:
    return tuple(session for session in resolved.public_virtual_interfaces if session.site == site.id)


def _allowed(session: ResolvedVirtualInterface, site: ResolvedSite) -> tuple[IPv4Network, ...]:
    written = session.interface.route_filter_prefixes if isinstance(session.interface, PublicVirtualInterface) else ()
    return written or (IPv4Network(site.public_address),)


def _configured(session: ResolvedVirtualInterface, site: ResolvedSite) -> tuple[IPv4Network, ...]:
    told = session.interface.customer_device.prefixes
    return _allowed(session, site) if told is None else told


def _pools(resolved: Resolved) -> tuple[tuple[IPv4Network, ResolvedCity], ...]:
    """AWS's public prefixes, and the city of each."""
    return tuple(sorted(((region.public_pool, city_of(resolved, region.city)) for region in resolved.regions), key=lambda found: found[0]))


def _cities(resolved: Resolved) -> tuple[ResolvedCity, ...]:
    return tuple(sorted({city.city.name: city for _, city in _pools(resolved)}.values(), key=lambda city: city.city.name))


def _ends(session: ResolvedVirtualInterface, city: ResolvedCity, resolved: Resolved) -> tuple[IPv4Address, IPv4Address]:
    """The router's and the city's address of their link."""
    order = [(each.node, other.node) for each in resolved.public_virtual_interfaces for other in _cities(resolved)]
    taken: set[int] = set()
    for wanted in order:
        number = next(n for step in range(LINKS) if (n := (hashed(" ".join(wanted)) + step) % LINKS) not in taken)
        taken.add(number)
        if wanted == (session.node, city.node):
            return BACKBONE[2 * number], BACKBONE[2 * number + 1]
    raise LookupError(f"{session.node} has no link to {city.node}")


def _router_device(city: ResolvedCity) -> str:
    return interface_name("c-", city.node)


def _city_device(session: ResolvedVirtualInterface) -> str:
    return interface_name("p-", session.node)


def _link(session: ResolvedVirtualInterface, city: ResolvedCity, resolved: Resolved) -> Link:
    at_router, at_city = _ends(session, city, resolved)
    delay_ms = round(round_trip_ms(CITIES[session.location], city.city) / 2, 3)
    ends = (_end(session.node, _router_device(city), at_router, session.id), _end(city.node, _city_device(session), at_city, session.id))
    return ordered(Link(a=ends[0], b=ends[1], wire=Wire(delay_ms=delay_ms) if delay_ms else None, origin=session.id))


def _end(node: str, name: str, address: IPv4Address, origin: str) -> Interface:
    return Interface(node=node, name=name, mac=mac_address(node, name), addresses=(IPv4Interface((address, 31)),), mtu_bytes=fabric.INTERNET_MTU_BYTES, sysctls=(("send_redirects", "0"),), origin=origin)


def _ranges(prefixes: Iterable[IPv4Network]) -> tuple[PrefixRange, ...]:
    return tuple(PrefixRange(prefix=prefix, longest=LONGEST_PREFIX) for prefix in prefixes)


def _site_neighbour(session: ResolvedVirtualInterface, site: ResolvedSite, table: str, told_from: str) -> Neighbour:
    device = session.interface.customer_device
    return Neighbour(
        name=session.session, address=session.amazon_address.ip, local_address=session.customer_address.ip, asn=AMAZON, local_asn=session.interface.asn, device=virtual_interface.site_device(session),
        propagates_to=(table,), associated=told_from, metric=device.metric, password=device.auth_key if device.auth_key is not None else session.auth_key, hold_s=HOLD_S, keepalive_s=KEEPALIVE_S,
        bfd=Bfd() if device.bfd else None, origin=session.id,
        advertise=Advertise(prefixes=tuple(PrefixRange(prefix=prefix) for prefix in _configured(session, site)), learned=False, med=device.med, prepend=device.as_path_prepend, communities=device.communities),
    )  # fmt: skip


def _amazon_neighbour(session: ResolvedVirtualInterface, site: ResolvedSite) -> Neighbour:
    return Neighbour(
        name=session.session, address=session.customer_address.ip, local_address=session.amazon_address.ip, asn=session.interface.asn, device=virtual_interface.amazon_device(session),
        propagates_to=(TABLE,), associated=TABLE, metric=1, password=session.auth_key, hold_s=HOLD_S, keepalive_s=KEEPALIVE_S, bfd=Bfd(passive=True), origin=session.id,
        accept=Accept(prefixes=_ranges(_allowed(session, site)), limit=MOST_ROUTES_FROM_SITE), advertise=Advertise(learned=False, communities=(NO_EXPORT,)),
    )  # fmt: skip


def _router_neighbour(session: ResolvedVirtualInterface, city: ResolvedCity, resolved: Resolved) -> Neighbour:
    at_router, at_city = _ends(session, city, resolved)
    return Neighbour(
        name=city.node, address=at_city, local_address=at_router, asn=AMAZON, device=_router_device(city), propagates_to=(), associated=TABLE, metric=1, bfd=Bfd(),
        accept=Accept(prefixes=()), advertise=Advertise(originated=False), origin=session.id,
    )  # fmt: skip


def _city_neighbour(session: ResolvedVirtualInterface, city: ResolvedCity, resolved: Resolved) -> Neighbour:
    at_router, at_city = _ends(session, city, resolved)
    return Neighbour(
        name=session.node, address=at_router, local_address=at_city, asn=AMAZON, device=_city_device(session), propagates_to=(TABLE,), associated=None, metric=1, bfd=Bfd(),
        advertise=Advertise(prefixes=()), origin=session.id,
    )  # fmt: skip
