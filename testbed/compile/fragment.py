"""What one lowering gives: parts of nodes, links, and services.

Several lowerings shape one node (a fabric gets its routes from route tables, its chains from groups and ACLs, its interfaces from their
owners), none sees what another gave. `link` joins the parts and refuses a contradiction.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Interface

from testbed.plan import Link, Neighbour, NftTable, Node, PolicyRule, Route, ServiceSpec, Tun


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePart:
    """A part of the node called `name`. Exactly one part of each node has its `identity`: kind, label, city, name servers.

    `keeps_ttl`: the node is no hop, if any part says so. `tables` hold sets and maps whose elements add up over parts; a chain's rules come whole from one part.
    """

    name: str
    identity: Node | None = None
    loopback: tuple[IPv4Interface, ...] = ()
    tuns: tuple[Tun, ...] = ()
    keeps_ttl: bool = False
    sysctls: tuple[tuple[str, str], ...] = ()
    routes: tuple[Route, ...] = ()
    rules: tuple[PolicyRule, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()
    tables: tuple[NftTable, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragment:
    """The output of one lowering."""

    nodes: tuple[NodePart, ...] = ()
    links: tuple[Link, ...] = ()
    services: tuple[ServiceSpec, ...] = ()


def join(*fragments: Fragment) -> Fragment:
    """Several fragments of one lowering as one."""
    return Fragment(
        nodes=tuple(part for fragment in fragments for part in fragment.nodes),
        links=tuple(item for fragment in fragments for item in fragment.links),
        services=tuple(item for fragment in fragments for item in fragment.services),
    )
