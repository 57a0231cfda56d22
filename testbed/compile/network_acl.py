"""A network ACL becomes a chain per direction, without a word of connection state: first match by ascending number, ``*`` at the end.

A short ACL is a list of rules, in which neighbouring denials are asked about together: whether the address lies in the block that holds them all, then
which of them. A longer one (20 rules a direction by default, 40 at most: "Amazon VPC quotas", documented) would cost every packet its whole length, so it
becomes interval maps: the list cut into disjoint boxes, each leading to the chain of the entry that comes first there.
An allowed packet returns to its walk, a denied one ends here.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network
from itertools import groupby

from testbed.compile import boxes, fabric
from testbed.compile.fragment import Fragment
from testbed.compile.verdict_maps import Match, icmp_keys, look_ups, network_range
from testbed.model.network_acl import DEFAULT_RULE, Direction, NetworkAcl, NetworkAclEntry
from testbed.model.values import ANYWHERE, PortRange, Protocol, Verdict
from testbed.plan import NftChain, NftMap, NftRule
from testbed.plan.names import identifier
from testbed.resolve.resolved import Resolved

ALL_PORTS = PortRange()
SHORT = 16
"""Entries that a list passes as fast as a look-up in an interval map (measured: about 50 ns an entry, 0.8-1 us a look-up without AVX2)."""
SHORTEST_RUN = 3
"""Neighbouring denials that are worth a chain of their own."""
REMOTE = {Direction.INBOUND: "saddr", Direction.OUTBOUND: "daddr"}


def lower(acl: NetworkAcl, resolved: Resolved) -> Fragment:
    """The ACL's two directions in its VPC's fabric."""
    return Fragment(nodes=tuple(fabric.chains(acl.vpc_id, *chains, maps=maps) for chains, maps in (_direction(acl, direction) for direction in Direction)))


def chain_name(acl_id: str, direction: Direction) -> str:
    """The chain at which one direction begins."""
    return identifier("acl", acl_id, direction.value)


def _direction(acl: NetworkAcl, direction: Direction) -> tuple[tuple[NftChain, ...], tuple[NftMap, ...]]:
    name, entries = chain_name(acl.id, direction), acl.in_order(direction)
    default = NftRule(statement="counter drop", origin=f"{acl.id}#{DEFAULT_RULE}")
    if len(entries) <= SHORT:
        rules, denials = _list(acl, direction, entries)
        return (NftChain(name=name, rules=(*rules, default)), *denials), ()
    maps, look_up = look_ups(name, REMOTE[direction], tuple(_match(acl, entry) for entry in entries), boxes.first_match)
    verdicts = tuple(NftChain(name=_entry_chain(acl, entry), rules=(NftRule(statement=_verdict(entry), origin=f"{acl.id}#{entry.rule_number}"),)) for entry in entries)
    return (NftChain(name=name, rules=(*look_up, default)), *verdicts), maps


def _list(acl: NetworkAcl, direction: Direction, entries: tuple[NetworkAclEntry, ...]) -> tuple[tuple[NftRule, ...], tuple[NftChain, ...]]:
    """The entries in their order, and the chains of runs of denials. A denial never returns to the list, so that a run may stand in a chain of its own."""
    rules: list[NftRule] = []
    chains: list[NftChain] = []
    for denials, group in groupby(entries, key=lambda entry: entry.rule_action is Verdict.DENY):
        run = tuple(group)
        own = tuple(NftRule(statement=" ".join((*_conditions(entry), _verdict(entry))), origin=f"{acl.id}#{entry.rule_number}") for entry in run)
        block = _around([entry.cidr_block for entry in run])
        if not denials or len(run) < SHORTEST_RUN or block == ANYWHERE:
            rules += own
            continue
        name = identifier("acl", acl.id, direction.value, f"{run[0].rule_number}-{run[-1].rule_number}")
        rules.append(NftRule(statement=f"{fabric.within(REMOTE[direction], block)} jump {name}"))
        chains.append(NftChain(name=name, rules=own))
    return tuple(rules), tuple(chains)


def _around(blocks: Sequence[IPv4Network]) -> IPv4Network:
    """The smallest block that holds all of `blocks`."""
    around = blocks[0]
    while not all(block.subnet_of(around) for block in blocks):
        around = around.supernet()
    return around


def _verdict(entry: NetworkAclEntry) -> str:
    return "return" if entry.rule_action is Verdict.ALLOW else "counter drop"


def _ports(first: int, last: int) -> str:
    """Destination ports, with no comparison that always holds."""
    if first == last:
        return f"th dport {first}"
    if last == ALL_PORTS.last:
        return f"th dport >= {first}"
    return f"th dport <= {last}" if first == ALL_PORTS.first else f"th dport {first}-{last}"


def _entry_chain(acl: NetworkAcl, entry: NetworkAclEntry) -> str:
    return identifier("acl", acl.id, entry.direction.value, str(entry.rule_number))


def _match(acl: NetworkAcl, entry: NetworkAclEntry) -> Match:
    keys: tuple[tuple[int, int], ...] | None = None
    if entry.protocol in (Protocol.TCP, Protocol.UDP) and entry.port_range is not None:
        keys = ((entry.port_range.first, entry.port_range.last),)
    if entry.protocol is Protocol.ICMP:
        keys = icmp_keys(entry.icmp_type, entry.icmp_code)
    protocol = None if entry.protocol is Protocol.ANY else int(entry.protocol)
    return Match(chain=_entry_chain(acl, entry), ranges=(network_range(entry.cidr_block),), protocol=protocol, keys=keys)


def _conditions(entry: NetworkAclEntry) -> list[str]:
    """The entry's conditions in nft's words; none at all matches everything."""
    words = []
    if entry.cidr_block != ANYWHERE:
        words.append(fabric.within(REMOTE[entry.direction], entry.cidr_block))
    if entry.protocol is Protocol.ANY:
        return words
    words.append(f"ip protocol {int(entry.protocol)}")
    if entry.protocol in (Protocol.TCP, Protocol.UDP) and entry.port_range not in (None, ALL_PORTS):
        first, last = entry.port_range.first, entry.port_range.last
        words.append(_ports(first, last))
    if entry.protocol is Protocol.ICMP:
        words += [f"icmp {field} {value}" for field, value in (("type", entry.icmp_type), ("code", entry.icmp_code)) if value is not None]
    return words
