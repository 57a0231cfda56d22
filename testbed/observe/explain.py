"""Why does this packet pass, or not? A real probe, every verdict on its way, and the same question put to the oracle.

    probe ─▶ source's interface ─▶ rules of every node that has any (nftables trace) ─▶ destination's interface ─▶ reply, likewise
                                         └─ the first drop is the cause, named by its AWS rule

Decides from packets alone; `oracle` is only compared with. A probe that nobody dropped and nobody answered was lost to a route: the cause then
names the place where it was last seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.observe.capture import Capture
from testbed.observe.lab_view import LabView
from testbed.observe.packets import Frame, Header, header_of
from testbed.observe.places import Places
from testbed.observe.probe import Answer, Protocol, Ready, Sent
from testbed.observe.trace import Tracer, Verdict
from testbed.oracle import Outcome, Walk
from testbed.plan import NodeKind

CAPTURED = frozenset((NodeKind.INTERNET_GATEWAY, NodeKind.NAT_GATEWAY))
REQUEST, REPLY = "request", "reply"
PROBE_TIMEOUT_S = 0.95
"""Below the second after which TCP sends its SYN again."""
PASSED = (Answer.ANSWERED, Answer.REFUSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One namespace that the packet crossed, once: what was said there, in order. `leg` is request or reply."""

    leg: str
    node: str
    packet: str
    said: tuple[str, ...]
    dropped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A probe's fate. `passed`: an answer came back, or, for UDP without one, the datagram arrived. `cause` is one sentence.

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
    oracle: str = ""
    agrees: bool = True


def explain(
    lab: LabView, source: str, destination: IPv4Address, protocol: Protocol, port: int = 0, *, oracle: Callable[[Sent], Walk] | None = None, timeout_s: float = PROBE_TIMEOUT_S
) -> Explanation:
    """Send one probe from the node `source` and explain its fate. `oracle` answers for the probe as it was sent."""
    places = Places.of(lab.plan)
    receivers = {node.name for node in places.at(destination)}
    judges = tuple(node.name for node in lab.plan.nodes if node.ruleset is not None)
    watched = tuple(sorted({source, *receivers, *(node.name for node in lab.plan.nodes if node.kind in CAPTURED or node.kind is NodeKind.FABRIC)}))
    ready = Ready(lab, source, destination, protocol, port)
    try:
        with Capture(lab, watched, filter=_filter(protocol, ready.source_port, port)) as capture, Tracer(lab, judges, *_matches(protocol, ready.source_port, port)) as tracer:
            sent = ready.send(timeout_s)
    finally:
        ready.close()
    walk = oracle(sent) if oracle is not None else None
    return judge(source=source, destination=places.name(destination), sent=sent, receivers=frozenset(receivers), frames=capture.frames, verdicts=tracer.verdicts, walk=walk)


def judge(
    *, source: str, destination: str, sent: Sent, receivers: frozenset[str], frames: tuple[Frame, ...], verdicts: tuple[Verdict, ...], walk: Walk | None = None
) -> Explanation:
    """What the evidence says of a probe; pure. `receivers` are the nodes that may be its destination (none known: whoever answers)."""
    hops = tuple(_hops(verdicts, sent))
    seen = [(frame, header) for frame in frames if (header := header_of(frame)) is not None]
    is_request = [(frame, header) for frame, header in seen if _leg(header, sent) == REQUEST]
    answered = sent.answer in PASSED
    arrived = answered or any(frame.node in receivers and not frame.outgoing for frame, _ in is_request)
    passed = answered or (sent.protocol is Protocol.UDP and arrived and not any(hop.dropped for hop in hops))
    drop = next((verdict for verdict in verdicts if verdict.verdict == "drop"), None)
    origin = "" if drop is None or passed else drop.origin
    cause = _cause(sent, destination, drop, is_request, arrived, passed)
    said, agrees = _compare(walk, sent, passed, origin)
    return Explanation(source=source, destination=destination, sent=sent, arrived=arrived, passed=passed, cause=cause, cause_origin=origin, hops=hops, oracle=said, agrees=agrees)


def _hops(verdicts: tuple[Verdict, ...], sent: Sent) -> list[Hop]:
    """Verdicts gathered per crossing: one packet in one node, until another packet or node speaks."""
    hops: list[Hop] = []
    crossing: tuple[str, int, str] | None = None
    for verdict in verdicts:
        leg = REQUEST if verdict.header is None else _leg(verdict.header, sent)
        key = (verdict.node, verdict.packet, leg)
        words = () if not verdict.has_aws_origin and verdict.verdict != "drop" else (verdict.words if verdict.has_aws_origin else f"{verdict.origin} {verdict.verdict}",)
        dropped = verdict.verdict == "drop"
        if key == crossing:
            last = hops[-1]
            hops[-1] = Hop(leg=leg, node=last.node, packet=last.packet, said=last.said + tuple(word for word in words if word not in last.said), dropped=last.dropped or dropped)
        else:
            crossing = key
            hops.append(Hop(leg=leg, node=verdict.node, packet=str(verdict.header or ""), said=words, dropped=dropped))
    return list(dict.fromkeys(hops))  # a repeated packet says the same again


def _leg(header: Header, sent: Sent) -> str:
    if sent.protocol is Protocol.ICMP:
        return REPLY if header.destination == sent.source or header.source == sent.destination else REQUEST
    return REPLY if header.source_port == sent.destination_port and header.destination_port == sent.source_port else REQUEST


def _cause(sent: Sent, destination: str, drop: Verdict | None, requests: list[tuple[Frame, Header]], arrived: bool, passed: bool) -> str:
    if passed and sent.answer is Answer.REFUSED:
        return f"Every packet passes: {destination} itself refuses, nothing listens there."
    if passed:
        return f"Every packet passes, and {destination} {'answered' if sent.answer is Answer.ANSWERED else 'received it (UDP owes no answer)'}."
    if drop is not None:
        leg = REQUEST if drop.header is None else _leg(drop.header, sent)
        return f"{drop.origin} dropped the {leg} ({drop.header}) in {drop.node}."
    if sent.answer is Answer.UNREACHABLE and not requests:
        return "The source has no route to this address; nothing was sent."
    if arrived:
        return f"It arrived at {destination}, and no answer came back; no rule dropped one."
    if not requests:
        return "Nothing was seen of it, not even at the source's own interface."
    return f"No rule dropped it and it did not arrive: there is no route onward from {requests[-1][0].node} (last seen at {requests[-1][0].where})."


def _compare(walk: Walk | None, sent: Sent, passed: bool, origin: str) -> tuple[str, bool]:
    if walk is None:
        return "", True
    path = walk.request if sent.protocol is Protocol.UDP and passed and sent.answer is Answer.SILENT else walk.deciding
    expected = path.outcome is Outcome.DELIVERED
    same_rule = expected or not ("#" in origin and "#" in path.origin) or origin == path.origin
    words = "every packet passes" if expected else f"the {path.leg} is dropped by {path.origin}"
    return words, expected == passed and same_rule


def _filter(protocol: Protocol, source_port: int, port: int) -> str:
    if protocol is Protocol.ICMP:
        return f"icmp[4:2] = {source_port}"
    return f"{protocol} and ((src port {source_port} and dst port {port}) or (src port {port} and dst port {source_port}))"


def _matches(protocol: Protocol, source_port: int, port: int) -> tuple[str, ...]:
    if protocol is Protocol.ICMP:
        return (f"icmp type {{ echo-request, echo-reply }} icmp id {source_port}",)
    return (f"{protocol} sport {source_port} {protocol} dport {port}", f"{protocol} sport {port} {protocol} dport {source_port}")
