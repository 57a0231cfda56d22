"""Join fragments into a plan: commutative, and an error where two of them contradict each other.

What two fragments say alike is said once. What they say differently about one key (a route's table and destination, a map's element,
a chain, a MAC address of an interface) is a `PlanError`: never does one lowering silently win over another.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import replace
from typing import TypeVar

from testbed.compile.fragment import Fragment, NodePart
from testbed.plan import Link, NftMap, NftSet, NftTable, Node, Plan, PlanError, Ruleset
from testbed.plan.table_changes import INTERFACE

T = TypeVar("T")
SMALLEST_MAP = 256


def link(name: str, fragments: Iterable[Fragment], time_scale: float = 1.0) -> Plan:
    """The plan that all fragments describe together. Raises PlanError on a contradiction."""
    fragments = tuple(fragments)
    parts: dict[str, list[NodePart]] = {}
    for fragment in fragments:
        for part in fragment.nodes:
            parts.setdefault(part.name, []).append(part)
    nodes = tuple(_node(node_name, parts[node_name]) for node_name in sorted(parts))
    links = _unique("link", (item for f in fragments for item in f.links), lambda item: item.key)
    services = _unique("service", (item for f in fragments for item in f.services), lambda item: item.name)
    plan = Plan(name=name, time_scale=time_scale, nodes=nodes, links=links, services=services)
    _check(plan)
    return plan


def ordered(a: Link) -> Link:
    """The link with its ends in the plan's order."""
    return a if (a.a.node, a.a.name) <= (a.b.node, a.b.name) else replace(a, a=a.b, b=a.a)


def _node(name: str, parts: list[NodePart]) -> Node:
    identities = _unique(name, (part.identity for part in parts if part.identity is not None), lambda node: node.name)
    if not identities:
        raise PlanError(f"{name}: something belongs to this node, but nothing makes it")
    tables = tuple(table for part in parts for table in part.tables)
    keys = sorted({(table.family, table.name) for table in tables})
    return replace(
        identities[0],
        loopback=tuple(sorted({address for part in parts for address in part.loopback})),
        tuns=_unique(f"{name}: TUN", (tun for part in parts for tun in part.tuns), lambda tun: tun.name),
        keeps_ttl=identities[0].keeps_ttl or any(part.keeps_ttl for part in parts),
        sysctls=_unique(f"{name}: sysctl", (pair for part in parts for pair in part.sysctls), lambda pair: pair[0]),
        routes=_unique(f"{name}: route", (route for part in parts for route in part.routes), lambda route: (route.table, route.destination, route.metric)),
        rules=_unique(f"{name}: rule", (rule for part in parts for rule in part.rules), lambda rule: (rule.priority, rule.mark, rule.mask, str(rule.source))),
        neighbours=_unique(f"{name}: neighbour", (n for part in parts for n in part.neighbours), lambda n: (n.device, n.address)),
        ruleset=Ruleset(tables=tuple(_table(name, key, [t for t in tables if (t.family, t.name) == key]) for key in keys)) if keys else None,
    )


def _table(node: str, key: tuple[str, str], tables: list[NftTable]) -> NftTable:
    where = f"{node}: table {key[1]}"
    chains = _unique(f"{where}: chain", (c for t in tables for c in t.chains), lambda chain: chain.name)
    return NftTable(
        family=key[0],
        name=key[1],
        timeouts=_unique(f"{where}: timeout", (timeout for t in tables for timeout in t.timeouts), lambda timeout: timeout.name),
        sets=tuple(_set(where, same) for same in _by_name(s for t in tables for s in t.sets)),
        maps=tuple(_map(where, same) for same in _by_name(m for t in tables for m in t.maps)),
        chains=tuple(sorted(chains, key=lambda chain: (chain.hook != "", chain.name))),
    )


Named = TypeVar("Named", NftSet, NftMap)


def _by_name(items: Iterable[Named]) -> list[list[Named]]:
    groups: dict[str, list[Named]] = {}
    for item in items:
        groups.setdefault(item.name, []).append(item)
    return [groups[name] for name in sorted(groups)]


def _set(where: str, same: list[NftSet]) -> NftSet:
    _agree(f"{where}: set {same[0].name}", {(s.type, s.flags) for s in same})
    return replace(same[0], elements=tuple(sorted({element for s in same for element in s.elements})))


def _map(where: str, same: list[NftMap]) -> NftMap:
    """All parts of a map as one. Interfaces with the same rules bring the same part, which is looked at once."""
    same = list({id(part): part for part in same}.values())
    _agree(f"{where}: map {same[0].name}", {(m.type, m.value_type, m.flags) for m in same})
    elements = _unique(f"{where}: map {same[0].name}", (e for m in same for e in m.elements), lambda element: element[0])
    merged = same[0] if elements == same[0].elements else replace(same[0], elements=elements)  # what stays the same object is not compared again (`plan.table_changes`)
    return replace(merged, size=_room(len(elements))) if merged.type.startswith(INTERFACE) else merged


def _room(elements: int) -> int:
    """A size for a map of interfaces, the same while it grows or shrinks a little: another size makes a live change replace the whole table."""
    return max(SMALLEST_MAP, 1 << (elements - 1).bit_length())


def _agree(what: str, definitions: set[Hashable]) -> None:
    if len(definitions) > 1:
        raise PlanError(f"{what} is defined in {len(definitions)} ways")


def _unique(what: str, items: Iterable[T], key: Callable[[T], Hashable]) -> tuple[T, ...]:
    """`items` without repetitions, sorted by `key`. Raises PlanError if two items differ and have one key."""
    found: dict[Hashable, T] = {}
    for item in items:
        known = found.setdefault(key(item), item)
        if known is not item and known != item:
            raise PlanError(f"{what} {key(item)} is asked for twice, differently: {known} and {item}")
    return tuple(found[k] for k in sorted(found))  # type: ignore[type-var]


def _check(plan: Plan) -> None:
    """What a plan names must be in it: nodes of links and services, devices of routes, chains that verdicts lead to."""
    devices: dict[str, set[str]] = {node.name: {"lo", *(tun.name for tun in node.tuns)} for node in plan.nodes}
    trunks = {item.key for item in plan.links if item.vlan is None}
    for item in plan.links:
        if item.vlan is not None and item.vlan.trunk not in trunks:
            raise PlanError(f"VLAN {item.vlan.tag} of {item.a.node} - {item.b.node} is on a link that no one makes")
        for end in (item.a, item.b):
            if end.node not in devices:
                raise PlanError(f"a link ends at {end.node}, which no one makes")
            if end.name in devices[end.node]:
                raise PlanError(f"{end.node} has two interfaces called {end.name}")
            devices[end.node].add(end.name)
    for node in plan.nodes:
        for route in node.routes:
            if route.device is not None and route.device not in devices[node.name]:
                raise PlanError(f"{node.name}: route {route.destination} ({route.origin}) leaves by {route.device}, which it does not have")
        for neighbour in node.neighbours:
            if neighbour.device not in devices[node.name]:
                raise PlanError(f"{node.name}: neighbour {neighbour.address} on {neighbour.device}, which it does not have")
        _check_verdicts(node)
    names = {service.name for service in plan.services}
    for service in plan.services:
        if service.node not in devices:
            raise PlanError(f"service {service.name} runs on {service.node}, which no one makes")
        missing = set(service.after) - names
        if missing:
            raise PlanError(f"service {service.name} waits for {sorted(missing)}, which no one makes")


def _check_verdicts(node: Node) -> None:
    for table in node.ruleset.tables if node.ruleset else ():
        chains = {chain.name for chain in table.chains}
        for nft_map in table.maps:
            for value in sorted({value for _, value in nft_map.elements}):
                if (target := _target(value)) is not None and target not in chains:
                    raise PlanError(f"{node.name}: map {nft_map.name}: something leads to {value}, which no one makes")
        for chain in table.chains:
            for rule in chain.rules:
                if (target := _target(rule.statement)) is not None and target not in chains:
                    raise PlanError(f"{node.name}: chain {chain.name}: {rule.statement} leads nowhere")


def _target(verdict: str) -> str | None:
    """The chain at which a verdict, or a rule that ends in one, continues."""
    words = verdict.split()
    return words[-1] if len(words) > 1 and words[-2] in ("goto", "jump") else None


