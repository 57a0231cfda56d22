"""Links of Global Accelerator's edge locations: a /31 to the city, over which they speak BGP, and one to every exit over AWS's own network, as long as light takes.

    city-london ── 100.127.<2i>/31 ── ga-edge-lhr ══ wire, great circle ══ ga-vpc-…

AWS's network has no detour and no jitter here (assumed); the internet between cities has those of the topology's `Internet`. The ends towards an exit have no addresses: next hops are permanent neighbours.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from testbed.compile import fabric
from testbed.compile.fragment import Fragment, NodePart
from testbed.compile.link import ordered
from testbed.compile.places import city_of
from testbed.model.geography import round_trip_ms
from testbed.plan import Interface, Link, Neighbour, Route, Wire
from testbed.plan.names import interface_name, mac_address
from testbed.resolve.resolved import Resolved
from testbed.resolve.resolved_accelerator import AcceleratorEdge, AcceleratorExit

CITY_LINKS = IPv4Network("100.127.0.0/24")
CITY_DEVICE = "city"
EDGE_END, EXIT_END = IPv4Address("169.254.0.3"), IPv4Address("169.254.0.4")
"""Next hops towards an edge location and towards an exit: permanent neighbours that are never seen in a packet."""


def ends(edge: AcceleratorEdge) -> tuple[IPv4Address, IPv4Address]:
    """The edge's and the city's address of their link."""
    return CITY_LINKS[2 * edge.number], CITY_LINKS[2 * edge.number + 1]


def at_city(edge: AcceleratorEdge) -> str:
    """The city's device towards an edge location."""
    return interface_name("h-", edge.node)


def edge_device(exit: AcceleratorExit) -> str:
    """An edge location's device towards an exit."""
    return interface_name("x-", exit.node)


def exit_device(edge: AcceleratorEdge) -> str:
    """An exit's device towards an edge location."""
    return interface_name("a-", edge.node)


def default_route(edge: AcceleratorEdge) -> Route:
    """The edge's way to the internet."""
    return Route(destination=fabric.EVERYTHING, device=CITY_DEVICE, via=ends(edge)[1], source=edge.address, origin=f"Global Accelerator to {edge.city}")


def to_city(edge: AcceleratorEdge, resolved: Resolved) -> Fragment:
    """The link to the city, and the city's route to the edge's own address; routes to static addresses come by BGP."""
    city = city_of(resolved, edge.city)
    own, theirs = ends(edge)
    here, there = _end(edge.node, CITY_DEVICE, own), _end(city.node, at_city(edge), theirs)
    route = Route(destination=IPv4Network(edge.address), device=there.name, via=own, origin=edge.node)
    neighbours = (NodePart(name=city.node, routes=(route,), neighbours=(Neighbour(address=own, mac=here.mac, device=there.name),)), NodePart(name=edge.node, neighbours=(Neighbour(address=theirs, mac=there.mac, device=here.name),)))
    return Fragment(nodes=neighbours, links=(ordered(Link(a=here, b=there, origin="Global Accelerator")),))


def to_exit(edge: AcceleratorEdge, exit: AcceleratorExit, resolved: Resolved) -> Fragment:
    """The wire to an exit, and both ends' knowledge of each other."""
    here, there = _end(edge.node, edge_device(exit)), _end(exit.node, exit_device(edge))
    delay_ms = round(round_trip_ms(city_of(resolved, edge.city).city, city_of(resolved, exit.city).city) / 2, 3)
    known = (
        NodePart(name=edge.node, neighbours=(Neighbour(address=EXIT_END, mac=there.mac, device=here.name),)),
        NodePart(name=exit.node, neighbours=(Neighbour(address=EDGE_END, mac=here.mac, device=there.name),)),
    )
    return Fragment(nodes=known, links=(ordered(Link(a=here, b=there, wire=Wire(delay_ms=delay_ms) if delay_ms else None, origin=f"Global Accelerator {edge.code} - {exit.region}")),))


def _end(node: str, name: str, address: IPv4Address | None = None) -> Interface:
    addresses = () if address is None else (IPv4Interface((address, 31)),)
    return Interface(node=node, name=name, mac=mac_address(node, name), addresses=addresses, mtu_bytes=fabric.INTERNET_MTU_BYTES, sysctls=(("send_redirects", "0"),), origin="Global Accelerator")
