"""Security groups: a chain per rule, and per set of groups that an interface holds the interval maps that choose among them.

    union.ingress.sg-db   (remote address, protocol, port) ─┐
                          (remote address, ICMP type, code) ├─> sg-db.ingress.2 "sg-db#ingress[2]" ─> admit_receiver
                          (remote address, protocol)       ─┘
                          drop "sg-db#ingress no rule"

One look-up decides however many rules there are. Rules of one union overlap freely and kernel intervals must not, so `boxes` cuts them.
A rule that permits everything makes the maps needless. A referenced group stands for the private addresses of the interfaces that hold it.

Source: VPC user guide, "Security group rules"; "Security groups: referencing" (documented).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, summarize_address_range

from testbed.compile import fabric
from testbed.compile.boxes import LAST_ADDRESS, LAST_KEY, Box, disjoint
from testbed.compile.fragment import Fragment, NodePart
from testbed.model.security_group import Flow, SecurityGroup, SecurityGroupRule
from testbed.model.values import Protocol
from testbed.plan import NftChain, NftMap, NftRule
from testbed.plan.names import identifier
from testbed.resolve.resolved import Resolved

ENDS = {Flow.EGRESS: "sender", Flow.INGRESS: "receiver"}
REMOTE = {Flow.EGRESS: "daddr", Flow.INGRESS: "saddr"}
NUMBERS = {"tcp": Protocol.TCP, "udp": Protocol.UDP, "icmp": Protocol.ICMP}
PORTS = ((Protocol.TCP, "tcp"), (Protocol.UDP, "udp"))
LAST_PROTOCOL, LAST_ICMP = 255, 255
OTHER = "other"
"""Protocols without ports, ICMP aside: a box's key is the protocol's number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Permission:
    """A rule in force: its name for people, its chain, and the remote addresses that it means, as ranges."""

    origin: str
    chain: str
    rule: SecurityGroupRule
    ranges: tuple[tuple[int, int], ...]


def lower(group: SecurityGroup, resolved: Resolved) -> Fragment:
    """A chain for each rule of the group, in its VPC's fabric."""
    rules = tuple(
        NftChain(name=_rule_chain(group, flow, index), rules=(NftRule(statement=f"goto admit_{ENDS[flow]}", origin=_origin(group, flow, index)),))
        for flow in Flow
        for index in range(len(group.rules(flow)))
    )
    return Fragment(nodes=(fabric.chains(group.vpc_id, *rules),))


def union(vpc: str, groups: tuple[str, ...], flow: Flow, resolved: Resolved) -> tuple[str, NodePart]:
    """The chain that judges a flow by all rules of `groups` together, and the part of the fabric that holds it."""
    name = identifier("union", flow.value, *groups)
    permissions = tuple(_permissions(groups, flow, resolved))
    nothing = NftRule(statement="counter drop", origin=f"{','.join(groups)}#{flow.value} no rule")
    everything = next((p for p in permissions if _permits_everything(p.rule)), None)
    if everything is not None:
        return name, fabric.chains(vpc, NftChain(name=name, rules=(NftRule(statement=f"goto {everything.chain}"),)))
    remote = f"ip {REMOTE[flow]}"
    look_ups = (
        (_ports_map(name, permissions), f"meta l4proto {{ tcp, udp }} {remote} . meta l4proto . th dport"),
        (_icmp_map(name, permissions), f"meta l4proto icmp {remote} . icmp type . icmp code"),
        (_other_map(name, permissions), f"{remote} . meta l4proto"),
    )
    used = [(nft_map, key) for nft_map, key in look_ups if nft_map.elements]
    rules = (*(NftRule(statement=f"{key} vmap @{nft_map.name}") for nft_map, key in used), nothing)
    return name, fabric.chains(vpc, NftChain(name=name, rules=rules), maps=tuple(nft_map for nft_map, _ in used))


def _permissions(groups: tuple[str, ...], flow: Flow, resolved: Resolved) -> Iterator[_Permission]:
    members = dict(resolved.members)
    for group in resolved.security_groups:
        if group.id not in groups:
            continue
        for index, rule in enumerate(group.rules(flow)):
            addresses = members.get(rule.security_group_id, ()) if rule.security_group_id is not None else ()
            ranges = tuple(_joined(addresses)) if rule.cidr_ip is None else ((int(rule.cidr_ip.network_address), int(rule.cidr_ip.broadcast_address)),)
            yield _Permission(origin=_origin(group, flow, index), chain=_rule_chain(group, flow, index), rule=rule, ranges=ranges)


def _joined(addresses: Iterable[IPv4Address]) -> Iterator[tuple[int, int]]:
    """Ranges of consecutive addresses."""
    start = end = None
    for address in sorted(map(int, addresses)):
        if end is not None and address <= end + 1:
            end = address
            continue
        if start is not None and end is not None:
            yield start, end
        start = end = address
    if start is not None and end is not None:
        yield start, end


def _permits_everything(rule: SecurityGroupRule) -> bool:
    return rule.ip_protocol == "-1" and rule.cidr_ip == fabric.EVERYTHING


def _ports_map(name: str, permissions: tuple[_Permission, ...]) -> NftMap:
    elements = []
    for protocol, word in PORTS:
        for box, chain in _boxes(permissions, protocol):
            elements.append((f"{_addresses(box)} . {word} . {_span(box.first_key, box.last_key)}", f"goto {chain}"))
    return NftMap(name=f"ports.{name}", type="ipv4_addr . inet_proto . inet_service", value_type="verdict", flags=("interval",), elements=tuple(elements))


def _icmp_map(name: str, permissions: tuple[_Permission, ...]) -> NftMap:
    elements = tuple(
        (f"{_addresses(box)} . {_span(*types)} . {_span(*codes)}", f"goto {chain}")
        for box, chain in _boxes(permissions, Protocol.ICMP)
        for types, codes in _types_and_codes(box.first_key, box.last_key)
    )
    return NftMap(name=f"icmp.{name}", type="ipv4_addr . icmp_type . icmp_code", value_type="verdict", flags=("interval",), elements=elements)


def _other_map(name: str, permissions: tuple[_Permission, ...]) -> NftMap:
    elements = tuple((f"{_addresses(box)} . {_span(box.first_key, box.last_key)}", f"goto {chain}") for box, chain in _boxes(permissions, OTHER))
    return NftMap(name=f"other.{name}", type="ipv4_addr . inet_proto", value_type="verdict", flags=("interval",), elements=elements)


def _boxes(permissions: tuple[_Permission, ...], space: Protocol | str) -> Iterator[tuple[Box, str]]:
    """The disjoint boxes of one protocol's space, and the chain of the rule that decides in each."""
    chains = {p.origin: p.chain for p in permissions}
    permitted = (
        Box(first_address=first, last_address=last, first_key=keys[0], last_key=keys[1], decider=p.origin)
        for p in permissions
        if (keys := _keys(p.rule, space)) is not None
        for first, last in p.ranges
    )
    return ((box, chains[box.decider]) for box in disjoint(permitted))


def _keys(rule: SecurityGroupRule, space: Protocol | str) -> tuple[int, int] | None:
    """The keys that a rule permits in one protocol's space, None if it does not speak of it."""
    if rule.ip_protocol == "-1":
        return (0, LAST_PROTOCOL) if space == OTHER else (0, LAST_KEY)
    number = int(NUMBERS.get(rule.ip_protocol.lower(), rule.ip_protocol))
    if number not in (Protocol.TCP, Protocol.UDP, Protocol.ICMP):
        return (number, number) if space == OTHER else None
    if space != number:
        return None
    first, last = (None if port in (None, -1) else port for port in (rule.from_port, rule.to_port))
    if number != Protocol.ICMP:
        return (0 if first is None else first, LAST_KEY if last is None else last)
    if first is None:
        return (0, LAST_KEY)
    return (first << 8, first << 8 | LAST_ICMP) if last is None else (first << 8 | last, first << 8 | last)


def _types_and_codes(first: int, last: int) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """A range of ``type << 8 | code`` as rectangles over types and codes."""
    while first <= last:
        icmp_type, code = divmod(first, LAST_ICMP + 1)
        whole_types = (last + 1) // (LAST_ICMP + 1) - icmp_type
        if code == 0 and whole_types > 0:
            yield (icmp_type, icmp_type + whole_types - 1), (0, LAST_ICMP)
            first = (icmp_type + whole_types) << 8
        else:
            end = min(last, icmp_type << 8 | LAST_ICMP)
            yield (icmp_type, icmp_type), (code, end & LAST_ICMP)
            first = end + 1


def _addresses(box: Box) -> str:
    """A range of addresses as nft writes it: a CIDR where it is one."""
    first, last = IPv4Address(box.first_address), IPv4Address(box.last_address)
    if (box.first_address, box.last_address) == (0, LAST_ADDRESS):
        return str(fabric.EVERYTHING)
    blocks = list(summarize_address_range(first, last))
    if len(blocks) > 1:
        return f"{first}-{last}"
    return str(first) if blocks[0] == IPv4Network(first) else str(blocks[0])


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"


def _origin(group: SecurityGroup, flow: Flow, index: int) -> str:
    return f"{group.id}#{flow.value}[{index}]"


def _rule_chain(group: SecurityGroup, flow: Flow, index: int) -> str:
    return identifier("rule", group.id, flow.value, str(index))
