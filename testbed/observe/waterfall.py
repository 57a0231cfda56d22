"""One HTTP request as a waterfall: every layer that it crossed, when, for how long, and how one knows.

    user ── DNS ── TCP ── TLS ── edge ┬─ HIT: answered here, nothing crosses the internet gateway
                                      └─ MISS ── DNS, TCP, TLS to the balancer ── rule, target ── application ── SQL
                        (security-group and network-ACL verdicts from the fabric's packet trace, per connection)

`assemble` is pure: it joins what curl timed, what daemons logged, what was captured and what nftables traced. The joints are X-Amz-Cf-Id, the Root of
X-Amzn-Trace-Id, and pairs of address and port. Offsets are from the moment when curl began. Steps whose beginning nobody told (the parts
of the edge's origin request, SQL statements) are laid one after the other from the beginning of what they are part of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from testbed.observe.journal import AlbRequest, AppRequest, DnsQuery, DnsUpstream, EdgeRequest, Entry
from testbed.observe.packets import TCP_SYN, Frame, Header, header_of
from testbed.observe.places import Places
from testbed.observe.trace import Verdict
from testbed.plan import NodeKind, Plan

CLOCK_SLACK_S = 0.002


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """What the client saw. Times in milliseconds after `started_s` (seconds since the epoch); `local` and `remote` are ``address:port``."""

    started_s: float
    name_lookup_ms: float
    connect_ms: float
    tls_ms: float
    first_byte_ms: float
    total_ms: float
    local: str
    remote: str
    status: int
    headers: tuple[tuple[str, str], ...] = ()
    error: str = ""

    def header(self, name: str) -> str:
        """The value of a response header, empty if there is none; `name` in lower case."""
        return next((value for key, value in self.headers if key == name), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One line of a waterfall. `depth` is how many spans it is part of; `duration_ms` None for a moment; `evidence` log lines and packet counts."""

    layer: str
    what: str
    node: str
    start_ms: float
    duration_ms: float | None = None
    depth: int = 0
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Waterfall:
    """A request, layer by layer. `result` is CloudFront's (Hit, Miss …), empty where no edge was asked; `gateway_packets` crossed internet gateways for it."""

    url: str
    method: str
    node: str
    status: int
    result: str
    pop: str
    total_ms: float
    gateway_packets: int
    spans: tuple[Span, ...]
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The log entries of one request at each layer, None where it did not come or nobody told."""

    edge: Entry | None
    balancer: Entry | None
    application: Entry | None


def find(timings: Timings, entries: Iterable[Entry]) -> Found:
    """Which entries tell of the request that `timings` saw."""
    entries = tuple(entries)
    cf_id = timings.header("x-amz-cf-id")
    edge = _one(entries, EdgeRequest, lambda event: bool(cf_id) and event.cf_id == cf_id)
    balancer = _one(entries, AlbRequest, lambda event: event.cf_id == cf_id if cf_id else event.peer == timings.local)
    trace_id = balancer.event.trace_id if balancer is not None and isinstance(balancer.event, AlbRequest) else None
    application = _one(entries, AppRequest, lambda event: event.trace_id == trace_id if trace_id else event.peer == timings.local)
    return Found(edge=edge, balancer=balancer, application=application)


def is_complete(timings: Timings, found: Found) -> bool:
    """Whether every layer that must have seen the request has told of it."""
    if timings.header("x-amz-cf-id") and found.edge is None:
        return False
    if found.edge is not None and isinstance(found.edge.event, EdgeRequest) and found.edge.event.result == "Miss" and found.balancer is None:
        return False
    balancer = found.balancer.event if found.balancer is not None else None
    return not (isinstance(balancer, AlbRequest) and balancer.target and balancer.target_status and found.application is None)


def assemble(
    *, url: str, method: str, node: str, plan: Plan, timings: Timings, entries: tuple[Entry, ...] = (), frames: tuple[Frame, ...] = (), verdicts: tuple[Verdict, ...] = (), body: str = ""
) -> Waterfall:
    """The waterfall of one request, from everything that was seen while it ran. Spans are in order of their beginning, parts after the whole."""
    story = _Story(node=node, plan=plan, timings=timings, entries=entries, frames=frames, verdicts=verdicts)
    found = find(timings, entries)
    edge = found.edge.event if found.edge is not None else None
    spans = [*story.client(url), *story.edge(found), *story.balancer(found), *story.application(found), *story.response()]
    ordered = sorted(enumerate(spans), key=lambda pair: (round(pair[1].start_ms, 3), pair[1].depth, pair[0]))
    return Waterfall(
        url=url, method=method, node=node, status=timings.status, result=edge.result if isinstance(edge, EdgeRequest) else "", pop=edge.pop if isinstance(edge, EdgeRequest) else "",
        total_ms=timings.total_ms, gateway_packets=story.gateway_packets(), spans=tuple(span for _, span in ordered), headers=timings.headers, body=body, error=timings.error,
    )


class _Story:
    """Everything that is known about one request, and the spans of each layer."""

    def __init__(self, *, node: str, plan: Plan, timings: Timings, entries: tuple[Entry, ...], frames: tuple[Frame, ...], verdicts: tuple[Verdict, ...]) -> None:
        self._node = node
        self._timings = timings
        self._entries = entries
        self._verdicts = verdicts
        self._places = Places.of(plan)
        self._kinds = {each.name: each.kind for each in plan.nodes}
        self._seen = tuple((frame, header) for frame in frames if (header := header_of(frame)) is not None)

    def client(self, url: str) -> Iterator[Span]:
        """What the client did itself: names, connection, TLS."""
        t = self._timings
        host = urlsplit(url).hostname or ""
        if t.name_lookup_ms > 0.05 and not host.replace(".", "").isdigit():
            until_s = t.started_s + t.name_lookup_ms / 1000
            yield Span(layer="DNS", what=f"{host} is {_host(t.remote)}" if t.remote else f"{host} not found", node=self._node, start_ms=0, duration_ms=t.name_lookup_ms,
                       evidence=self._packets(lambda header: 53 in (header.source_port, header.destination_port), only=self._node))
            yield from self._names(_host(t.local), t.started_s, until_s, depth=1)
        if t.connect_ms:
            yield Span(layer="TCP", what=f"connected to {self._places.name(t.remote)} {t.remote}", node=self._node, start_ms=t.name_lookup_ms, duration_ms=t.connect_ms - t.name_lookup_ms,
                       evidence=self._packets(_between(t.local, t.remote, handshake=True)))
        if t.tls_ms > t.connect_ms > 0:
            yield Span(layer="TLS", what=f"certificate of {host} verified", node=self._node, start_ms=t.connect_ms, duration_ms=t.tls_ms - t.connect_ms, evidence=self._packets(_between(t.local, t.remote)))

    def edge(self, found: Found) -> Iterator[Span]:
        """CloudFront: HIT or MISS, and the way to the origin."""
        if found.edge is None or not isinstance(found.edge.event, EdgeRequest):
            return
        entry, event = found.edge, found.edge.event
        start_ms = self._offset_ms(entry.starts_s)
        where = self._places.name(self._timings.remote)
        age = f", Age {event.age_s:.0f} s" if event.age_s else ""
        yield Span(layer="edge", what=f"{event.result.upper()} at {event.pop} ({event.behavior or 'default behaviour'}{age})", node=where, start_ms=start_ms, duration_ms=event.duration_ms, evidence=(entry.evidence,))
        gateways = sorted(name for name, kind in self._kinds.items() if kind is NodeKind.INTERNET_GATEWAY)
        crossed = self.gateway_packets()
        if gateways and not event.origin_peer:
            what = "never reaches the VPC" if crossed == 0 else f"{crossed} packets of this edge location crossed meanwhile"
            yield Span(layer="gateway", what=what, node=", ".join(gateways), start_ms=start_ms, depth=1, evidence=(f"{', '.join(gateways)}: {crossed} packets",))
        if not event.origin_peer:
            return
        cursor_ms = start_ms
        steps = (("DNS", "origin's name", event.origin_dns_ms), ("TCP", f"connected to {self._places.name(event.origin_peer)}", event.origin_connect_ms), ("TLS", "origin's certificate verified", event.origin_tls_ms))
        if event.origin_reused:
            yield Span(layer="TCP", what="connection to the origin used again", node=where, start_ms=cursor_ms, depth=1, evidence=(entry.evidence,))
        for layer, what, duration_ms in steps:
            if duration_ms and not (event.origin_reused and layer != "DNS"):
                proof = (entry.evidence,) if layer == "DNS" else (entry.evidence, *self._packets(_between(event.local, event.origin_peer, handshake=layer == "TCP")))
                yield Span(layer=layer, what=what, node=where, start_ms=cursor_ms, duration_ms=duration_ms, depth=1, evidence=proof)
                if layer == "DNS":
                    yield from self._names(_host(event.local), entry.starts_s, entry.starts_s + duration_ms / 1000, depth=2)
                cursor_ms += duration_ms
        if event.origin_wait_ms is not None:
            yield Span(layer="origin", what="waits for the origin", node=where, start_ms=cursor_ms, duration_ms=event.origin_wait_ms, depth=1, evidence=(f"{', '.join(gateways)}: {crossed} packets",))

    def balancer(self, found: Found) -> Iterator[Span]:
        """The load balancer: the rule and the target, and which rules let its packets through."""
        if found.balancer is None or not isinstance(found.balancer.event, AlbRequest):
            return
        entry, event = found.balancer, found.balancer.event
        start_ms = self._offset_ms(entry.starts_s)
        depth = 2 if found.edge is not None else 0
        yield from self._judged(event.peer, None, "client's side", depth)
        yield Span(layer="ALB", what=f"{event.method} {event.uri} is {event.status}", node=event.service, start_ms=start_ms, duration_ms=event.duration_ms, depth=depth, evidence=(entry.evidence, *self._packets(_with(event.peer))))
        chosen = f", target group {event.target_group}, target {event.target} {event.target_peer or ''}".rstrip() if event.target else f", {event.action or 'no action'}"
        yield Span(layer="rule", what=f"{event.rule or 'no rule'}{chosen}", node=event.service, start_ms=start_ms, depth=depth + 1, evidence=(entry.evidence,))
        if event.connect_ms and not event.target_reused:
            yield Span(layer="TCP", what=f"connected to {event.target}", node=event.service, start_ms=start_ms, duration_ms=event.connect_ms, depth=depth + 1, evidence=self._packets(_between(event.local, event.target_peer, handshake=True)))
        if event.local and event.target_peer:
            yield from self._judged(event.local, event.target_peer, f"to {event.target}", depth + 1)
        if event.target_wait_ms is not None and event.target:
            yield Span(layer="target", what=f"waits for {event.target}", node=event.service, start_ms=start_ms + (event.connect_ms or 0), duration_ms=event.target_wait_ms, depth=depth + 1, evidence=self._packets(_between(event.local, event.target_peer)))
        if event.error_reason:
            yield Span(layer="ALB", what=event.error_reason, node=event.service, start_ms=start_ms + event.duration_ms, depth=depth + 1, evidence=(entry.evidence,))

    def application(self, found: Found) -> Iterator[Span]:
        """The instance's application and its statements."""
        if found.application is None or not isinstance(found.application.event, AppRequest):
            return
        entry, event = found.application, found.application.event
        start_ms = self._offset_ms(entry.starts_s)
        depth = 0 if found.balancer is None else 2 if found.edge is None else 4
        yield Span(layer="app", what=f"{event.method} {event.uri} is {event.status}", node=event.service, start_ms=start_ms, duration_ms=event.duration_ms, depth=depth, evidence=(entry.evidence,))
        end_ms = start_ms + event.duration_ms
        for local, peer in dict.fromkeys((statement.local, statement.peer) for statement in event.sql):
            if local and peer:
                yield from self._judged(local, peer, "to the database", depth + 1)
        cursor_ms = start_ms
        for statement in event.sql:
            rows = "" if statement.rows is None else f" ({statement.rows} row{'s' * (statement.rows != 1)})"
            yield Span(layer="SQL", what=f"{' '.join(statement.statement.split())}{rows}", node=event.service, start_ms=cursor_ms, duration_ms=statement.duration_ms, depth=depth + 1,
                       evidence=(entry.evidence, *self._packets(_between(statement.local, statement.peer), start_ms, end_ms)))
            cursor_ms += statement.duration_ms

    def response(self) -> Iterator[Span]:
        """The answer's way back to the client."""
        t = self._timings
        if t.status:
            yield Span(layer="answer", what=f"{t.status} {t.header('x-cache')}".strip(), node=self._node, start_ms=t.first_byte_ms, duration_ms=t.total_ms - t.first_byte_ms, evidence=self._packets(_between(t.local, t.remote), only=self._node))
        elif t.error:
            yield Span(layer="failed", what=t.error, node=self._node, start_ms=t.total_ms)

    def gateway_packets(self) -> int:
        """Packets that entered an internet gateway for the edge location asked, or for the client itself where none was, while the request ran."""
        far = {_host(self._timings.local), _host(self._timings.remote)}
        end_ns = (self._timings.started_s + self._timings.total_ms / 1000) * 1e9
        return sum(
            1
            for frame, header in self._seen
            if self._kinds.get(frame.node) is NodeKind.INTERNET_GATEWAY and not frame.outgoing and frame.time_ns <= end_ns and not far.isdisjoint((str(header.source), str(header.destination)))
        )

    def _names(self, client: str, from_s: float, until_s: float, depth: int) -> Iterator[Span]:
        """Queries of `client` in a stretch of time, and what its resolver asked to answer them."""
        queries = [entry for entry in self._entries if isinstance(entry.event, DnsQuery) and _host(entry.event.peer) == client and from_s - CLOCK_SLACK_S <= entry.event.t <= until_s + CLOCK_SLACK_S]
        for entry in queries:
            event = entry.event
            assert isinstance(event, DnsQuery)
            answer = ", ".join(event.answers[:3]) or event.rcode
            yield Span(layer="resolver", what=f"{event.name} {event.type}: {answer} ({event.source})", node=event.service, start_ms=self._offset_ms(entry.starts_s), duration_ms=event.duration_ms, depth=depth, evidence=(entry.evidence,))
            yield from self._upstream(entry, event, depth + 1)

    def _upstream(self, query: Entry, event: DnsQuery, depth: int) -> Iterator[Span]:
        for entry in self._entries:
            asked = entry.event
            if not isinstance(asked, DnsUpstream) or entry.file != query.file or asked.type != event.type:
                continue
            if query.starts_s - CLOCK_SLACK_S <= entry.starts_s and asked.t <= event.t + CLOCK_SLACK_S:
                server = f"{self._places.name(asked.server)} {asked.server}"
                yield Span(layer="authority", what=f"{asked.name} {asked.type}: {asked.outcome} from {server}", node=asked.service, start_ms=self._offset_ms(entry.starts_s), duration_ms=asked.duration_ms, depth=depth, evidence=(entry.evidence, *self._answered_by(entry, asked)))

    def _answered_by(self, asked: Entry, event: DnsUpstream) -> tuple[str, ...]:
        """The line in the asked server's own log."""
        return tuple(
            entry.evidence
            for entry in self._entries
            if isinstance(entry.event, DnsQuery) and entry.file != asked.file and (entry.event.name, entry.event.type) == (event.name, event.type)
            and asked.starts_s - CLOCK_SLACK_S <= entry.event.t <= event.t + CLOCK_SLACK_S
        )[:1]

    def _judged(self, near: str | None, far: str | None, what: str, depth: int) -> Iterator[Span]:
        """Verdicts of AWS rules on one connection, each rule once, in the order in which they first spoke. A trace is read later than its packet passed: a captured packet tells when."""
        for node in dict.fromkeys(verdict.node for verdict in self._verdicts):
            of_flow = [v for v in self._verdicts if v.node == node and v.header is not None and near in v.header.ends and (far is None or far in v.header.ends)]
            said = Counter(v.words for v in of_flow if v.has_aws_origin)
            if said:
                captured_ns = (frame.time_ns for frame, header in self._seen if near in header.ends and (far is None or far in header.ends))
                first_ms = self._offset_ms(min((of_flow[0].time_ns, *captured_ns)) / 1e9)
                yield Span(layer="verdicts", what=f"{what}: {', '.join(said)}", node=node, start_ms=first_ms, depth=depth, evidence=(f"{node}: {sum(said.values())} verdicts traced",))

    def _packets(self, belongs: Callable[[Header], bool], from_ms: float | None = None, until_ms: float | None = None, only: str | None = None) -> tuple[str, ...]:
        """How many packets were seen at each interface, as evidence."""
        counts = Counter(
            frame.where
            for frame, header in self._seen
            if belongs(header) and (only is None or frame.node == only) and (from_ms is None or until_ms is None or self._within(frame.time_ns, from_ms, until_ms))
        )
        return tuple(f"{where}: {count} packet{'s' * (count != 1)}" for where, count in sorted(counts.items()))

    def _within(self, time_ns: int, from_ms: float, until_ms: float) -> bool:
        offset_ms = self._offset_ms(time_ns / 1e9)
        return from_ms - CLOCK_SLACK_S * 1000 <= offset_ms <= until_ms + CLOCK_SLACK_S * 1000

    def _offset_ms(self, moment_s: float) -> float:
        return (moment_s - self._timings.started_s) * 1000


def _one(entries: tuple[Entry, ...], kind: type, matches: Callable[..., bool]) -> Entry | None:
    return next((entry for entry in entries if isinstance(entry.event, kind) and matches(entry.event)), None)


def _host(peer: str | None) -> str:
    return (peer or "").rpartition(":")[0] or (peer or "")


def _between(a: str | None, b: str | None, handshake: bool = False) -> Callable[[Header], bool]:
    """Packets of one connection; with `handshake` only those with SYN, and none of a later one."""
    ends = frozenset((a or "", b or ""))

    def belongs(header: Header) -> bool:
        return header.ends == ends and (not handshake or bool(header.tcp_flags & TCP_SYN))

    return belongs


def _with(peer: str | None) -> Callable[[Header], bool]:
    return lambda header: (peer or "") in header.ends
