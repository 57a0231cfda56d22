"""Whose address is it? The nodes of a plan by address, and what a person calls them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.plan import Node, NodeKind, Plan


@dataclass(frozen=True, slots=True)
class Places:
    """Nodes by address. An anycast address belongs to several."""

    _by_address: dict[IPv4Address, tuple[Node, ...]]
    _host_names: dict[IPv4Address, str]

    @classmethod
    def of(cls, plan: Plan) -> Places:
        """The places of a plan."""
        nodes = {node.name: node for node in plan.nodes}
        found: dict[IPv4Address, list[Node]] = {}
        for name, address in _addresses(plan):
            owners = found.setdefault(address, [])
            if nodes[name] not in owners:
                owners.append(nodes[name])
        return cls({address: tuple(sorted(owners, key=lambda node: node.name)) for address, owners in found.items()}, dict(_host_names(plan)))

    def at(self, address: str | IPv4Address | None) -> tuple[Node, ...]:
        """The nodes that have `address`, which may have a port (``10.0.0.4:443``)."""
        if address is None:
            return ()
        try:
            parsed = IPv4Address(str(address).partition(":")[0])
        except ValueError:
            return ()
        return self._by_address.get(parsed, ())

    def name(self, address: str | IPv4Address | None) -> str:
        """What to call whoever has `address`: the node; else, for name servers and mapped addresses, what their route is for; else the address itself."""
        bare = str(address or "?").partition(":")[0]
        nodes = self.at(address)
        if len(nodes) == 1 and nodes[0].kind is not NodeKind.NAME_SERVER:
            return nodes[0].name
        try:
            return self._host_names.get(IPv4Address(bare)) or " or ".join(node.name for node in nodes) or bare
        except ValueError:
            return bare


def address_of(plan: Plan, node: str) -> IPv4Address | None:
    """The node's own address: its first interface's, by name, that has one beyond link-local; None if it has none."""
    own = sorted((interface for link in plan.links for interface in (link.a, link.b) if interface.node == node), key=lambda interface: interface.name)
    for interface in own:
        for address in interface.addresses:
            if not address.ip.is_link_local:
                return address.ip
    return None


def served_address(plan: Plan, name: str) -> IPv4Address | None:
    """The lowest address that nodes serve under a name that is no node's: an accelerator's, which no interface has. None if none does."""
    return min((address for node in plan.nodes for address, served in node.hosts if served == name), default=None)


def _host_names(plan: Plan) -> Iterator[tuple[IPv4Address, str]]:
    """What host routes are for: a name server (``a.root-servers.net``), or the interface that a public address is mapped to (``eni-alb-shop-a``); and what nodes serve without having its address."""
    for node in plan.nodes:
        yield from node.hosts
    routes = [route for node in plan.nodes for route in node.routes if route.destination.prefixlen == 32 and route.origin]
    for route in sorted(routes, key=lambda route: "." in route.origin):  # the last of an address counts
        yield route.destination.network_address, route.origin if "." in route.origin else route.origin.split()[-1]


def _addresses(plan: Plan) -> Iterator[tuple[str, IPv4Address]]:
    for node in plan.nodes:
        for address in node.loopback:
            yield node.name, address.ip
    for link in plan.links:
        for interface in (link.a, link.b):
            for address in interface.addresses:
                yield interface.node, address.ip
