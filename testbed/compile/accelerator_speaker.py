"""Anycast: every edge location announces accelerators' static addresses to its city by BGP, and cities tell each other of their own edge's.

    ga-edge-lhr (AS 16509) ── eBGP, BFD ── city-london ── eBGP ── every other city: prefers its own edge, then the city nearest to it

A city is told directly by every city that has an edge, and passes on only what its own edge has told (no-export on what goes to other cities), so that a path has two hops at most and the nearest edge is by
distance. An edge that falls silent is noticed by BFD, and the next nearest one serves its users; what it knew of their flows is lost with it.
Assumed: one provider for each city (private AS numbers), local preference by distance; each address is announced by itself, where AWS announces a range of each network zone.
Source: Global Accelerator developer guide, "How AWS Global Accelerator works" (anycast from edge locations; documented); RFC 1997 (no-export).
"""

from __future__ import annotations

from ipaddress import IPv4Network

from services.bgp.config import Accept, Advertise, Bfd, Neighbour, Originated, PrefixRange, Table
from testbed.compile import accelerator_link, bgp_speaker
from testbed.compile.internet import wire_ends
from testbed.compile.places import city_of
from testbed.model.geography import CITIES, distance_km
from testbed.model.public_virtual_interface import NO_EXPORT
from testbed.plan import MAIN_TABLE, ServiceSpec
from testbed.resolve.accelerators import NETWORK_ZONES
from testbed.resolve.resolved import Resolved, ResolvedCity
from testbed.resolve.resolved_accelerator import AcceleratorEdge

AMAZON = 16509
FIRST_CITY_ASN = 64512
TABLE = "anycast"
OWN_EDGE_PREFERENCE = 100_000
STATIC = tuple(PrefixRange(prefix=zone, longest=32) for zone in NETWORK_ZONES)


def lower(edge: AcceleratorEdge, resolved: Resolved) -> tuple[ServiceSpec, ...]:
    """The speaker of an edge location: it announces the addresses of accelerators that are enabled, and learns nothing."""
    city = city_of(resolved, edge.city)
    own, theirs = accelerator_link.ends(edge)
    told = tuple(Originated(prefix=IPv4Network(address), table=TABLE) for accelerator in resolved.accelerators if accelerator.enabled for address in sorted(accelerator.addresses))
    neighbour = Neighbour(
        name=city.node, address=theirs, local_address=own, asn=asn(city), device=accelerator_link.CITY_DEVICE, propagates_to=(), associated=TABLE, metric=1, bfd=Bfd(), accept=Accept(prefixes=()),
        origin=f"Global Accelerator {edge.code}",
    )  # fmt: skip
    return bgp_speaker.speaker(edge.node, AMAZON, tables=(Table(name=TABLE),), neighbours=(neighbour,), originated=told, origin="Global Accelerator")


def city_tables(resolved: Resolved) -> tuple[Table, ...]:
    """A city's table of static addresses."""
    return (Table(name=TABLE, kernel=MAIN_TABLE),) if resolved.accelerator_edges else ()


def city_neighbours(city: ResolvedCity, resolved: Resolved) -> tuple[Neighbour, ...]:
    """A city's sessions: with its own edge locations, and with every other city where one of the two has any."""
    with_edges = {edge.city for edge in resolved.accelerator_edges}
    own = tuple(_own_edge(city, edge) for edge in resolved.accelerator_edges if edge.city == city.city.name)
    others = (other for other in resolved.cities if other is not city and with_edges & {city.city.name, other.city.name})
    return (*own, *(_other_city(city, other, with_edges) for other in others))


def asn(city: ResolvedCity) -> int:
    """The private AS number of a city's provider."""
    return FIRST_CITY_ASN + list(CITIES).index(city.city.name)


def _own_edge(city: ResolvedCity, edge: AcceleratorEdge) -> Neighbour:
    theirs, own = accelerator_link.ends(edge)
    return Neighbour(
        name=edge.node, address=theirs, local_address=own, asn=AMAZON, local_asn=asn(city), device=accelerator_link.at_city(edge), propagates_to=(TABLE,), associated=None, metric=1, bfd=Bfd(),
        accept=Accept(prefixes=STATIC, local_preference=OWN_EDGE_PREFERENCE), advertise=Advertise(prefixes=()), origin=f"Global Accelerator {edge.code}",
    )  # fmt: skip


def _other_city(city: ResolvedCity, other: ResolvedCity, with_edges: set[str]) -> Neighbour:
    own, theirs, device = wire_ends(city, other)
    hears, tells = other.city.name in with_edges, city.city.name in with_edges
    return Neighbour(
        name=other.node, address=theirs, local_address=own, asn=asn(other), local_asn=asn(city), device=device, metric=1,
        propagates_to=(TABLE,) if hears else (), associated=TABLE if tells else None,
        accept=Accept(prefixes=STATIC if hears else (), local_preference=OWN_EDGE_PREFERENCE - round(distance_km(city.city, other.city))),
        advertise=Advertise(prefixes=STATIC if tells else (), originated=False, communities=(NO_EXPORT,)), origin=other.city.name,
    )  # fmt: skip
