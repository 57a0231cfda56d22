"""Why does this packet pass, or not? A real probe, every verdict on its way and on its reply's, and the same question put to the oracle.

    probe ─▶ source's interface ─▶ rules of every node that has any (nftables trace) ─▶ destination's interface ─▶ reply, likewise
                                         └─ the first drop is the cause, named by its AWS rule

Decides from packets alone; `oracle` is only compared with, and asked for advice where it agrees. A probe that nobody dropped and nobody answered was lost to a route: the cause then
names the route that swallowed it, or the place where it was last seen. A probe whose drop is seen is not waited for.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.observe.capture import Capture
from testbed.observe.firewall_alert import Alerts
from testbed.observe.hops import Hop, hops_of
from testbed.observe.lab_view import LabView
from testbed.observe.learned_routes import with_learned_routes
from testbed.observe.packets import ETHERNET_HEADER, LINK_RAW_IP, Frame, Header, header_of
from testbed.observe.places import Places
from testbed.observe.probe import UNREACHABLE, Answer, Protocol, Ready, Sent
from testbed.observe.probe_flow import NUMBERS, REPLY, REQUEST, ProbeFlow
from testbed.observe.trace import Tracer, Verdict
from testbed.oracle import Oracle, Outcome, Walk
from testbed.plan import NodeKind, Plan

GUESTS = frozenset((NodeKind.INSTANCE, NodeKind.DATABASE, NodeKind.LOAD_BALANCER))
PROBE_TIMEOUT_S = 0.95
"""Below the second after which TCP sends its SYN again."""
ROUTE_DID = "No rule dropped it, a route did"
SHIELD, FLOOD = "Shield", "flood"
"""In the origins of rules that drop a packet because of others."""
PASSED = (Answer.ANSWERED, Answer.REFUSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A probe's fate. `passed`: an answer came back, or, for UDP without one, the datagram arrived. `cause` is one sentence, `remedy` what would let it pass.

    `oracle` is the model's own answer in words, empty where it was not asked; `agrees` compares verdicts and, where both name a rule, the rules.
    """

    source: str
    destination: str
    sent: Sent
    arrived: bool
    passed: bool
    cause: str
    cause_origin: str
    hops: tuple[Hop, ...]
    remedy: str = ""
    oracle: str = ""
    agrees: bool = True


def explain(lab: LabView, source: str, destination: IPv4Address, protocol: Protocol, port: int = 0, *, oracle: Oracle | None = None, timeout_s: float = PROBE_TIMEOUT_S) -> Explanation:
    """Send one probe from the node `source` and explain its fate. `oracle` answers for the probe as it was sent. Raises LookupError if the model knows no such source."""
    places = Places.of(lab.plan)
    receivers = {node.name for node in places.at(destination)}
    judges = tuple(node.name for node in lab.plan.nodes if node.ruleset is not None)
    watched = tuple(sorted({source, *receivers, *judges}))
    ready, alerts = Ready(lab, source, destination, protocol, port), Alerts(lab)

    def is_the_probes(header: Header) -> bool:
        own = ready.source_port
        there = (header.source_port or header.identifier) == own and header.destination == destination
        back = (header.destination_port or header.identifier) == own and header.source == destination
        return header.protocol == NUMBERS[protocol] and (there or back)

    try:
        with Tracer(lab, judges, *_matches(protocol, port), ends=is_the_probes) as tracer, Capture(lab, watched, filter=_filter(protocol, port)) as capture:
            sent = ready.send(timeout_s, tracer.dropped.is_set)
    finally:
        ready.close()
    return judge(source=source, destination=places.name(destination), sent=sent, receivers=frozenset(receivers), plan=with_learned_routes(lab),
                 frames=capture.frames, verdicts=(*tracer.verdicts, *alerts.verdicts(sent.source_port)), refuser=_refuser(capture.frames, source, places), oracle=oracle)


def judge(
    *, source: str, destination: str, sent: Sent, receivers: frozenset[str], plan: Plan, frames: tuple[Frame, ...], verdicts: tuple[Verdict, ...],
    refuser: str = "", oracle: Oracle | None = None,
) -> Explanation:
    """What the evidence says of a probe; pure.

    `receivers` are the nodes that have its destination's address (nobody has one that a gateway maps: then a fabric's interface to a guest counts);
    `refuser` is the router that sent an ICMP error, if any.
    """
    flow = ProbeFlow(sent, frames)
    describe = oracle.describe if oracle is not None else lambda origin, direction: ""
    hops = hops_of(verdicts, frames, flow, plan, describe)
    requests = [frame for frame in frames if flow.leg(header_of(frame)) == REQUEST]
    answered = sent.answer in PASSED
    doors = _doors(plan)
    arrived = answered or any((frame.where in doors) if frame.outgoing else (frame.node in receivers) for frame in requests)
    passed = answered or (sent.protocol is Protocol.UDP and arrived and not any(hop.dropped for hop in hops))
    drop = None if passed else next((verdict for verdict in verdicts if verdict.verdict == "drop" and flow.leg(verdict.header)), None)
    origin = "" if drop is None else drop.origin
    walk = None if oracle is None else oracle.ask(source, sent.destination, sent.protocol.value, sent.source_port, sent.destination_port)
    said, agrees = _compare(walk, sent, passed, origin)
    cause = _cause(sent, destination, drop, flow, requests, hops, refuser, arrived, passed)
    remedy = ""
    if oracle is not None and walk is not None and agrees and not passed:
        advice = oracle.advise(walk)
        before = "" if drop is not None or not any(hop.dropped for hop in hops) or walk.deciding.hops[-1].stage in ("route", "transit-gateway") else "In AWS's own order it ends before that: "
        if walk.deciding.hops[-1].stage in ("route", "transit-gateway") and cause.startswith(ROUTE_DID) and advice.cause:
            cause = f"No rule dropped it: {advice.cause}"
        elif advice.cause and advice.cause.rstrip(".") not in cause:
            cause = f"{cause} {before}{advice.cause}".strip()
        remedy = advice.remedy
    return Explanation(
        source=source, destination=destination, sent=sent, arrived=arrived, passed=passed, cause=cause, cause_origin=origin, hops=hops, remedy=remedy, oracle=said, agrees=agrees
    )


def _cause(sent: Sent, destination: str, drop: Verdict | None, flow: ProbeFlow, requests: list[Frame], hops: tuple[Hop, ...], refuser: str, arrived: bool, passed: bool) -> str:
    if passed and sent.answer is Answer.REFUSED:
        return f"Every packet passes: {destination} itself refuses, nothing listens there."
    if passed:
        return f"Every packet passes, and {destination} {'answered' if sent.answer is Answer.ANSWERED else 'received it (UDP owes no answer)'}."
    if drop is not None:
        return f"{drop.origin} dropped the {flow.leg(drop.header)} ({drop.header}) in {drop.node}."
    if sent.answer is Answer.UNREACHABLE and not requests:
        return "The source has no route to this address; nothing was sent."
    if refuser:
        return f"No rule dropped it: {refuser} has no route to {sent.destination}, and said so."
    swallowed = next((words for hop in hops if hop.dropped for words in hop.said if words.endswith(" drop")), "")
    if arrived and swallowed:
        return f"No rule dropped the reply, a route did: {swallowed.removesuffix(' drop')}."
    if arrived:
        return f"It arrived at {destination}, and no answer came back; no rule dropped one."
    if not requests:
        return f"Nothing was seen of it, not even at the source's own interface: nobody answers ARP for {sent.destination}."
    if swallowed:
        return f"{ROUTE_DID}: {swallowed.removesuffix(' drop')}."
    return f"No rule dropped it and it did not arrive: there is no route onward from {requests[-1].node} (last seen at {requests[-1].where})."


def _compare(walk: Walk | None, sent: Sent, passed: bool, origin: str) -> tuple[str, bool]:
    if walk is None:
        return "", True
    path = walk.request if sent.protocol is Protocol.UDP and passed and sent.answer is Answer.SILENT else walk.deciding
    expected = path.outcome is Outcome.DELIVERED
    if expected and not passed and origin.startswith(SHIELD) and FLOOD in origin:
        return "by itself the packet passes, but there is a flood, which no single packet shows", True
    same_rule = expected or not ("#" in origin and "#" in path.origin) or origin == path.origin
    words = "every packet passes" if expected else f"the {path.leg} is dropped by {path.origin}"
    return words, expected == passed and same_rule


def _doors(plan: Plan) -> frozenset[str]:
    """Interfaces of fabrics whose other end is a guest."""
    kinds = {node.name: node.kind for node in plan.nodes}
    ends = ((here, there) for link in plan.links for here, there in ((link.a, link.b), (link.b, link.a)))
    return frozenset(f"{here.node}/{here.name}" for here, there in ends if kinds[here.node] is NodeKind.FABRIC and kinds[there.node] in GUESTS)


def _refuser(frames: tuple[Frame, ...], source: str, places: Places) -> str:
    """Who told the source that the destination cannot be reached, empty if nobody did."""
    for frame in frames:
        header = header_of(frame)
        if frame.node == source and not frame.outgoing and header is not None and header.protocol == NUMBERS[Protocol.ICMP] and _icmp_type(frame) == UNREACHABLE:
            return places.name(header.source)
    return ""


def _icmp_type(frame: Frame) -> int:
    packet = frame.data if frame.link_type == LINK_RAW_IP else frame.data[ETHERNET_HEADER:]
    return packet[(packet[0] & 0xF) * 4]


def _filter(protocol: Protocol, port: int) -> str:
    """What begins a flow to the port and what answers: gateways change the source's port, so it is not in the filter."""
    if protocol is Protocol.ICMP:
        return "icmp"
    beginnings = " and tcp[tcpflags] & (tcp-syn|tcp-rst) != 0" if protocol is Protocol.TCP else ""
    return f"icmp[icmptype] = icmp-unreach or ({protocol} port {port}{beginnings})"


def _matches(protocol: Protocol, port: int) -> tuple[str, ...]:
    if protocol is Protocol.ICMP:
        return ("icmp type { echo-request, echo-reply }",)
    if protocol is Protocol.TCP:
        return (f"tcp dport {port} tcp flags & (syn | ack) == syn", f"tcp sport {port} tcp flags & (syn | rst) != 0")
    return (f"udp dport {port}", f"udp sport {port}")


__all__ = ["PROBE_TIMEOUT_S", "REPLY", "REQUEST", "Explanation", "Hop", "explain", "judge"]
