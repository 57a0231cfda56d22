"""Why does this packet pass, or not? A real probe, every verdict on its way, and the same question put to the oracle.

    probe ─▶ source's interface ─▶ rules of every node that has any (nftables trace) ─▶ destination's interface ─▶ reply, likewise
                                         └─ the first drop is the cause, named by its AWS rule

Decides from packets alone; `oracle` is only compared with. A probe that nobody dropped and nobody answered was lost to a route: the cause then
names the place where it was last seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from testbed.observe.capture import Capture
from testbed.observe.lab_view import LabView
from testbed.observe.packets import ETHERNET_HEADER, LINK_RAW_IP, Frame, Header, header_of
from testbed.observe.places import Places
from testbed.observe.probe import UNREACHABLE, Answer, Protocol, Ready, Sent
from testbed.observe.trace import Tracer, Verdict
from testbed.oracle import Outcome, Walk
from testbed.plan import NodeKind, Plan

CAPTURED = frozenset((NodeKind.INTERNET_GATEWAY, NodeKind.NAT_GATEWAY))
GUESTS = frozenset((NodeKind.INSTANCE, NodeKind.DATABASE, NodeKind.LOAD_BALANCER))
NUMBERS = {Protocol.ICMP: 1, Protocol.TCP: 6, Protocol.UDP: 17}
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
    entered_ns: int
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
    return judge(source=source, destination=places.name(destination), sent=sent, receivers=frozenset(receivers), doors=_doors(lab.plan),
                 frames=capture.frames, verdicts=tracer.verdicts, refuser=_refuser(capture.frames, source, places), walk=walk)


def judge(
    *, source: str, destination: str, sent: Sent, receivers: frozenset[str], doors: frozenset[str] = frozenset(), frames: tuple[Frame, ...], verdicts: tuple[Verdict, ...],
    refuser: str = "", walk: Walk | None = None,
) -> Explanation:
    """What the evidence says of a probe; pure.

    `receivers` are the nodes that have its destination's address; `doors` interfaces (``node/interface``) through which a fabric hands packets to a guest, for
    addresses that nobody has because they are mapped; `refuser` is the router that sent an ICMP error, if any.
    """
    headers = [(frame, header) for frame in frames if (header := header_of(frame)) is not None]
    seen = [(frame, header) for frame, header in headers if header.protocol == NUMBERS[sent.protocol]]
    hops = tuple(_hops(verdicts, seen, sent))
    is_request = [(frame, header) for frame, header in seen if _leg(header, sent) == REQUEST]
    answered = sent.answer in PASSED
    arrived = answered or any((frame.where in doors) if frame.outgoing else (frame.node in receivers) for frame, _ in is_request)
    passed = answered or (sent.protocol is Protocol.UDP and arrived and not any(hop.dropped for hop in hops))
    drop = next((verdict for verdict in verdicts if verdict.verdict == "drop"), None)
    origin = "" if drop is None or passed else drop.origin
    cause = _cause(sent, destination, drop, is_request, refuser, arrived, passed)
    said, agrees = _compare(walk, sent, passed, origin)
    return Explanation(source=source, destination=destination, sent=sent, arrived=arrived, passed=passed, cause=cause, cause_origin=origin, hops=hops, oracle=said, agrees=agrees)


def _hops(verdicts: tuple[Verdict, ...], crossings: list[tuple[Frame, Header]], sent: Sent) -> list[Hop]:
    """Verdicts gathered per crossing (a packet entering a node at an interface), in the order of the kernel's time of entry.

    Traces of several nodes arrive interleaved; captures of the same packets tell which was where first. Packets of the same ends that
    come later (the handshake's last, a repetition) add only what they say anew; where nothing is said there is no hop.
    """
    entered: dict[tuple[str, str, str], int] = {}
    for frame, header in crossings:
        if not frame.outgoing:
            entered.setdefault((frame.node, frame.interface, str(header)), frame.time_ns)
    hops: dict[tuple[str, str, str], Hop] = {}
    for verdict in verdicts:
        packet = str(verdict.header or "")
        key = (verdict.node, verdict.iif, packet)
        words = (verdict.words,) if verdict.has_aws_origin else (f"{verdict.origin} drop",) if verdict.verdict == "drop" else ()
        known = hops.get(key) or Hop(
            leg=REQUEST if verdict.header is None else _leg(verdict.header, sent), node=verdict.node, packet=packet, said=(), entered_ns=entered.get(key, verdict.time_ns)
        )
        hops[key] = replace(known, said=tuple(dict.fromkeys(known.said + words)), dropped=known.dropped or verdict.verdict == "drop")
    return sorted((hop for hop in hops.values() if hop.said), key=lambda hop: hop.entered_ns)


def _leg(header: Header, sent: Sent) -> str:
    if sent.protocol is Protocol.ICMP:
        return REPLY if header.destination == sent.source or header.source == sent.destination else REQUEST
    return REPLY if header.source_port == sent.destination_port and header.destination_port == sent.source_port else REQUEST


def _cause(sent: Sent, destination: str, drop: Verdict | None, requests: list[tuple[Frame, Header]], refuser: str, arrived: bool, passed: bool) -> str:
    if passed and sent.answer is Answer.REFUSED:
        return f"Every packet passes: {destination} itself refuses, nothing listens there."
    if passed:
        return f"Every packet passes, and {destination} {'answered' if sent.answer is Answer.ANSWERED else 'received it (UDP owes no answer)'}."
    if drop is not None:
        leg = REQUEST if drop.header is None else _leg(drop.header, sent)
        return f"{drop.origin} dropped the {leg} ({drop.header}) in {drop.node}."
    if sent.answer is Answer.UNREACHABLE and not requests:
        return "The source has no route to this address; nothing was sent."
    if refuser:
        return f"No rule dropped it: {refuser} has no route to {sent.destination}, and said so."
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


def _filter(protocol: Protocol, source_port: int, port: int) -> str:
    if protocol is Protocol.ICMP:
        return f"icmp[icmptype] = icmp-unreach or icmp[4:2] = {source_port}"
    return f"icmp[icmptype] = icmp-unreach or ({protocol} and ((src port {source_port} and dst port {port}) or (src port {port} and dst port {source_port})))"


def _matches(protocol: Protocol, source_port: int, port: int) -> tuple[str, ...]:
    if protocol is Protocol.ICMP:
        return (f"icmp type {{ echo-request, echo-reply }} icmp id {source_port}",)
    return (f"{protocol} sport {source_port} {protocol} dport {port}", f"{protocol} sport {port} {protocol} dport {source_port}")
