"""What must be done to a running lab so that it becomes another plan. The first start is the difference from nothing.

Pure: the engine carries it out, in this order: services and links that go, nodes that go, nodes that come, links that come or change, what
changes inside nodes, flows that end, services that come, restart or reload.

Invariants: `diff(plan, plan)` is empty; a change depends on the two plans alone; a part that cannot be changed in place (a node's kind, its TUN devices, whether it keeps the TTL, a
sysctl that the new plan does not mention, an interface's name) is removed and added, with everything that hangs on it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Interface
from typing import Generic, TypeVar

from testbed.plan.network import Interface, Link, Neighbour, Node, Plan, PolicyRule, Route, ServiceSpec
from testbed.plan.nftables import NftTable, Ruleset
from testbed.plan.table_changes import TableChange, table_change

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta(Generic[T]):
    """Entries to take away and entries to put in, in this order; an entry that changes is in both."""

    removed: tuple[T, ...] = ()
    added: tuple[T, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.removed or self.added)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeChange:
    """What changes inside a node that stays. `sysctls` are to be set; `tables` are new or replace those of their name whole, `tables_edited` change in place, `tables_removed` (family, name) go.

    `settings`: what `exec` shows inside (name servers, search, hosts) or how the node is drawn is different; read it from the new plan.
    """

    name: str
    loopback: Delta[IPv4Interface]
    routes: Delta[Route]
    rules: Delta[PolicyRule]
    neighbours: Delta[Neighbour]
    sysctls: tuple[tuple[str, str], ...]
    tables: Ruleset | None
    tables_edited: tuple[TableChange, ...]
    tables_removed: tuple[tuple[str, str], ...]
    settings: bool

    def __bool__(self) -> bool:
        return bool(self.loopback or self.routes or self.rules or self.neighbours or self.sysctls or self.ruleset or self.settings)

    @property
    def ruleset(self) -> bool:
        return self.tables is not None or bool(self.tables_edited or self.tables_removed)

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of what changes, for people."""
        changed = {"loopback": self.loopback, "neighbours": self.neighbours, "routes": self.routes, "rules": self.rules, "ruleset": self.ruleset, "settings": self.settings, "sysctls": self.sysctls}
        return tuple(name for name, value in changed.items() if value)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkChange:
    """A link whose interfaces stay, with other addresses, MTU, MAC, sysctls or wire."""

    old: Link
    new: Link

    @property
    def remade(self) -> bool:
        """Whether it must be made anew: another MAC address, another VLAN, or a wire where there was none."""
        return self.old.vlan != self.new.vlan or (self.old.wire is None) != (self.new.wire is None) or (self.old.a.mac, self.old.b.mac) != (self.new.a.mac, self.new.b.mac)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedFlows:
    """Flows that this change ends, as a sentence. With `address`, the connection tracking of `node` must forget every flow of that address."""

    sentence: str
    node: str
    address: IPv4Address | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """From one plan to another. `services_reloaded` read a new configuration, `services_restarted` end and start; every tuple is sorted as in a plan."""

    nodes_removed: tuple[Node, ...] = ()
    nodes_added: tuple[Node, ...] = ()
    nodes_changed: tuple[NodeChange, ...] = ()
    links_removed: tuple[Link, ...] = ()
    links_added: tuple[Link, ...] = ()
    links_changed: tuple[LinkChange, ...] = ()
    services_removed: tuple[ServiceSpec, ...] = ()
    services_added: tuple[ServiceSpec, ...] = ()
    services_restarted: tuple[ServiceSpec, ...] = ()
    services_reloaded: tuple[ServiceSpec, ...] = ()
    flows_ended: tuple[EndedFlows, ...] = ()

    def __bool__(self) -> bool:
        changes = (self.nodes_removed, self.nodes_added, self.nodes_changed, self.links_removed, self.links_added, self.links_changed)
        return any(changes) or any((self.services_removed, self.services_added, self.services_restarted, self.services_reloaded))


def diff(old: Plan | None, new: Plan) -> Change:
    """The change that makes a lab of `old` (None: nothing yet) one of `new`.

    A plan with another time scale runs every daemon's clock differently, so its services restart.
    """
    if old is None:
        return Change(nodes_added=new.nodes, links_added=new.links, services_added=new.services)
    rebuilt = _rebuilt(old, new)
    nodes = _compare(old.nodes, new.nodes, lambda node: node.name, lambda node: node.name in rebuilt)
    links = _compare(old.links, new.links, lambda link: link.key, lambda link: link.a.node in rebuilt or link.b.node in rebuilt)
    services = _compare(old.services, new.services, lambda s: s.name, lambda s: s.node in rebuilt)
    links_changed = tuple(LinkChange(old=before, new=after) for before, after in links.kept if before is not after and before != after)
    remade = _remade(links.removed, links.added, links_changed)
    touched = [(before, after) for before, after in nodes.kept if after.name in remade or (before is not after and before != after)]
    nodes_changed = tuple(change for before, after in touched if (change := _node_change(before, after, remade.get(after.name, frozenset()))))
    restarted = tuple(after for before, after in services.kept if old.time_scale != new.time_scale or _runs_differently(before, after))
    reloaded = tuple(after for before, after in services.kept if after not in restarted and before.config != after.config)
    return Change(
        nodes_removed=nodes.removed,
        nodes_added=nodes.added,
        nodes_changed=nodes_changed,
        links_removed=links.removed,
        links_added=links.added,
        links_changed=links_changed,
        services_removed=services.removed,
        services_added=services.added,
        services_restarted=restarted,
        services_reloaded=reloaded,
        flows_ended=tuple(
            sorted(
                {*_of_links(links.removed, links_changed), *_of_nodes(nodes.removed, nodes.kept), *_of_services(services.removed, restarted)},
                key=lambda flows: (flows.node, str(flows.address), flows.sentence),
            )
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Comparison(Generic[T]):
    removed: tuple[T, ...]
    added: tuple[T, ...]
    kept: tuple[tuple[T, T], ...]


def _compare(old: Iterable[T], new: Iterable[T], key: Callable[[T], Hashable], rebuild: Callable[[T], bool]) -> _Comparison[T]:
    before, after = {key(item): item for item in old}, {key(item): item for item in new}
    if before.keys() == after.keys() and not any(map(rebuild, before.values())) and not any(map(rebuild, after.values())):
        return _Comparison(removed=(), added=(), kept=tuple((before[k], item) for k, item in after.items()))
    return _Comparison(
        removed=tuple(item for k, item in before.items() if k not in after or rebuild(item) or rebuild(after[k])),
        added=tuple(item for k, item in after.items() if k not in before or rebuild(item) or rebuild(before[k])),
        kept=tuple((before[k], item) for k, item in after.items() if k in before and not rebuild(item) and not rebuild(before[k])),
    )


def _rebuilt(old: Plan, new: Plan) -> frozenset[str]:
    """Nodes of both plans that cannot be changed in place."""
    after = {node.name: node for node in new.nodes}
    return frozenset(
        node.name for node in old.nodes if node.name in after and not _same_kind(node, after[node.name])
    )


def _same_kind(old: Node, new: Node) -> bool:
    """Whether a node can become the other one in place: a sysctl that is not named any more cannot be set back."""
    return (old.kind, old.keeps_ttl, old.tuns) == (new.kind, new.keeps_ttl, new.tuns) and (old.sysctls == new.sysctls or dict(old.sysctls).keys() <= dict(new.sysctls).keys())


def _remade(removed: tuple[Link, ...], added: tuple[Link, ...], changed: tuple[LinkChange, ...]) -> dict[str, frozenset[str]]:
    """The interfaces of each node that go and come again."""
    again = {(end.node, end.name) for change in changed if change.remade for end in (change.new.a, change.new.b)}
    again |= {(end.node, end.name) for link in removed for end in (link.a, link.b)} & {(end.node, end.name) for link in added for end in (link.a, link.b)}
    return {node: frozenset(device for owner, device in again if owner == node) for node in {node for node, _ in again}}


def _node_change(old: Node, new: Node, remade: frozenset[str]) -> NodeChange:
    tables_before, tables_after = _tables(old), _tables(new)
    edited = {key: table_change(before, tables_after[key], remade) for key, before in tables_before.items() if key in tables_after}
    whole = tuple(table for key, table in tables_after.items() if edited.get(key) is None)
    known = dict(old.sysctls)
    return NodeChange(
        name=new.name,
        loopback=_delta(old.loopback, new.loopback),
        routes=_delta(old.routes, new.routes),
        rules=_delta(old.rules, new.rules),
        neighbours=_delta(old.neighbours, new.neighbours),
        sysctls=tuple((key, value) for key, value in new.sysctls if known.get(key) != value),
        tables=Ruleset(tables=whole) if whole else None,
        tables_edited=tuple(change for change in edited.values() if change),
        tables_removed=tuple(key for key in tables_before if key not in tables_after),
        settings=_settings(old) != _settings(new),
    )


def _delta(old: tuple[T, ...], new: tuple[T, ...]) -> Delta[T]:
    if old == new:
        return Delta()
    before, after = set(old), set(new)
    return Delta(removed=tuple(item for item in old if item not in after), added=tuple(item for item in new if item not in before))


def _tables(node: Node) -> dict[tuple[str, str], NftTable]:
    return {(table.family, table.name): table for table in node.ruleset.tables} if node.ruleset else {}


def _settings(node: Node) -> Node:
    """The node without what the kernel holds."""
    return replace(node, loopback=(), sysctls=(), routes=(), rules=(), neighbours=(), ruleset=None)


def _runs_differently(old: ServiceSpec, new: ServiceSpec) -> bool:
    """Whether more than the configuration is different; the order of starting and the origin do not touch a running service."""
    return replace(old, config="", after=(), origin="") != replace(new, config="", after=(), origin="")


def _of_links(removed: tuple[Link, ...], changed: tuple[LinkChange, ...]) -> Iterator[EndedFlows]:
    """An address that leaves an interface takes its flows with it; the node at the other end must forget them."""
    for link in removed:
        for end, other in ((link.a, link.b), (link.b, link.a)):
            yield from _of_addresses(end, other, frozenset(end.addresses))
    for change in changed:
        for before, after, other in ((change.old.a, change.new.a, change.new.b), (change.old.b, change.new.b, change.new.a)):
            yield from _of_addresses(before, other, frozenset(before.addresses) - frozenset(after.addresses))


def _of_addresses(end: Interface, other: Interface, addresses: frozenset[IPv4Interface]) -> Iterator[EndedFlows]:
    for address in addresses:
        yield EndedFlows(sentence=f"flows of {address.ip} end: it leaves {end.node} ({end.origin or end.name})", node=other.node, address=address.ip)


def _of_nodes(removed: tuple[Node, ...], kept: tuple[tuple[Node, Node], ...]) -> Iterator[EndedFlows]:
    for node in removed:
        yield EndedFlows(sentence=f"flows of {node.name} end: it goes away", node=node.name)
    for old, new in kept:
        if old.ruleset is new.ruleset:
            continue
        translated = dict(_translations(new))
        for (name, key), value in _translations(old):
            if translated.get((name, key)) != value:
                yield EndedFlows(sentence=f"flows of {key} end: {new.name} does not translate it to {value} any more", node=new.name, address=IPv4Address(key))


def _translations(node: Node) -> Iterator[tuple[tuple[str, str], str]]:
    """The elements of a node's address maps: what it swaps for what."""
    for table in node.ruleset.tables if node.ruleset else ():
        for nft_map in table.maps:
            if nft_map.type == nft_map.value_type == "ipv4_addr":
                yield from (((nft_map.name, key), value) for key, value in nft_map.elements)


def _of_services(removed: tuple[ServiceSpec, ...], restarted: tuple[ServiceSpec, ...]) -> Iterator[EndedFlows]:
    for service in removed:
        yield EndedFlows(sentence=f"connections of {service.name} end: it stops", node=service.node)
    for service in restarted:
        yield EndedFlows(sentence=f"connections of {service.name} end: it restarts", node=service.node)
