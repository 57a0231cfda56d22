"""Security groups: a chain per rule, and per set of groups that an interface holds the interval maps that choose among them.

    union.ingress.sg-db   (remote address, protocol, port) ─┐
                          (remote address, ICMP type, code) ├─> rule.sg-db.ingress.2 "sg-db#ingress[2]" ─> admit_receiver
                          (remote address, protocol)       ─┘
                          drop "sg-db#ingress no rule"

A rule that permits everything makes the maps needless. A referenced group stands for the private addresses of the interfaces that hold it, a prefix list
for its blocks. What crosses the VPC by way of an interface that forwards for others is judged without the rules that refer to groups (union ….routed). What comes from a transit
gateway is judged by the groups that are known beyond it, what goes to one without any (union ….hub).

    untracked.ingress.sg-web    other end always tracked? ─> track_receiver. (protocol, port) in open.ingress.sg-web? return ─> track_receiver

Behind a Network Load Balancer that keeps its clients' addresses (union ….behind) a rule that refers to the balancer's group matches, whoever the client is, and one that
refers to a client's group does not (ELB user guide, "Update the security groups for your NLB", "Register targets with your NLB target group"; documented).

A flow is not tracked where 0.0.0.0/0 may begin it and may be answered on all ports: its end's bit is not set, and the rules judge every packet.
Source: VPC user guide, "Security group rules"; EC2 user guide, "Amazon EC2 security group connection tracking" (documented).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from ipaddress import IPv4Address, collapse_addresses

from testbed.compile import boxes, fabric
from testbed.compile.fragment import Fragment, NodePart
from testbed.compile.network_target_group import keepers
from testbed.compile.per_topology import per_topology
from testbed.compile.transit_gateway_group_reference import members_beyond
from testbed.compile.verdict_maps import Match, icmp_keys, look_ups, network_range
from testbed.model.prefix_list import PrefixList
from testbed.model.security_group import Flow, SecurityGroup, SecurityGroupRule
from testbed.model.values import Protocol
from testbed.plan import NftChain, NftMap, NftRule, NftSet, NftTable
from testbed.plan.names import identifier
from testbed.resolve.resolved import Resolved

ENDS = {Flow.EGRESS: "sender", Flow.INGRESS: "receiver"}
REMOTE = {Flow.EGRESS: "daddr", Flow.INGRESS: "saddr"}
FAR_DEVICE = {Flow.EGRESS: "oif", Flow.INGRESS: "iif"}
NUMBERS = {"tcp": Protocol.TCP, "udp": Protocol.UDP, "icmp": Protocol.ICMP}
EVERY_PROTOCOL = "-1"
ANYBODY = ((0, boxes.LAST_ADDRESS),)


def lower(group: SecurityGroup, resolved: Resolved) -> Fragment:
    """A chain for each rule of the group, in its VPC's fabric."""
    return Fragment(nodes=(fabric.chains(group.vpc_id, *_rule_chains(group)),))


def union(node: str, groups: tuple[str, ...], flow: Flow, resolved: Resolved, *, forwarded: bool = False) -> tuple[str, NodePart]:
    """The chain that judges a flow by all rules of `groups` together, and the part of `node` (a fabric or a port) that holds it.

    `forwarded`: some interface of the VPC forwards for others, so that the node has the sets of `fabric.FORWARDERS`.
    """
    return _union(resolved, node, groups, flow, forwarded)


@per_topology
def _union(resolved: Resolved, node: str, groups: tuple[str, ...], flow: Flow, forwarded: bool) -> tuple[str, NodePart]:
    name = identifier("union", flow.value, *groups)
    rules = [each for group in resolved.groups(groups) for each in _rules(resolved, group.id, flow)]
    everything = next((match.chain for rule, match in rules if rule.ip_protocol == EVERY_PROTOCOL and rule.cidr_ip == fabric.EVERYTHING), None)
    if everything is not None:
        return name, fabric.chains(node, NftChain(name=name, rules=(NftRule(statement=f"goto {everything}"),)))
    nothing = NftRule(statement="counter drop", origin=f"{','.join(groups)}#{flow.value} no rule")
    by_addresses = tuple(match for rule, match in rules if rule.security_group_id is None)
    if forwarded and len(by_addresses) < len(rules):
        routed = identifier("union", flow.value, *groups, "routed")
        other_maps, other_look_up = look_ups(routed, REMOTE[flow], by_addresses, boxes.union)
        device = FAR_DEVICE[flow]
        way = NftRule(statement=f"{device} @{fabric.FORWARDERS} {device} . ip {REMOTE[flow]} != @{fabric.FORWARDERS_ADDRESSES} goto {routed}", origin="by way of a middlebox")
        added: tuple[NftChain, ...] = (NftChain(name=routed, rules=(*other_look_up, nothing)),)
    else:
        other_maps, way, added = (), None, ()
    maps, look_up = look_ups(name, REMOTE[flow], tuple(match for _, match in rules), boxes.union)
    sets, behind = [], []
    for held, devices in _balancers(resolved, node, flow) if len(by_addresses) < len(rules) else ():
        balanced = identifier("union", flow.value, *groups, "behind", *held)
        matches = tuple(replace(match, ranges=ANYBODY) if rule.security_group_id in held else match for rule, match in rules if rule.security_group_id in (None, *held))
        balanced_maps, balanced_look_up = look_ups(balanced, REMOTE[flow], matches, boxes.union)
        other_maps, added = (*other_maps, *balanced_maps), (*added, NftChain(name=balanced, rules=(*balanced_look_up, nothing)))
        sets.append(NftSet(name=identifier("balancers", *held), type="iface_index", elements=devices))
        behind.append(NftRule(statement=f"{FAR_DEVICE[flow]} @{sets[-1].name} goto {balanced}", origin="client of a network load balancer"))
    hub_ways, hub_chains, hub_maps = _across_transit_gateways(node, name, rules, flow, nothing, resolved) if len(by_addresses) < len(rules) else ((), (), ())
    chain = NftChain(name=name, rules=(*hub_ways, *((way,) if way is not None else ()), *behind, *look_up, nothing))
    return name, NodePart(name=node, tables=(NftTable(name=fabric.TABLE, sets=tuple(sets), maps=(*maps, *other_maps, *hub_maps), chains=(chain, *added, *hub_chains)),))


def _across_transit_gateways(
    node: str, union_name: str, rules: list[tuple[SecurityGroupRule, Match]], flow: Flow, nothing: NftRule, resolved: Resolved
) -> tuple[tuple[NftRule, ...], tuple[NftChain, ...], tuple[NftMap, ...]]:
    """The way to the rules as they are for a transit gateway's packets, in a fabric that has attachments. An appliance's port knows members by address alone."""
    if not any(attachment.subnets for attachment in resolved.attachments_to(node)):
        return (), (), ()
    name = f"{union_name}.hub"
    known = {group: tuple(_joined(addresses)) for group, addresses in (members_beyond(node, resolved) if flow is Flow.INGRESS else {}).items()}
    matches = tuple(_match(match.chain, rule, known, resolved) for rule, match in rules if rule.security_group_id is None or known.get(rule.security_group_id))
    maps, look_up = look_ups(name, REMOTE[flow], matches, boxes.union)
    way = NftRule(statement=f'{FAR_DEVICE[flow]}name "{fabric.TRANSIT_GATEWAY_PREFIX}*" goto {name}', origin="across a transit gateway")
    return (way,), (NftChain(name=name, rules=(*look_up, nothing)),), maps


def untracked(node: str, groups: tuple[str, ...], flow: Flow, resolved: Resolved) -> tuple[str, NodePart] | None:
    """The chain that leaves alone what is not tracked of what `groups` together admit, and the part of `node` that holds it; None if they track everything."""
    return _untracked(resolved, node, groups, flow)


@per_topology
def _untracked(resolved: Resolved, node: str, groups: tuple[str, ...], flow: Flow) -> tuple[str, NodePart] | None:
    held = resolved.groups(groups)
    back = Flow.EGRESS if flow is Flow.INGRESS else Flow.INGRESS
    elements = []
    for word in ("tcp", "udp"):
        answers, begins = ([span for group in held for span in _open_spans(resolved, group.id, way, word)] for way in (back, flow))
        if (0, boxes.LAST_KEY) in answers:
            elements += [f"{word} . {first}" if first == last else f"{word} . {first}-{last}" for first, last in _merged(begins)]
    if not elements:
        return None
    name, end = identifier("untracked", flow.value, *groups), ENDS[flow]
    ports = NftSet(name=identifier("open", flow.value, *groups), type="inet_proto . inet_service", flags=("interval",), elements=tuple(elements))
    chain = NftChain(
        name=name,
        rules=(
            NftRule(statement=f"{FAR_DEVICE[flow]} @{fabric.ALWAYS_TRACKED} goto track_{end}", origin="always tracked"),
            NftRule(statement=f"meta l4proto . th dport @{ports.name} return", origin=f"{','.join(groups)}#{flow.value} not tracked"),
            NftRule(statement=f"goto track_{end}"),
        ),
    )
    return name, NodePart(name=node, tables=(NftTable(name=fabric.TABLE, sets=(ports,), chains=(chain,)),))


def at_end(node: str, device: str, groups: tuple[str, ...], flow: Flow, resolved: Resolved, *, forwarded: bool = False, always_tracked: bool = False) -> Fragment:
    """What judges flows at `device` of `node` by `groups` in one direction: the union, what it leaves untracked, and the entries that lead there."""
    end, key = ENDS[flow], fabric.quoted(device)
    chain, part = union(node, groups, flow, resolved, forwarded=forwarded)
    parts = [part, fabric.chains(node, maps=(fabric.verdicts(f"{end}_groups", ((key, f"goto {chain}"),)),))]
    found = None if always_tracked else untracked(node, groups, flow, resolved)
    if found is not None:
        chain, part = found
        parts += [part, fabric.chains(node, maps=(fabric.verdicts(f"{end}_untracked", ((key, f"goto {chain}"),)),))]
    return Fragment(nodes=tuple(parts))


def rules_of(node: str, groups: tuple[str, ...], resolved: Resolved) -> NodePart:
    """The chains of all rules of `groups`, in a node other than their VPC's fabric."""
    return fabric.chains(node, *(chain for group in resolved.groups(groups) for chain in _rule_chains(group)))


@per_topology
def _open_spans(resolved: Resolved, group_id: str, flow: Flow, word: str) -> tuple[tuple[int, int], ...]:
    """The ports of a protocol that a group opens to 0.0.0.0/0 in one direction."""
    (group,) = resolved.groups((group_id,))
    return tuple(span for rule in group.rules(flow) if (span := _open_to_everybody(rule, NUMBERS[word])) is not None)


def _open_to_everybody(rule: SecurityGroupRule, protocol: Protocol) -> tuple[int, int] | None:
    """The ports of `protocol` that the rule opens to 0.0.0.0/0."""
    if rule.cidr_ip != fabric.EVERYTHING:
        return None
    if rule.ip_protocol == EVERY_PROTOCOL:
        return 0, boxes.LAST_KEY
    if int(NUMBERS.get(rule.ip_protocol.lower(), rule.ip_protocol)) != protocol:
        return None
    first, last = (None if port in (None, -1) else port for port in (rule.from_port, rule.to_port))
    return 0 if first is None else first, boxes.LAST_KEY if last is None else last


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same ports in disjoint spans, sorted."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged


@per_topology
def _balancers(resolved: Resolved, vpc: str, flow: Flow) -> tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]:
    """The devices behind which network balancers' nodes send with their clients' addresses, by the groups that these nodes hold."""
    devices: dict[tuple[str, ...], list[str]] = {}
    for interface in keepers(resolved, vpc) if flow is Flow.INGRESS else ():
        devices.setdefault(tuple(sorted(interface.security_groups)), []).append(fabric.quoted(fabric.device(interface)))
    return tuple((groups, tuple(sorted(found))) for groups, found in sorted(devices.items()))


@per_topology
def _members(resolved: Resolved) -> dict[str, tuple[tuple[int, int], ...]]:
    """The addresses of each group's members, as ranges."""
    return {group: tuple(_joined(addresses)) for group, addresses in resolved.members}


@per_topology
def _rules(resolved: Resolved, group_id: str, flow: Flow) -> tuple[tuple[SecurityGroupRule, Match], ...]:
    """A group's rules of one direction, each with what it matches."""
    (group,) = resolved.groups((group_id,))
    return tuple((rule, _match(_rule_chain(group, flow, index), rule, _members(resolved), resolved)) for index, rule in enumerate(group.rules(flow)))


def _match(chain: str, rule: SecurityGroupRule, members: Mapping[str, tuple[tuple[int, int], ...]], resolved: Resolved) -> Match:
    if rule.cidr_ip is not None:
        ranges: tuple[tuple[int, int], ...] = (network_range(rule.cidr_ip),)
    elif rule.prefix_list_id is not None:
        ranges = tuple(network_range(block) for each in resolved.topology.of(PrefixList) if each.id == rule.prefix_list_id for block in collapse_addresses(each.blocks))
    else:
        ranges = members.get(rule.security_group_id or "", ())
    if rule.ip_protocol == EVERY_PROTOCOL:
        return Match(chain=chain, ranges=ranges)
    protocol = int(NUMBERS.get(rule.ip_protocol.lower(), rule.ip_protocol))
    first, last = (None if port in (None, -1) else port for port in (rule.from_port, rule.to_port))
    if protocol == Protocol.ICMP:
        return Match(chain=chain, ranges=ranges, protocol=protocol, keys=icmp_keys(first, last))
    return Match(chain=chain, ranges=ranges, protocol=protocol, keys=((0 if first is None else first, boxes.LAST_KEY if last is None else last),))


@lru_cache(maxsize=4096)
def _rule_chains(group: SecurityGroup) -> tuple[NftChain, ...]:
    return tuple(
        NftChain(name=_rule_chain(group, flow, index), rules=(NftRule(statement=f"goto admit_{ENDS[flow]}", origin=_origin(group, flow, index)),))
        for flow in Flow
        for index in range(len(group.rules(flow)))
    )


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


def _origin(group: SecurityGroup, flow: Flow, index: int) -> str:
    return f"{group.id}#{flow.value}[{index}]"


def _rule_chain(group: SecurityGroup, flow: Flow, index: int) -> str:
    return identifier("rule", group.id, flow.value, str(index))
