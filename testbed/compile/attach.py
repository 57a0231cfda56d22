"""A host on the public internet: one interface, one link to its city's router, one address that the router knows.

The router answers ARP for whatever it can reach, so hosts of one city meet through it, as neighbours of one provider do.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from testbed.compile import fabric
from testbed.compile.fragment import Fragment, NodePart
from testbed.compile.link import ordered
from testbed.compile.places import end_sysctls
from testbed.plan import Interface, Link, Neighbour, Node, Route
from testbed.plan.names import interface_name, mac_address
from testbed.resolve.resolved import ResolvedCity

DEVICE = "eth0"


def attach(identity: Node, city: ResolvedCity, address: IPv4Address, also: tuple[IPv4Address, ...] = (), sysctls: tuple[tuple[str, str], ...] | None = None) -> Fragment:
    """The host `identity` with `address` on its interface and the addresses `also` on its loopback, reachable in its city. `sysctls` are an end host's if they are left out."""
    at_city = interface_name("h-", identity.name)
    in_network = address in city.network
    host = Interface(
        node=identity.name,
        name=DEVICE,
        mac=mac_address(identity.name, DEVICE),
        addresses=(IPv4Interface(f"{address}/{city.network.prefixlen if in_network else 32}"),),
        mtu_bytes=fabric.INTERNET_MTU_BYTES,
        origin=identity.origin,
    )
    router = Interface(
        node=city.node,
        name=at_city,
        mac=mac_address(city.node, at_city),
        mtu_bytes=fabric.INTERNET_MTU_BYTES,
        sysctls=(("ipv4/neigh/{}/proxy_delay", "0"), ("proxy_arp", "1"), ("send_redirects", "0")),
        origin=identity.origin,
    )
    default = Route(destination=fabric.EVERYTHING, device=DEVICE, via=city.router, onlink=not in_network, source=address, origin=city.node)
    part = NodePart(name=identity.name, identity=identity, loopback=tuple(IPv4Interface(a) for a in also), sysctls=end_sysctls() if sysctls is None else sysctls, routes=(default,))
    routes = (
        Route(destination=IPv4Network(address), device=at_city, source=city.router, origin=identity.origin),
        *(Route(destination=IPv4Network(a), device=at_city, via=address, onlink=True, origin=identity.origin) for a in also),
    )
    neighbour = Neighbour(address=address, mac=host.mac, device=at_city)
    return Fragment(
        nodes=(part, NodePart(name=city.node, routes=routes, neighbours=(neighbour,))),
        links=(ordered(Link(a=host, b=router, origin=identity.origin)),),
    )
