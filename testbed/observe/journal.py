"""The daemons' logs, read back as typed events, each with the line it came from.

`services.common.events` says what each field means; a line of another kind, or of a later version's shape, is passed over.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from services.common.events import ALB_REQUEST, APP_REQUEST, DNS_QUERY, DNS_UPSTREAM, EDGE_REQUEST


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event"):
    t: float
    service: str


class DnsQuery(_Event, frozen=True, kw_only=True, tag=DNS_QUERY):
    """A query answered."""

    name: str
    type: str
    rcode: str = ""
    answers: tuple[str, ...] = ()
    peer: str = ""
    source: str = ""
    duration_ms: float = 0.0


class DnsUpstream(_Event, frozen=True, kw_only=True, tag=DNS_UPSTREAM):
    """A resolver's question to another server."""

    name: str
    type: str
    server: str = ""
    outcome: str = ""
    duration_ms: float = 0.0


class EdgeRequest(_Event, frozen=True, kw_only=True, tag=EDGE_REQUEST):
    """CloudFront, one request done."""

    cf_id: str | None = None
    trace_id: str | None = None
    method: str = ""
    host: str = ""
    uri: str = ""
    status: int = 0
    result: str = ""
    pop: str = ""
    peer: str | None = None
    behavior: str | None = None
    origin_peer: str | None = None
    local: str | None = None
    origin_dns_ms: float | None = None
    origin_connect_ms: float | None = None
    origin_tls_ms: float | None = None
    origin_wait_ms: float | None = None
    origin_reused: bool | None = None
    duration_ms: float = 0.0
    age_s: float | None = None


class AlbRequest(_Event, frozen=True, kw_only=True, tag=ALB_REQUEST):
    """A load balancer, one request done."""

    trace_id: str | None = None
    cf_id: str | None = None
    method: str = ""
    uri: str = ""
    status: int = 0
    target_status: int | None = None
    rule: str | None = None
    action: str | None = None
    target_group: str | None = None
    target: str | None = None
    target_peer: str | None = None
    local: str | None = None
    peer: str | None = None
    connect_ms: float | None = None
    target_wait_ms: float | None = None
    target_reused: bool | None = None
    duration_ms: float = 0.0
    error_reason: str | None = None


class Sql(msgspec.Struct, frozen=True, kw_only=True):
    """One statement of an application's request."""

    statement: str
    duration_ms: float = 0.0
    rows: int | None = None
    local: str | None = None
    peer: str | None = None


class AppRequest(_Event, frozen=True, kw_only=True, tag=APP_REQUEST):
    """An instance's application, one request done."""

    trace_id: str | None = None
    cf_id: str | None = None
    method: str = ""
    uri: str = ""
    status: int = 0
    peer: str | None = None
    duration_ms: float = 0.0
    sql: tuple[Sql, ...] = ()


Event = DnsQuery | DnsUpstream | EdgeRequest | AlbRequest | AppRequest
_DECODER: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An event, and where it is written: `evidence` is ``alb-shop-a.jsonl:42``."""

    file: str
    line: int
    event: Event

    @property
    def evidence(self) -> str:
        return f"{self.file}:{self.line}"

    @property
    def starts_s(self) -> float:
        """When what it tells began: events are written at the end."""
        return self.event.t - self.event.duration_ms / 1000


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a log was written at some moment."""

    offset: int
    lines: int


class Journal:
    """All logs of a lab; `read` gives what was written since the journal was opened."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._marks = {path.name: _mark(path) for path in sorted(directory.glob("*.jsonl"))}

    def read(self) -> tuple[Entry, ...]:
        """Every known event written since, by time."""
        entries: list[Entry] = []
        for path in sorted(self._directory.glob("*.jsonl")):
            mark = self._marks.get(path.name, Mark(0, 0))
            with path.open("rb") as stream:
                stream.seek(mark.offset)
                entries += parse(path.name, mark.lines, stream.read().splitlines(keepends=True))
        return tuple(sorted(entries, key=lambda entry: (entry.event.t, entry.file, entry.line)))


def parse(file: str, lines_before: int, lines: Iterable[bytes]) -> list[Entry]:
    """The events in whole `lines` of `file`, the first being number `lines_before` + 1."""
    entries = []
    for number, line in enumerate(lines, lines_before + 1):
        if not line.endswith(b"\n"):
            break
        try:
            entries.append(Entry(file=file, line=number, event=_DECODER.decode(line)))
        except msgspec.DecodeError:  # another kind of event
            continue
    return entries


def _mark(path: Path) -> Mark:
    data = path.read_bytes()
    return Mark(data.rfind(b"\n") + 1, data.count(b"\n"))
