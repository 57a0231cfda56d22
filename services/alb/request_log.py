"""Telling of finished requests: one ALB_REQUEST event each, with the time at which it ended; where access logs are on, an ALB_ACCESS_LOG event with AWS's line too.

Requests are gathered for a few milliseconds and told of together, so that encoding does not stand between a response and the next request. An event
is therefore in the log some milliseconds after the client has its response. `flush` before the daemon ends.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from services.alb.access_log import Entry, line
from services.alb.target_group import RunningTarget
from services.common.events import ALB_ACCESS_LOG, ALB_REQUEST, EventLog
from services.common.http import Exchange, Timings
from services.common.rate_rule import RateRule

GATHER_S = 0.005


class Record(msgspec.Struct):
    """What the event of one request says, gathered on the way. Texts are as they came, in bytes."""

    trace_id: bytes
    cf_id: bytes | None
    host: bytes
    classification: str = ""
    classification_reason: str = ""
    rule: str | None = None
    rule_priority: int | None = None
    redirect_url: str = ""
    request_s: float | None = None
    action: str | None = None
    target_group: str | None = None
    target: RunningTarget | None = None
    timings: Timings | None = None
    target_status: int | None = None
    error_reason: str | None = None
    transformed_host: bytes = b""
    transformed_uri: bytes = b""
    transform_status: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedAs:
    """How access logs name things: the balancer's id here and its ``app/name/hash``, ARNs of target groups by id and of the certificate for a server name."""

    balancer: str
    resource: str
    target_groups: Mapping[str, str]
    certificate: Callable[[str | None], str]


class _Told(msgspec.Struct, gc=False):
    """An ALB_REQUEST event as it is written."""

    t: float
    service: str
    event: str
    trace_id: str | None
    cf_id: str | None
    method: str | None
    host: str | None
    uri: str | None
    status: int
    target_status: int | None
    rule: str | None
    action: str | None
    target_group: str | None
    target: str | None
    target_peer: str | None
    local: str | None
    peer: str
    connect_ms: float | None
    target_wait_ms: float | None
    target_reused: bool | None
    duration_ms: float | None
    error_reason: str | None


class _Logged(msgspec.Struct, gc=False):
    """An ALB_ACCESS_LOG event as it is written."""

    t: float
    service: str
    event: str
    balancer: str
    line: str


class RequestLog:
    """Gathers, and tells. `access` names the balancer as access logs do (None: they are off). A `rate_rule` hears every status."""

    def __init__(self, events: EventLog) -> None:
        self._events = events
        self.access: LoggedAs | None = None
        self.rate_rule: RateRule | None = None
        self._finished: list[tuple[float, float, Exchange, Record, int]] = []

    def finished(self, exchange: Exchange, record: Record, status: int) -> None:
        """A request is over, now, with `status`."""
        finished = self._finished
        if self.rate_rule is not None:
            self.rate_rule.answered(status)
        finished.append((time.time(), time.perf_counter() - exchange.received_at, exchange, record, status))
        if len(finished) == 1:
            asyncio.get_running_loop().call_later(GATHER_S, self.flush)

    def refused(self, peer: str, status: int, reason: str) -> None:
        """Something that could not be parsed was refused."""
        self.flush()  # what ended before is told of before
        self._events.append(
            _Told(
                round(time.time(), 6), self._events.service, ALB_REQUEST, None, None, None, None, None, status, None, None, None, None, None, None, None, peer,
                None, None, None, None, reason,
            )
        )  # fmt: skip

    def flush(self) -> None:
        """Tell of all that is gathered."""
        gathered, self._finished = self._finished, []
        append, service = self._events.append, self._events.service
        for ended_at, duration_s, exchange, record, status in gathered:
            head, target, timings, cf_id = exchange.head, record.target, record.timings or _NONE, record.cf_id
            append(
                _Told(
                    round(ended_at, 6),
                    service,
                    ALB_REQUEST,
                    record.trace_id.decode("latin-1"),
                    None if cf_id is None else cf_id.decode("latin-1"),
                    head.method.decode("latin-1"),
                    record.host.decode("latin-1"),
                    head.target.decode("latin-1"),
                    status,
                    record.target_status,
                    record.rule,
                    record.action,
                    record.target_group,
                    None if target is None else target.target.id,
                    timings.peer or None,
                    timings.local or None,
                    exchange.connection.peer,
                    _milliseconds(timings.connect_ms),
                    _milliseconds(timings.wait_ms),
                    None if record.timings is None else timings.reused,
                    _milliseconds(duration_s * 1000),
                    record.error_reason,
                )
            )
            if self.access is not None:
                append(_Logged(round(ended_at, 6), service, ALB_ACCESS_LOG, self.access.balancer, line(_entry(self.access, ended_at, duration_s, exchange, record, status))))


def _entry(names: LoggedAs, ended_at: float, duration_s: float, exchange: Exchange, record: Record, status: int) -> Entry:
    head, connection, timings = exchange.head, exchange.connection, record.timings or _NONE
    tls = connection.tls
    scheme = "http" if tls is None else "https"
    kind = ("ws" if tls is None else "wss") if status == 101 else "h2" if head.version == "2" else scheme
    target, host = head.target.decode("latin-1"), head.fields.get(b"host", record.host).decode("latin-1")
    url = target if "://" in target else f"{scheme}://{host.partition(':')[0]}:{connection.local.rpartition(':')[2]}{target}"
    server_name = connection.server_name
    return Entry(
        kind=kind,
        ended_at=ended_at,
        created_at=ended_at - duration_s,
        elb=names.resource,
        client=connection.peer,
        target="" if record.target is None else record.target.place,
        request_s=record.request_s,
        target_s=None if timings.wait_ms is None else timings.wait_ms / 1000,
        status=status,
        target_status=record.target_status,
        received_bytes=exchange.received_bytes,
        sent_bytes=exchange.head_bytes + exchange.sent_bytes,
        request=f"{head.method.decode('latin-1')} {url} HTTP/{'2.0' if head.version == '2' else head.version}",
        user_agent=head.fields.get(b"user-agent", b"").decode("latin-1"),
        tls=None if tls is None else (tls[1].decode(), tls[0].decode()),
        target_group_arn=names.target_groups.get(record.target_group or "", ""),
        trace_id=f"Root={record.trace_id.decode('latin-1')}",
        domain_name=server_name or "",
        certificate_arn="" if tls is None else names.certificate(server_name),
        rule_priority=record.rule_priority,
        action=record.action or "",
        redirect_url=record.redirect_url,
        error_reason=record.error_reason or "",
        classification=record.classification,
        classification_reason=record.classification_reason,
        connection_id=f"TID_{connection.id:032x}",
        transformed_host=record.transformed_host.decode("latin-1"),
        transformed_uri=record.transformed_uri.decode("latin-1"),
        transform_status=record.transform_status,
    )


_NONE = Timings()


def _milliseconds(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
