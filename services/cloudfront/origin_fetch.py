"""One fetch from an origin, and the viewers who wait for it.

    fetch ─→ head: 304 to our condition   → the stored copy, renewed, to all        RefreshHit
          │        5xx, a stale copy left → that copy to all                        Hit
          │        not to be shared       → to the first; the others fetch alone
          │        else                   → streams to all; kept once it is whole   Miss, the others Hit (assumed)
          └─→ failure before a head       → another attempt (GET and HEAD), the stale copy, or 502/504 to all

The answer is read at the speed of the origin while it may be kept, and at the speed of the slowest viewer when it may not.
Invariant: a fetch which can be joined is in `Edge.in_flight` under its key, and any other is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.cloudfront.admission import SAFE_METHODS
from services.cloudfront.cache import Found
from services.cloudfront.config import Behavior, Origin
from services.cloudfront.error_pages import error_page, generated_headers
from services.cloudfront.freshness import is_shareable, lifetime
from services.cloudfront.messages import Headers, ViewerRequest
from services.cloudfront.origin_request import origin_headers, origin_target, validators
from services.cloudfront.origins import reason
from services.cloudfront.responses import Result, viewer_headers
from services.cloudfront.visit import Visit
from services.common.http import Call, Failure, FailureKind, ResponseHead, UpstreamRequest

if TYPE_CHECKING:
    from services.cloudfront.edge import Edge

TRIED_AGAIN = frozenset({FailureKind.CLOSED, FailureKind.RESPONSE_TIMEOUT})


class OriginFetch:
    """A `Receiver` for one answer; `cf_id` is the one that the origin sees."""

    def __init__(self, edge: Edge, found: Found, behavior: Behavior, origin: Origin, request: ViewerRequest, cf_id: bytes) -> None:
        self._edge = edge
        self._key = found.key
        self._stored = found.stored
        self._behavior = behavior
        self._origin = origin
        self._request = request
        self._cf_id = cf_id
        self._reads = request.method in SAFE_METHODS
        self._conditions = validators(found.stored) if found.stored is not None else ()
        self._attempts_left = origin.connect_attempts if self._reads else 1
        self._visits: list[Visit] = []
        self._call: Call
        self._outgoing: UpstreamRequest
        self._status = 0
        self._headers: Headers = ()
        self._length: int | None = None
        self._trace_id: bytes | None = None
        self._parts: list[bytes] = []
        self._gathered_bytes = 0
        self._keeps = False
        self._over = False

    def start(self, visit: Visit | None) -> None:
        """Ask the origin, for `visit` (None: only to renew the copy), whose body is passed on as it comes."""
        body, ended, length, chunked = b"", True, None, False
        if visit is not None:
            self._join(visit)
            exchange, fields = visit.exchange, self._request.fields
            chunked = b"transfer-encoding" in fields
            length = None if chunked or b"content-length" not in fields else int(fields[b"content-length"])
            body, ended = exchange.body, exchange.ended
        headers = origin_headers(self._behavior, self._origin, self._key, self._request, cf_id=self._cf_id, via_name=self._edge.via_name)
        if self._stored is not None:  # the whole object is wanted to replace the copy
            headers = tuple(header for header in headers if header[0] != b"Range")
        self._outgoing = UpstreamRequest(
            method=self._request.method, target=origin_target(self._behavior, self._key, self._request), headers=[*headers, *self._conditions],
            body=body, ended=ended, content_length=length, chunked=chunked,
        )
        self._send()

    def join(self, visit: Visit) -> None:
        """Give `visit` the same answer; what has come of it already, at once."""
        self._join(visit)
        if self._status:
            visit.begin(self._status, self._headers, self._length, b"".join(self._parts), Result.HIT, self._call.timings, self._trace_id, ended=False)

    def leave(self, visit: Visit) -> None:
        """The viewer is gone. An answer that nobody waits for is read on only if it may be kept."""
        if visit in self._visits:
            self._visits.remove(visit)
        visit.fetch = None
        if not self._visits and not self._over and not (self._reads and (self._keeps or not self._status)):
            self._call.cancel()
            self._end()
        elif not self._over:
            self.regulate()

    def send_body(self, body: bytes, *, ended: bool) -> None:
        """More of the viewer's body."""
        if not self._over:
            self._call.write(body, ended)

    def regulate(self) -> None:
        """Let the slowest viewer set the pace of an answer that is not gathered."""
        if self._over or not self._status:
            return
        if not self._keeps and any(visit.paused for visit in self._visits):
            self._call.pause_response()
        else:
            self._call.resume_response()

    # -- Receiver

    def response_started(self, head: ResponseHead, body: bytes, ended: bool) -> None:
        edge, status = self._edge, head.status
        headers = viewer_headers(head.headers, self._behavior, edge.date())
        if status == 304 and self._conditions and self._stored is not None:
            renewed = edge.cache.refresh(self._key, self._stored, self._behavior, headers, edge.now_s(), edge.wall_clock_s())
            for visit in self._end():
                visit.serve(renewed, Result.REFRESH_HIT, edge.now_s(), self._call.timings)
            return
        if status >= 500 and self._serve_stale(status):
            if not ended:
                self._call.cancel()
            return
        self._status, self._headers = status, headers
        self._length = head.content_length if head.content_length is not None or not ended or self._request.method == b"HEAD" else len(body)
        self._trace_id = head.fields.get(b"x-amzn-trace-id")
        kept = lifetime(status, headers, self._behavior, edge.wall_clock_s()) if self._reads else None
        self._keeps = kept is not None and (self._length or 0) <= edge.cache.store.largest_body_bytes
        if self._reads and kept is None and status < 300 and status != 206:
            edge.cache.store.remove((self._key,))
        if not self._keeps:
            edge.in_flight_ended(self._key, self)
        if len(self._visits) > 1 and not is_shareable(head.headers, self._behavior.cache_policy):
            first, *others = self._visits
            self._visits = [first]
            for visit in others:
                edge.fetch_alone(visit)
        for index, visit in enumerate(tuple(self._visits)):
            visit.begin(status, headers, self._length, body, Result.HIT if index else Result.MISS, self._call.timings, self._trace_id, ended=ended)
        self._gather(body)
        if ended:
            self._complete()
        else:
            self.regulate()

    def response_continued(self, body: bytes, ended: bool) -> None:
        self._gather(body)
        for visit in tuple(self._visits):
            visit.continue_with(body, ended=ended)
        if ended:
            self._complete()

    def response_failed(self, failure: Failure) -> None:
        if self._status:
            for visit in self._end():
                visit.break_off()
            return
        self._attempts_left -= 1
        if failure.kind in TRIED_AGAIN and self._attempts_left > 0:
            self._send()
            return
        if not self._serve_stale(failure.status):
            self._fail(failure)

    def request_paused(self) -> None:
        for visit in self._visits:
            visit.exchange.pause_request()

    def request_resumed(self) -> None:
        for visit in self._visits:
            visit.exchange.resume_request()

    # -- steps

    def _join(self, visit: Visit) -> None:
        visit.fetch = self
        visit.exchange.events = visit
        self._visits.append(visit)

    def _send(self) -> None:
        self._call = self._edge.origins.pool(self._origin, self._request.secure).send(self._outgoing, self)

    def _gather(self, body: bytes) -> None:
        if not self._keeps:
            return
        self._parts.append(body)
        self._gathered_bytes += len(body)
        if self._gathered_bytes > self._edge.cache.store.largest_body_bytes:
            self._keeps, self._parts = False, []
            self._edge.in_flight_ended(self._key, self)
            self.regulate()

    def _complete(self) -> None:
        edge = self._edge
        if self._keeps:
            edge.cache.keep(self._key, self._behavior, self._status, self._headers, b"".join(self._parts), self._length, edge.now_s(), edge.wall_clock_s())
        self._end()

    def _serve_stale(self, status: int) -> bool:
        edge = self._edge
        stale = edge.cache.stand_in(self._key, self._stored, status, edge.now_s()) if self._reads else None
        if stale is None:
            return False
        for visit in self._end():
            visit.serve(stale, Result.HIT, edge.now_s(), self._call.timings)
        return True

    def _fail(self, failure: Failure) -> None:
        """The edge's own 502 or 504; kept like an origin's, with the first request's id on it (assumed)."""
        edge, sentence = self._edge, reason(failure)
        if self._reads:
            page = error_page(failure.status, sentence, self._cf_id)
            edge.cache.keep(self._key, self._behavior, failure.status, generated_headers(edge.date()), page, len(page), edge.now_s(), edge.wall_clock_s())
        for visit in self._end():
            visit.fail(failure.status, sentence, self._call.timings)

    def _end(self) -> list[Visit]:
        """Nothing more comes; returns those who waited."""
        self._over = True
        self._edge.in_flight_ended(self._key, self)
        visits, self._visits = self._visits, []
        for visit in visits:
            visit.fetch = None
        return visits
