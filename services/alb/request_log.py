"""Telling of finished requests: one ALB_REQUEST event each, with the time at which it ended.

Requests are gathered for a few milliseconds and told of together, so that encoding does not stand between a response and the next request. An event
is therefore in the log some milliseconds after the client has its response. `flush` before the daemon ends.
"""

from __future__ import annotations

import asyncio
import time

import msgspec

from services.alb.target_group import RunningTarget
from services.common.events import ALB_REQUEST, EventLog
from services.common.http import Exchange, Timings

GATHER_S = 0.005


class Record(msgspec.Struct):
    """What the event of one request says, gathered on the way. Texts are as they came, in bytes."""

    trace_id: bytes
    cf_id: bytes | None
    host: bytes
    rule: str | None = None
    action: str | None = None
    target_group: str | None = None
    target: RunningTarget | None = None
    timings: Timings | None = None
    target_status: int | None = None
    error_reason: str | None = None


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


class RequestLog:
    """Gathers, and tells."""

    def __init__(self, events: EventLog) -> None:
        self._events = events
        self._finished: list[tuple[float, float, Exchange, Record, int]] = []

    def finished(self, exchange: Exchange, record: Record, status: int) -> None:
        """A request is over, now, with `status`."""
        finished = self._finished
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


_NONE = Timings()


def _milliseconds(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
