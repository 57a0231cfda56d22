"""Idle timeouts of single interfaces, where they are not the fabric's own (sysctls): timeout objects, set on a flow before it is known.

A fabric has one entry for a flow's two ends, and a flow that one of them has forgotten is dropped there: so the shorter time applies. The objects
stand in a table of their own, because replacing a table takes its objects from the flows that have them.
Source: EC2 user guide, "Amazon EC2 security group connection tracking": ConnectionTrackingSpecification (documented).
NOT MODELLED: the first packet of a flow still counts by the fabric's own times, the second one by these (the kernel looks before the rules do); of
two ends with different UDP times, the pair with the shorter stream applies.
"""

from __future__ import annotations

from collections.abc import Iterable

from testbed.compile import fabric
from testbed.compile.fragment import NodePart
from testbed.model.connection_tracking import DEFAULT_TIMEOUTS, ConnectionTrackingSpecification
from testbed.plan import NftChain, NftRule, NftSet, NftTable, NftTimeout
from testbed.resolve.resolved import Resolved, ResolvedInterface

TABLE = "idle_timeouts"
Policy = tuple[tuple[str, int], ...]


def part(vpc: str, resolved: Resolved) -> NodePart | None:
    """The table of a VPC's fabric; None if every interface has AWS's default times."""
    interfaces = resolved.interfaces_in(vpc)
    if all(i.connection_tracking == DEFAULT_TIMEOUTS for i in interfaces):
        return None
    scale = resolved.topology.time_scale
    tcp = {i: _tcp(i.connection_tracking, scale) for i in interfaces}
    udp = {i: _udp(i.connection_tracking, scale) for i in interfaces}
    timeouts, sets, rules = [], [], []
    for protocol, policies in (("tcp", tcp), ("udp", udp)):
        for policy in sorted(set(policies.values()), key=lambda policy: tuple(seconds for _, seconds in reversed(policy)), reverse=True):  # the shorter one has the last word
            name = "_".join((protocol, *(str(seconds) for _, seconds in policy)))
            timeouts.append(NftTimeout(name=name, protocol=protocol, policy=policy))
            sets.append(NftSet(name=f"{name}_interfaces", type="iface_index", elements=_devices(i for i in interfaces if policies[i] == policy)))
            rules += [NftRule(statement=f'meta l4proto {protocol} {way} @{name}_interfaces ct timeout set "{name}"') for way in ("iif", "oif")]
    chain = NftChain(name="forward", hook="type filter hook forward priority -1; policy accept;", rules=(NftRule(statement="ct state != new accept"), *rules))
    return NodePart(name=vpc, tables=(NftTable(name=TABLE, timeouts=tuple(timeouts), sets=tuple(sets), chains=(chain,)),))


def _devices(interfaces: Iterable[ResolvedInterface]) -> tuple[str, ...]:
    return tuple(sorted(fabric.quoted(fabric.device(i)) for i in interfaces))


def _tcp(timeouts: ConnectionTrackingSpecification, scale: float) -> Policy:
    return (("established", max(1, round(timeouts.tcp_established_timeout_s / scale))),)


def _udp(timeouts: ConnectionTrackingSpecification, scale: float) -> Policy:
    return (("unreplied", max(1, round(timeouts.udp_timeout_s / scale))), ("replied", max(1, round(timeouts.udp_stream_timeout_s / scale))))
