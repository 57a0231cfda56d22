"""The hops of a probe and of its reply: per crossing of a node, what was decided there, in AWS's own order, and what the packet became.

    traced verdicts ─┐                      ┌─ source check, groups of the sender, ACL out
    captured frames ─┼─▶ crossings, by time ├─ the deciding route, from the plan (the kernel's trace knows no routes)
    plan             ─┘                     └─ ACL in, groups of the receiver; a gateway's translation

The kernel routes before it filters, AWS after the sender's filters; a packet that no route takes is therefore lost before any group is asked, and the hop shows only the route.
Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from testbed.observe.packets import Frame, Header, header_of
from testbed.observe.probe_flow import REPLY, REQUEST, ProbeFlow
from testbed.observe.route_lookup import Chosen, choose
from testbed.observe.trace import Verdict
from testbed.plan import Node, NodeKind, Plan
from testbed.plan.marks import FIRST_RETURN_TABLE, ROUTE_TABLE_MASK, SAME_SUBNET

Describe = Callable[[str, str], str]
"""(a rule's name, an ACL's direction) → what the rule says, empty if it is no written rule."""
ROUTERS = frozenset((NodeKind.FABRIC, NodeKind.TRANSIT_GATEWAY))
"""Whose routes are AWS's: the one that took the packet is told."""
ENDS_OF_ROUTES = frozenset((NodeKind.CUSTOMER_GATEWAY, NodeKind.DIRECT_CONNECT))
"""Of whose routes only those are told that swallow a packet."""
RECEIVING = (".inbound", ".ingress", "receiver")
"""Parts of the names of chains that judge what enters a subnet or an interface: the route has been chosen before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One crossing of a node: what was said there, in order. `leg` is request or reply; `became` the packet as it left, if it was translated."""

    leg: str
    node: str
    packet: str
    said: tuple[str, ...]
    entered_ns: int
    dropped: bool = False
    became: str = ""


@dataclass(slots=True, kw_only=True)
class _Crossing:
    leg: str
    node: str
    header: Header | None
    entered_ns: int
    verdicts: list[Verdict] = field(default_factory=list)
    became: Header | None = None
    left: bool = False
    captured: bool = False


def hops_of(verdicts: Iterable[Verdict], frames: Iterable[Frame], flow: ProbeFlow, plan: Plan, describe: Describe = lambda origin, direction: "") -> tuple[Hop, ...]:
    """The hops, by the time at which the packet entered. Verdicts on packets of other flows are passed over; a node that decided and changed nothing is no hop.

    Packets of the same ends that come later (a repeated SYN) add only what they say anew.
    """
    nodes = {node.name: node for node in plan.nodes}
    crossings = _crossings(verdicts, list(frames), flow)
    hops = [_hop(crossing, nodes.get(crossing.node), describe) for crossing in sorted(crossings, key=lambda crossing: crossing.entered_ns)]
    return tuple(hop for hop in hops if hop.said or hop.became)


def _crossings(verdicts: Iterable[Verdict], frames: list[Frame], flow: ProbeFlow) -> list[_Crossing]:
    found: dict[tuple[str, str, str], _Crossing] = {}
    leaving: list[tuple[Frame, Header, str]] = []
    for frame in frames:
        header = header_of(frame)
        leg = flow.leg(header)
        if header is None or not leg:
            continue
        if frame.outgoing:
            leaving.append((frame, header, leg))
        else:
            found.setdefault((frame.node, frame.interface, str(header)), _Crossing(leg=leg, node=frame.node, header=header, entered_ns=frame.time_ns, captured=True))
    for verdict in verdicts:
        header = verdict.entered or verdict.header
        leg = flow.leg(header)
        if not leg:
            continue
        key = (verdict.node, verdict.iif, str(header))
        if key not in found:
            found[key] = _Crossing(leg=leg, node=verdict.node, header=header, entered_ns=_begun_ns(verdict, str(header), leaving))
        found[key].verdicts.append(verdict)
    for crossing in found.values():
        if not crossing.captured:  # it came in where no capture is, by a tunnel's device, and its verdicts were read later: it was here before it left
            crossing.entered_ns = next((frame.time_ns for frame, header, leg in leaving if (frame.node, leg, str(header)) == (crossing.node, crossing.leg, str(crossing.header))), crossing.entered_ns)
        out = next((header for frame, header, leg in leaving if frame.node == crossing.node and leg == crossing.leg and frame.time_ns >= crossing.entered_ns), None)
        crossing.left = out is not None
        crossing.became = out if out is not None and str(out) != str(crossing.header) else None
    return list(found.values())


def _begun_ns(verdict: Verdict, header: str, leaving: list[tuple[Frame, Header, str]]) -> int:
    """When a node's own packet left it: it entered by no interface, and a trace is told later than it happened."""
    return min((frame.time_ns for frame, left, _ in leaving if frame.node == verdict.node and str(left) == header), default=verdict.time_ns)


def _hop(crossing: _Crossing, node: Node | None, describe: Describe) -> Hop:
    said = [(verdict, _words(verdict, describe)) for verdict in crossing.verdicts]
    dropped = any(verdict.verdict == "drop" for verdict in crossing.verdicts)
    lines = [(verdict, words) for verdict, words in said if words]
    if node is not None and crossing.header is not None and (crossing.verdicts if node.kind in ROUTERS else node.kind in ENDS_OF_ROUTES and not crossing.left):
        chosen = choose(node, crossing.header.destination, _mark(crossing.verdicts, node.kind))
        lines = [(verdict, words) for verdict, words in lines if verdict.origin != chosen.asked or verdict.verdict == "drop"]
        at = next((i for i, (verdict, _) in enumerate(lines) if _is_receiving(verdict)), len(lines))
        routed = crossing.left or any(verdict.oif for verdict in crossing.verdicts)
        lost = chosen.is_dead_end and chosen.route is not None and not dropped and not routed
        words = [words for _, words in lines]
        if not (dropped and at == len(lines)):
            words[at:at] = _route_words(chosen, crossing, lost)
        dropped = dropped or lost
    else:
        words = [words for _, words in lines]
    return Hop(
        leg=crossing.leg, node=crossing.node, packet=str(crossing.header or ""), said=tuple(dict.fromkeys(words)), entered_ns=crossing.entered_ns,
        dropped=dropped, became=str(crossing.became or ""),
    )


def _mark(verdicts: list[Verdict], kind: NodeKind = NodeKind.FABRIC) -> int:
    """The packet's mark when its route was chosen: in a fabric the first that it was given, unless it returns as its flow came; in a transit gateway, which may choose another zone for it, the last."""
    marks = [verdict.mark for verdict in verdicts if verdict.mark] or [0]
    if kind is NodeKind.FABRIC and (returning := [mark for mark in marks if mark & ROUTE_TABLE_MASK >= FIRST_RETURN_TABLE]):
        return returning[0]
    return marks[-1] if kind is NodeKind.TRANSIT_GATEWAY else marks[0]


def _is_receiving(verdict: Verdict) -> bool:
    return any(part in verdict.chain for part in RECEIVING)


def _route_words(chosen: Chosen, crossing: _Crossing, lost: bool) -> list[str]:
    if _mark(crossing.verdicts) & SAME_SUBNET and not lost:
        return []
    destination = crossing.header.destination if crossing.header is not None else ""
    if lost and not chosen.asked and chosen.route is not None:
        return [f"{chosen.route.origin} drop"]
    if lost:
        return [f"{route_in_words(chosen)} drop" if chosen.deciding is not None else f"{chosen.asked or crossing.node}: no route to {destination} drop"]
    return [] if chosen.deciding is None else [route_in_words(chosen)]


def route_in_words(chosen: Chosen) -> str:
    """The deciding route; and, where it is the local one and nobody has the address, that."""
    deciding, route = chosen.deciding, chosen.route
    if deciding is None:
        return chosen.asked
    if chosen.is_dead_end and route is not None and route is not deciding:
        return f"{deciding.origin}, then {route.origin}"
    return deciding.origin


def _words(verdict: Verdict, describe: Describe) -> str:
    """The AWS rule with what it says, and its verdict: ``sg-db#ingress[2] tcp/5432 from sg-app accept``. Empty for a rule without origin that drops nothing."""
    if not verdict.has_aws_origin:
        return f"{verdict.origin} drop" if verdict.verdict == "drop" else ""
    direction = next((word for word in ("inbound", "outbound") if f".{word}" in verdict.chain), "")
    says = describe(verdict.origin, direction)
    rule = verdict.origin.partition("#")[2]
    if not (rule.endswith(("]", "*")) or rule.isdigit()):
        return f"{verdict.origin} drop" if verdict.verdict == "drop" else verdict.origin
    return f"{verdict.origin}{f' {says}' if says else ''} {'drop' if verdict.verdict == 'drop' else 'accept'}"


__all__ = ["REPLY", "REQUEST", "Describe", "Hop", "hops_of", "route_in_words"]
