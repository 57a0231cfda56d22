"""Telling of finished requests: one ALB_REQUEST event each, with the time at which it ended.

Requests are gathered for a few milliseconds and told of together, so that encoding does not stand between a response and the next request. An event
is therefore in the log some milliseconds after the client has its response. `flush` before the daemon ends.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from services.alb.target_group import RunningTarget
from services.common.events import ALB_REQUEST, EventLog
from services.common.http import Exchange, Timings

GATHER_S = 0.005


@dataclass(slots=True)
class Record:
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
        self._events.emit(
            ALB_REQUEST, trace_id=None, cf_id=None, method=None, host=None, uri=None, status=status, target_status=None, rule=None, action=None, target_group=None,
            target=None, target_peer=None, local=None, peer=peer, connect_ms=None, target_wait_ms=None, target_reused=None, duration_ms=None, error_reason=reason,
        )  # fmt: skip

    def flush(self) -> None:
        """Tell of all that is gathered."""
        gathered, self._finished = self._finished, []
        for ended_at, duration_s, exchange, record, status in gathered:
            head, target, timings = exchange.head, record.target, record.timings or _NONE
            self._events.emit(
                ALB_REQUEST,
                t=round(ended_at, 6),
                trace_id=record.trace_id.decode("latin-1"),
                cf_id=None if record.cf_id is None else record.cf_id.decode("latin-1"),
                method=head.method.decode("latin-1"),
                host=record.host.decode("latin-1"),
                uri=head.target.decode("latin-1"),
                status=status,
                target_status=record.target_status,
                rule=record.rule,
                action=record.action,
                target_group=record.target_group,
                target=target.target.id if target is not None else None,
                target_peer=timings.peer or None,
                local=timings.local or None,
                peer=exchange.peer,
                connect_ms=_milliseconds(timings.connect_ms),
                target_wait_ms=_milliseconds(timings.wait_ms),
                target_reused=timings.reused if record.timings is not None else None,
                duration_ms=_milliseconds(duration_s * 1000),
                error_reason=record.error_reason,
            )


_NONE = Timings()


def _milliseconds(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
