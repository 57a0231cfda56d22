"""The internet: a router per city, wires between all of them as long as light takes, and a provider's resolver in each city that needs one.

Routes are static and by distance alone. An anycast address (Route 53's four) leads to the city's own edge location, else to the nearest one.
Global Accelerator's addresses come by BGP (`accelerator_speaker`). Sources: see `testbed.model.geography`; real paths are longer (assumed; `Internet.detour`). NOT MODELLED yet: BGP between cities for anything else.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from testbed.compile import fabric
from testbed.compile.attach import attach
from testbed.compile.fragment import Fragment, NodePart, join
from testbed.compile.link import ordered
from testbed.compile.name_server import name_servers_city, resolver_service
from testbed.compile.places import forwarding_sysctls
from testbed.model.geography import CITIES, round_trip_ms
from testbed.model.internet import Internet
from testbed.plan import Interface, Link, Neighbour, Node, NodeKind, Route, RouteType, Wire
from testbed.plan.names import interface_name, mac_address
from testbed.resolve.resolved import Resolved, ResolvedCity, ResolvedUser

BACKBONE = IPv4Network("100.64.0.0/10")
"""Addresses of the wires between cities, a /31 each, fixed by the two cities alone: adding a city renumbers nothing."""
PAIRS_PER_CITY = 64
DARK = IPv4Network("198.51.100.0/24")
"""Addresses that are routed and silent, of which the internet has many: what comes for them vanishes, as the answers to forged sources do."""


def lower_city(city: ResolvedCity, resolved: Resolved) -> Fragment:
    """The city's router with its routes to everywhere, its wires to the cities after it, and its resolver."""
    identity = Node(name=city.node, kind=NodeKind.CITY, label=city.city.name, origin=city.city.name, city=city.city.name, group=city.node)
    router = NodePart(
        name=city.node,
        identity=identity,
        loopback=(IPv4Interface(city.router),),
        sysctls=forwarding_sysctls(),
        routes=tuple(_routes(city, resolved)),
        neighbours=tuple(_neighbour(city, other) for other in resolved.cities if other.city.name != city.city.name),
    )
    jitter_ms = max((internet.jitter_ms for internet in resolved.topology.of(Internet)), default=0.0)
    detour = max((internet.detour for internet in resolved.topology.of(Internet)), default=1.0)
    wires = tuple(_wire(city, other, jitter_ms, detour) for other in resolved.cities if other.city.name > city.city.name)
    return join(Fragment(nodes=(router,), links=wires), _resolver(city, resolved))


def lower_user(user: ResolvedUser, resolved: Resolved) -> Fragment:
    """A person's machine, which asks its city's resolver."""
    city = next(c for c in resolved.cities if c.city.name == user.city)
    identity = Node(
        name=user.node, kind=NodeKind.USER, label=f"{user.node} ({user.city})", origin=user.node, city=user.city, group=city.node,
        name_servers=(city.resolver,), hosts=((user.address, user.node),),
    )  # fmt: skip
    return attach(identity, city, user.address)


def _resolver(city: ResolvedCity, resolved: Resolved) -> Fragment:
    if city.city.name not in {u.city for u in resolved.users} | {e.city for e in resolved.edges}:
        return Fragment()
    identity = Node(
        name=city.resolver_node, kind=NodeKind.RESOLVER, label=f"resolver ({city.city.name})", origin=city.city.name, city=city.city.name, group=city.node,
        name_servers=(city.resolver,), hosts=((city.resolver, city.resolver_node),),
    )  # fmt: skip
    return join(attach(identity, city, city.resolver), Fragment(services=(resolver_service(city, resolved),)))


def _wire(a: ResolvedCity, b: ResolvedCity, jitter_ms: float, detour: float) -> Link:
    first = _wire_address(a, b)
    delay_ms = round(detour * round_trip_ms(a.city, b.city) / 2, 3)
    delay = Wire(delay_ms=delay_ms, jitter_ms=min(jitter_ms, delay_ms))
    origin = f"{a.city.name} - {b.city.name}"
    return ordered(Link(a=_wire_end(a, b, first, origin), b=_wire_end(b, a, first + 1, origin), wire=delay, origin=origin))


def _neighbour(city: ResolvedCity, other: ResolvedCity) -> Neighbour:
    """The router at the far end of a wire, known beforehand: asking by ARP would cost the first packet a round trip more."""
    return Neighbour(address=_far_address(city, other), mac=mac_address(other.node, _towards(city)), device=_towards(other))


def _far_address(city: ResolvedCity, other: ResolvedCity) -> IPv4Address:
    return _wire_address(city, other) + (1 if city.city.name < other.city.name else 0)


def _wire_end(city: ResolvedCity, other: ResolvedCity, address: IPv4Address, origin: str) -> Interface:
    name = _towards(other)
    return Interface(node=city.node, name=name, mac=mac_address(city.node, name), addresses=(IPv4Interface(f"{address}/31"),), mtu_bytes=fabric.INTERNET_MTU_BYTES, origin=origin)


def wire_ends(city: ResolvedCity, other: ResolvedCity) -> tuple[IPv4Address, IPv4Address, str]:
    """Of the wire between two cities: the address at `city`, the one at the far end, and the device in `city`."""
    return _far_address(other, city), _far_address(city, other), _towards(other)


def _wire_address(a: ResolvedCity, b: ResolvedCity) -> IPv4Address:
    """The first address of the wire between two cities."""
    order = list(CITIES)
    first, second = sorted((order.index(a.city.name), order.index(b.city.name)))
    return BACKBONE.network_address + 2 * (first * PAIRS_PER_CITY + second)


def _towards(city: ResolvedCity) -> str:
    return interface_name("", city.node.removeprefix("city-"))


def _routes(city: ResolvedCity, resolved: Resolved) -> Iterator[Route]:
    """What is not at this router's own links: its unused addresses vanish, everything else goes to the city where it is."""
    yield Route(destination=fabric.EVERYTHING, type=RouteType.UNREACHABLE, origin=f"{city.city.name} no route")
    yield Route(destination=DARK, type=RouteType.BLACKHOLE, origin="dark address space")
    for network, place, origin in _places(city, resolved):
        if place.city.name == city.city.name:
            if network.prefixlen < 32:
                yield Route(destination=network, type=RouteType.UNREACHABLE, origin=f"{origin} address not in use")
            continue
        yield Route(destination=network, device=_towards(place), via=_far_address(city, place), origin=origin)


def _places(here: ResolvedCity, resolved: Resolved) -> Iterator[tuple[IPv4Network, ResolvedCity, str]]:
    """Every public network, the city to which it leads from `here`, and whose it is."""
    cities = {c.city.name: c for c in resolved.cities}
    for city in resolved.cities:
        yield city.network, city, city.city.name
    for edge in resolved.edges:
        yield IPv4Network(edge.address), cities[edge.city], edge.node
    for accelerator_edge in resolved.accelerator_edges:
        yield IPv4Network(accelerator_edge.address), cities[accelerator_edge.city], accelerator_edge.node
    pools = {region.id: region for region in resolved.regions}
    for region in resolved.regions:
        yield region.public_pool, cities[region.city], region.id
        if region.address not in region.public_pool:
            yield IPv4Network(region.address), cities[region.city], region.node
    for vpc in resolved.vpcs:
        for interface in resolved.interfaces_in(vpc.vpc.id):
            region = pools[vpc.vpc.region]
            if interface.public_address is not None and interface.public_address not in region.public_pool:
                yield IPv4Network(interface.public_address), cities[region.city], interface.public_origin
    if resolved.edges:
        nearest = min((cities[edge.city] for edge in resolved.edges), key=lambda c: (round_trip_ms(here.city, c.city), c.city.name))
        for server in resolved.route53_servers:
            yield IPv4Network(server.address), nearest, f"{server.host_name} (anycast)"
    for server in (*resolved.root_servers, *resolved.top_level_servers):
        yield IPv4Network(server.address), name_servers_city(resolved), server.host_name
