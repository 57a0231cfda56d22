"""Who reaches whom: the walks of all pairs of nodes at once.

A thousand interfaces are a million pairs, but few of them differ. Nodes that share subnet, table, ACL and everything else but their groups, and whose addresses lie in the same of all CIDR
blocks that the topology names, are one class, and one walk between two classes, every group open, speaks for all its pairs. What the groups say is a set of nodes for each
group (`group_sets`), and a pair's fate is the three together, in AWS's order:

    sender's groups ─no─▶ dropped │ walk drops the request ─▶ dropped │ receiver's groups ─no─▶ dropped │ the walk's reply

Where that does not hold (several interfaces, translated addresses, a third interface's groups on the way, rules that name groups beyond a transit gateway) the classes know groups as well, and the walk decides alone.

A source in a VPC uses the destination's private address, one on the internet the public one where there is one. Nodes to which a route leads by name are classes of their own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from testbed.model.route_table import RouteTable
from testbed.model.rule_group import RuleGroup
from testbed.model.security_group import Flow, SecurityGroup, no_rule_name
from testbed.model.topology import Topology
from testbed.model.values import Packet, Protocol, Verdict
from testbed.oracle.group_sets import GroupSets, relevant
from testbed.oracle.network_firewall import ASKS
from testbed.oracle.places import InterfacePlace, InternetPlace, Places
from testbed.oracle.walk import ECHO_REQUEST, Leg, Outcome, Probe, Stage, Walk

UNLIKE = frozenset(("id", "node", "owner", "device", "address", "addresses", "public_address", "mapped"))
"""Fields of a place that no rule looks at, or that the blocks speak for."""
ITSELF = "itself"
NOWHERE = IPv4Address("0.0.0.0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What becomes of a pair's probe; one that passes and has a `stage` begins, and is then decided by what it says. `leg`, `stage` and `origin` say what decided; a node's own column is ``itself``."""

    passes: bool
    arrives: bool
    leg: str
    stage: str
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """The matrix. `fates[cells[i][j]]` is the fate from `names[i]` to `names[j]`; `groups` are the indexes of nodes that behave alike, `walks` how many walks it took."""

    protocol: str
    port: int | None
    names: tuple[str, ...]
    fates: tuple[Fate, ...]
    cells: tuple[tuple[int, ...], ...]
    groups: tuple[tuple[int, ...], ...]
    walks: int
    addresses: tuple[tuple[IPv4Address, IPv4Address], ...]
    """Of each node: by which a source in a VPC calls it, and one on the internet."""
    outside: tuple[bool, ...]
    """Which nodes are on the internet."""
    begins: tuple[bool, ...]
    """Which nodes begin connections at all: an interface endpoint never does, a network balancer's node only passes on what others began."""

    @property
    def sources(self) -> tuple[str, ...]:
        """The names of nodes that begin connections."""
        return tuple(name for name, begins in zip(self.names, self.begins, strict=True) if begins)

    def address(self, source: str, destination: str) -> IPv4Address:
        """The address by which `source` calls `destination`."""
        return self.addresses[self.names.index(destination)][self.outside[self.names.index(source)]]

    def fate(self, source: str, destination: str) -> Fate:
        """The fate between two nodes. Raises ValueError for a name that is none."""
        return self.fates[self.cells[self.names.index(source)][self.names.index(destination)]]


Node = tuple[InterfacePlace, ...] | InternetPlace
Asked = Callable[[Probe], Walk]


def reach(walk: Asked, open_walk: Asked, places: Places, topology: Topology, users: Iterable[str], protocol: Protocol, port: int | None, source_port: int) -> Reach:
    """The matrix of all nodes with an interface in a VPC, and of the `users`; NAT gateways, firewalls, Gateway Load Balancers and their endpoints are no ends of a flow. Names are sorted. `open_walk` walks among the same places with every group open."""
    nodes: dict[str, Node] = {
        name: interfaces
        for name, interfaces in places.by_node.items()
        if not (interfaces[0].is_nat_gateway or interfaces[0].is_network_firewall or places.gateway_load_balancers.owns(interfaces[0].owner))
    }
    nodes |= {user: places.internet_by_node[user] for user in users}
    matrix = _Matrix(walk, open_walk, places, topology, nodes, protocol, port, source_port)
    return matrix.fill()


class _Matrix:
    """The work of `reach`."""

    def __init__(self, walk: Asked, open_walk: Asked, places: Places, topology: Topology, nodes: dict[str, Node], protocol: Protocol, port: int | None, source_port: int) -> None:
        self._walk, self._open_walk = walk, open_walk
        self._is_private_way = places.private_ways.is_private_way
        self._names = tuple(sorted(nodes))
        self._nodes = tuple(nodes[name] for name in self._names)
        self._protocol, self._port, self._source_port = protocol, port, source_port
        self._named = frozenset(target for table in topology.of(RouteTable) for route in table.routes for target in route.targets())
        others = tuple(resource for resource in topology.resources if not isinstance(resource, SecurityGroup))
        self._blocks = _Blocks((*_inside(others), *(block for group in topology.of(RuleGroup) for block in group.blocks())))
        self._blocks_of_groups = _Blocks(_inside(tuple(rule for group in topology.of(SecurityGroup) for rule in relevant(group, protocol, (port, source_port)))))
        self._sets = GroupSets(tuple(node[0].address if isinstance(node, tuple) else node.address for node in self._nodes), places.named, self._packet())
        self._fates: dict[Fate, int] = {Fate(passes=True, arrives=True, leg="", stage=ITSELF, origin=ITSELF): 0}
        self._cells = [[0] * len(self._names) for _ in self._names]
        self._walks = 0

    def fill(self) -> Reach:
        by_class: dict[Hashable, list[int]] = {}
        for index, node in enumerate(self._nodes):
            by_class.setdefault(self._class_of(node, with_groups=False), []).append(index)
        for sources in by_class.values():
            for targets in by_class.values():
                self._pairs(sources, targets)
        for index in range(len(self._names)):
            self._cells[index][index] = 0
        alike: dict[Hashable, list[int]] = {}
        for index, node in enumerate(self._nodes):
            alike.setdefault(self._class_of(node, with_groups=True), []).append(index)
        return Reach(
            protocol=self._protocol.name.lower(), port=self._port, names=self._names, fates=tuple(self._fates), cells=tuple(map(tuple, self._cells)),
            groups=tuple(map(tuple, alike.values())), walks=self._walks,
            addresses=tuple(map(_addresses_of, self._nodes)), outside=tuple(isinstance(node, InternetPlace) for node in self._nodes),
            begins=tuple(isinstance(node, InternetPlace) or not self._is_private_way(node[0].owner) for node in self._nodes),
        )

    def _pairs(self, sources: list[int], targets: list[int]) -> None:
        source, target = sources[0], next((t for t in targets if t != sources[0]), None)
        if target is None:
            return
        skeleton = self._asked(source, target, self._open_walk)
        sender, receiver = self._nodes[source], self._nodes[target]
        beyond_a_hub = any(hop.stage is Stage.TRANSIT_GATEWAY for hop in skeleton.request.hops) and any(self._names_groups(index) for index in (*sources, *targets))
        if beyond_a_hub or not (isinstance(sender, tuple) and isinstance(receiver, tuple) and _is_plain(skeleton, sender, receiver)):
            self._by_walks(sources, targets)
            return
        delivered = skeleton.request.outcome is Outcome.DELIVERED
        otherwise = self._number(_fate(skeleton))
        refused_in = {column: self._number(self._refused(column, Flow.INGRESS)) for column in targets}
        admitted_in = {column: self._sets.admitted(self._groups(column), Flow.INGRESS) for column in targets}
        for row in sources:
            cell, sends = self._cells[row], self._sets.admitted(self._groups(row), Flow.EGRESS)
            refused_out = self._number(self._refused(row, Flow.EGRESS))
            for column in targets:
                if not sends >> column & 1:
                    cell[column] = refused_out
                elif delivered and not admitted_in[column] >> row & 1:
                    cell[column] = refused_in[column]
                else:
                    cell[column] = otherwise

    def _by_walks(self, sources: list[int], targets: list[int]) -> None:
        """Pair by pair of classes that know groups, too."""
        for alike in self._alike(sources):
            for others in self._alike(targets):
                target = next((t for t in others if t != alike[0]), None)
                if target is not None:
                    number = self._number(_fate(self._asked(alike[0], target, self._walk)))
                    for row in alike:
                        for column in others:
                            self._cells[row][column] = number

    def _alike(self, indexes: list[int]) -> Iterable[list[int]]:
        classes: dict[Hashable, list[int]] = {}
        for index in indexes:
            classes.setdefault(self._class_of(self._nodes[index], with_groups=True), []).append(index)
        return classes.values()

    def _asked(self, source: int, target: int, walk: Asked) -> Walk:
        self._walks += 1
        return walk(_probe(self._names[source], self._nodes[source], self._nodes[target], self._protocol, self._port, self._source_port))

    def _number(self, fate: Fate) -> int:
        return self._fates.setdefault(fate, len(self._fates))

    def _groups(self, index: int) -> tuple[SecurityGroup, ...]:
        node = self._nodes[index]
        return node[0].groups if isinstance(node, tuple) else ()

    def _names_groups(self, index: int) -> bool:
        """Whether a rule names a group: beyond a transit gateway that means something else than its members."""
        return any(rule.security_group_id is not None for group in self._groups(index) for flow in Flow for rule in group.rules(flow))

    def _refused(self, index: int, flow: Flow) -> Fate:
        origin = no_rule_name((group.id for group in self._groups(index)), flow)
        return Fate(passes=False, arrives=False, leg=Leg.REQUEST.value, stage=Stage.SECURITY_GROUP.value, origin=origin)

    def _packet(self) -> Packet:
        """The flow's first packet, whoever its ends are."""
        if self._protocol is Protocol.ICMP:
            return Packet(source=NOWHERE, destination=NOWHERE, protocol=self._protocol, icmp_type=ECHO_REQUEST, icmp_code=0)
        return Packet(source=NOWHERE, destination=NOWHERE, protocol=self._protocol, source_port=self._source_port, destination_port=self._port)

    def _class_of(self, node: Node, *, with_groups: bool) -> Hashable:
        blocks = (self._blocks, self._blocks_of_groups) if with_groups else (self._blocks,)
        if isinstance(node, InternetPlace):
            return ("internet", tuple(block.containing(node.address) for block in blocks))
        unlike = UNLIKE if with_groups else UNLIKE | {"groups"}
        return tuple(
            (_likeness(place, unlike), tuple(b.containing(address) for b in blocks for pair in _addresses(place) for address in pair), self._own_name(place)) for place in node
        )

    def _own_name(self, place: InterfacePlace) -> str:
        """Its name, where it counts: routes lead to it, or it passes on what it gets, as no other does."""
        return place.id if place.id in self._named or place.owner in self._named or self._is_private_way(place.owner) else ""


def _is_plain(skeleton: Walk, sender: tuple[InterfacePlace, ...], receiver: tuple[InterfacePlace, ...]) -> bool:
    """Whether only the two ends' groups have a say, about the very packet that was sent."""
    judges = {hop.where for hop in skeleton.request.hops if hop.stage is Stage.SECURITY_GROUP}
    return len(sender) == 1 and len(receiver) == 1 and judges <= {sender[0].id, receiver[0].id} and all(hop.translated is None for hop in skeleton.request.hops)


def _addresses_of(node: Node) -> tuple[IPv4Address, IPv4Address]:
    if isinstance(node, InternetPlace):
        return node.address, node.address
    return node[0].address, next((public for place in node for _, public in _addresses(place) if public is not None), node[0].address)


def _probe(name: str, source: Node, destination: Node, protocol: Protocol, port: int | None, source_port: int) -> Probe:
    address = _addresses_of(destination)[isinstance(source, InternetPlace)]
    if protocol is Protocol.ICMP:
        return Probe(source=name, destination=address, protocol=protocol)
    return Probe(source=name, destination=address, protocol=protocol, destination_port=port, source_port=source_port)


def _fate(walk: Walk) -> Fate:
    last = walk.deciding.hops[-1]
    arrives = walk.request.outcome is Outcome.DELIVERED
    stage = last.stage.value if last.verdict is Verdict.DENY else ""
    origin = _without_ends(last.origin, (str(last.packet.source), str(last.packet.destination))) if stage else ""
    asks = next((hop for hop in walk.request.hops if hop.stage is Stage.NETWORK_FIREWALL and ASKS in hop.origin), None)
    if not stage and asks is not None:  # the handshake passes; what follows is decided by what it says
        stage, origin = asks.stage.value, asks.origin
    return Fate(passes=walk.outcome is Outcome.DELIVERED, arrives=arrives, leg=walk.leg.value if stage else "", stage=stage, origin=origin)


def _without_ends(origin: str, addresses: tuple[str, str]) -> str:
    """A reason without the two addresses of the pair that was walked: it speaks for all of its class."""
    for address, word in zip(addresses, ("the source", "the destination"), strict=True):
        origin = origin.replace(address, word)
    return origin


def _addresses(place: InterfacePlace) -> Iterator[tuple[IPv4Address, IPv4Address | None]]:
    """Its private addresses, the primary one first, each with its public one."""
    return ((address, place.public_of(address)) for address in place.addresses)


def _likeness(place: InterfacePlace, unlike: frozenset[str]) -> Hashable:
    return tuple(_key(getattr(place, field.name)) for field in dataclasses.fields(place) if field.name not in unlike)


def _key(value: Any) -> Hashable:
    """A field's value, resources by their ids."""
    if isinstance(value, tuple):
        return tuple(_key(item) for item in value)
    identity = getattr(value, "id", None)
    return identity if isinstance(identity, str) else value if isinstance(value, Hashable) else repr(value)


class _Blocks:
    """Which of some CIDR blocks contain an address: one look-up for each prefix length in use."""

    def __init__(self, networks: Iterable[IPv4Network]) -> None:
        self._by_length: dict[int, set[int]] = {}
        for network in networks:
            self._by_length.setdefault(network.prefixlen, set()).add(int(network.network_address))

    def containing(self, address: IPv4Address | None) -> Hashable:
        if address is None:
            return None
        number = int(address)
        found = []
        for length, starts in self._by_length.items():
            start = number & ~((1 << (32 - length)) - 1)
            if start in starts:
                found.append((length, start))
        return tuple(found)


def _inside(value: Any) -> Iterator[IPv4Network]:
    """The networks and addresses anywhere in a resource."""
    if isinstance(value, IPv4Network):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _inside(item)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from _inside(getattr(value, field.name))
