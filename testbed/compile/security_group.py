"""Security groups: a chain per rule, and per set of groups that an interface holds the interval maps that choose among them.

    union.ingress.sg-db   (remote address, protocol, port) ─┐
                          (remote address, ICMP type, code) ├─> rule.sg-db.ingress.2 "sg-db#ingress[2]" ─> admit_receiver
                          (remote address, protocol)       ─┘
                          drop "sg-db#ingress no rule"

A rule that permits everything makes the maps needless. A referenced group stands for the private addresses of the interfaces that hold it.
Source: VPC user guide, "Security group rules" (documented).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address

from testbed.compile import boxes, fabric
from testbed.compile.fragment import Fragment, NodePart
from testbed.compile.verdict_maps import Match, icmp_keys, look_ups, network_range
from testbed.model.security_group import Flow, SecurityGroup, SecurityGroupRule
from testbed.model.values import Protocol
from testbed.plan import NftChain, NftRule
from testbed.plan.names import identifier
from testbed.resolve.resolved import Resolved

ENDS = {Flow.EGRESS: "sender", Flow.INGRESS: "receiver"}
REMOTE = {Flow.EGRESS: "daddr", Flow.INGRESS: "saddr"}
NUMBERS = {"tcp": Protocol.TCP, "udp": Protocol.UDP, "icmp": Protocol.ICMP}
EVERY_PROTOCOL = "-1"


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
    rules = [(_rule_chain(group, flow, index), rule) for group in resolved.security_groups if group.id in groups for index, rule in enumerate(group.rules(flow))]
    everything = next((chain for chain, rule in rules if rule.ip_protocol == EVERY_PROTOCOL and rule.cidr_ip == fabric.EVERYTHING), None)
    if everything is not None:
        return name, fabric.chains(vpc, NftChain(name=name, rules=(NftRule(statement=f"goto {everything}"),)))
    members = dict(resolved.members)
    maps, look_up = look_ups(name, REMOTE[flow], tuple(_match(chain, rule, members) for chain, rule in rules), boxes.union)
    nothing = NftRule(statement="counter drop", origin=f"{','.join(groups)}#{flow.value} no rule")
    return name, fabric.chains(vpc, NftChain(name=name, rules=(*look_up, nothing)), maps=maps)


def _match(chain: str, rule: SecurityGroupRule, members: dict[str, tuple[IPv4Address, ...]]) -> Match:
    if rule.cidr_ip is not None:
        ranges: tuple[tuple[int, int], ...] = (network_range(rule.cidr_ip),)
    else:
        ranges = tuple(_joined(members.get(rule.security_group_id or "", ())))
    if rule.ip_protocol == EVERY_PROTOCOL:
        return Match(chain=chain, ranges=ranges)
    protocol = int(NUMBERS.get(rule.ip_protocol.lower(), rule.ip_protocol))
    first, last = (None if port in (None, -1) else port for port in (rule.from_port, rule.to_port))
    if protocol == Protocol.ICMP:
        return Match(chain=chain, ranges=ranges, protocol=protocol, keys=icmp_keys(first, last))
    return Match(chain=chain, ranges=ranges, protocol=protocol, keys=((0 if first is None else first, boxes.LAST_KEY if last is None else last),))


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
