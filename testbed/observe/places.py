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

    @classmethod
    def of(cls, plan: Plan) -> Places:
        """The places of a plan."""
        nodes = {node.name: node for node in plan.nodes}
        found: dict[IPv4Address, list[Node]] = {}
        for name, address in _addresses(plan):
            owners = found.setdefault(address, [])
            if nodes[name] not in owners:
                owners.append(nodes[name])
        return cls({address: tuple(sorted(owners, key=lambda node: node.name)) for address, owners in found.items()})

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
        """What to call whoever has `address`: the node, several of one kind by their kind, the address itself if nobody has it."""
        nodes = self.at(address)
        if not nodes:
            return str(address or "?").partition(":")[0]
        if len(nodes) == 1:
            return nodes[0].label or nodes[0].name
        if all(node.kind is NodeKind.EDGE_LOCATION for node in nodes):
            return "Route 53 (anycast)"
        return " or ".join(node.name for node in nodes)

    def kind(self, address: str | IPv4Address | None) -> NodeKind | None:
        """The kind of the one node that has `address`."""
        nodes = self.at(address)
        return nodes[0].kind if len(nodes) == 1 else None


def address_of(plan: Plan, node: str) -> IPv4Address | None:
    """The node's own address: its first interface's, by name, that has one beyond link-local; None if it has none."""
    own = sorted((interface for link in plan.links for interface in (link.a, link.b) if interface.node == node), key=lambda interface: interface.name)
    for interface in own:
        for address in interface.addresses:
            if not address.ip.is_link_local:
                return address.ip
    return None


def _addresses(plan: Plan) -> Iterator[tuple[str, IPv4Address]]:
    for node in plan.nodes:
        for address in node.loopback:
            yield node.name, address.ip
    for link in plan.links:
        for interface in (link.a, link.b):
            for address in interface.addresses:
                yield interface.node, address.ip
