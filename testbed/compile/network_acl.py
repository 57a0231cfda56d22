"""A network ACL becomes one short chain per direction, in the order of its numbers, without a word of connection state.

An ACL has at most 40 rules a direction ("Amazon VPC quotas", documented), so a list is fine. The rules ask for the packet alone,
so an allowed packet returns to the walk, a denied one ends here, and ``*`` ends the chain.
"""

from __future__ import annotations

from testbed.compile import fabric
from testbed.compile.fragment import Fragment
from testbed.model.network_acl import DEFAULT_RULE, Direction, NetworkAcl, NetworkAclEntry
from testbed.model.values import ANYWHERE, PortRange, Protocol, Verdict
from testbed.plan import NftChain, NftRule
from testbed.plan.names import identifier
from testbed.resolve.resolved import Resolved

ALL_PORTS = PortRange()


def lower(acl: NetworkAcl, resolved: Resolved) -> Fragment:
    """The ACL's two chains in its VPC's fabric."""
    return Fragment(nodes=(fabric.chains(acl.vpc_id, *(_chain(acl, direction) for direction in Direction)),))


def chain_name(acl_id: str, direction: Direction) -> str:
    """The chain of one direction."""
    return identifier("acl", acl_id, direction.value)


def _chain(acl: NetworkAcl, direction: Direction) -> NftChain:
    rules = tuple(
        NftRule(statement=" ".join((*_matches(entry), "return" if entry.rule_action is Verdict.ALLOW else "counter drop")), origin=f"{acl.id}#{entry.rule_number}")
        for entry in acl.in_order(direction)
    )
    return NftChain(name=chain_name(acl.id, direction), rules=(*rules, NftRule(statement="counter drop", origin=f"{acl.id}#{DEFAULT_RULE}")))


def _matches(entry: NetworkAclEntry) -> list[str]:
    """The entry's conditions in nft's words; none at all matches everything."""
    words = []
    if entry.cidr_block != ANYWHERE:
        words.append(f"ip {'saddr' if entry.direction is Direction.INBOUND else 'daddr'} {entry.cidr_block}")
    if entry.protocol is Protocol.ANY:
        return words
    words.append(f"meta l4proto {int(entry.protocol)}")
    if entry.protocol in (Protocol.TCP, Protocol.UDP) and entry.port_range not in (None, ALL_PORTS):
        first, last = entry.port_range.first, entry.port_range.last
        words.append(f"th dport {first}" if first == last else f"th dport {first}-{last}")
    if entry.protocol is Protocol.ICMP:
        words += [f"icmp {field} {value}" for field, value in (("type", entry.icmp_type), ("code", entry.icmp_code)) if value is not None]
    return words
