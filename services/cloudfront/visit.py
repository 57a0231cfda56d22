"""One viewer's request at the edge, from its arrival to its line in the log.

    Edge ─ Visit ─┬─ `serve`: a stored object, whole, in part (206, 416) or as "not modified" (304)
                  ├─ `refuse`, `redirect`, `fail`: the edge's own pages
                  └─ `begin`, `continue_with`, `break_off`: an answer that streams from the origin (`origin_fetch`)

The shortest path, a hit without conditions on a kept connection, is one write of bytes that were serialised when the object was stored.
"""

from __future__ import annotations

import base64
import random
import time
from typing import TYPE_CHECKING

from services.cloudfront.admission import Redirect, Refusal
from services.cloudfront.config import Behavior
from services.cloudfront.error_pages import error_page, generated_headers, redirect_page
from services.cloudfront.messages import Header, Headers, ViewerRequest, find
from services.cloudfront.ranges import NotSatisfiable, applies, multipart, requested_ranges
from services.cloudfront.responses import BODILESS, OF_NOT_MODIFIED, Result, is_not_modified, only, tail
from services.cloudfront.store import StoredResponse
from services.common.events import EDGE_REQUEST
from services.common.http import Exchange, Timings

if TYPE_CHECKING:
    from services.cloudfront.edge import Edge
    from services.cloudfront.origin_fetch import OriginFetch
    from services.common.rate_rule import RateRule

ONE_WRITE_BYTES = 32 * 1024
PARTIAL = frozenset({b"range", b"if-none-match", b"if-modified-since"})
NO_TIMINGS = Timings()


class Visit:
    """A viewer's exchange and what the edge knows of it. Also hears of the viewer while an answer streams (`RequestEvents`)."""

    __slots__ = ("_age_s", "_edge", "_result", "_timings", "_trace_id", "behavior", "cf_id", "exchange", "fetch", "paused", "rate_rule", "request")

    def __init__(self, edge: Edge, exchange: Exchange, request: ViewerRequest, cf_id: bytes) -> None:
        self._edge = edge
        self._result = Result.ERROR
        self._age_s: int | None = None
        self._timings = NO_TIMINGS
        self._trace_id: bytes | None = request.fields.get(b"x-amzn-trace-id")
        self.exchange = exchange
        self.request = request
        self.cf_id = cf_id
        self.behavior: Behavior | None = None
        self.fetch: OriginFetch | None = None
        self.paused = False
        self.rate_rule: RateRule | None = None

    # -- from the cache

    def serve(self, stored: StoredResponse, result: Result, now_s: float, timings: Timings = NO_TIMINGS) -> None:
        """Answer with a stored object; `result` is Hit or RefreshHit (an error stays an Error)."""
        self._timings = timings
        self._result = Result.ERROR if stored.status >= 400 else result
        age_s = int(now_s - stored.fresh_from_s)
        self._age_s = None if result is Result.REFRESH_HIT else age_s
        exchange, fields = self.exchange, self.request.fields
        plain = self.request.method == b"GET" and fields.keys().isdisjoint(PARTIAL)
        if plain and result is Result.HIT and exchange.keep_alive and not exchange.connection.last:
            send_hit(exchange, stored, self.cf_id, age_s)
        elif plain or stored.status != 200 or not self._serve_in_part(stored):
            self._start(stored.status, stored.headers, stored.body, stored.length)
        self._log()

    def _serve_in_part(self, stored: StoredResponse) -> bool:
        """Answer 304, 206 or 416 where the request's conditions say so; whether it was done."""
        fields, headers, body = self.request.fields, stored.headers, stored.body
        if is_not_modified(self.request, headers):
            self._start(304, only(OF_NOT_MODIFIED, headers), b"", None)
            return True
        wanted = fields.get(b"range")
        if wanted is None or self.request.method != b"GET" or not applies(fields.get(b"if-range"), find(headers, b"etag"), find(headers, b"last-modified")):
            return False
        try:
            ranges = requested_ranges(wanted, len(body))
        except NotSatisfiable:
            self._result = Result.ERROR
            self._page(416, "The requested range is outside of the object.", (b"Content-Range", b"bytes */%d" % len(body)))
            return True
        if not ranges:
            return False
        if len(ranges) == 1:
            first, last = ranges[0]
            self._whole(206, (*headers, (b"Content-Range", b"bytes %d-%d/%d" % (first, last, len(body)))), body[first : last + 1])
        else:
            content_type = find(headers, b"content-type") or b"application/octet-stream"
            others = tuple(header for header in headers if header[0].lower() != b"content-type")
            boundary = b"CloudFront:" + self.cf_id.rstrip(b"=")
            self._whole(206, (*others, (b"Content-Type", b"multipart/byteranges; boundary=\"%s\"" % boundary)), multipart(body, ranges, content_type, boundary))
        return True

    # -- the edge's own answers

    def refuse(self, refusal: Refusal) -> None:
        """Answer with an error page."""
        self._page(refusal.status, refusal.reason)
        self._log()

    def redirect(self, redirect: Redirect) -> None:
        """Send the viewer to HTTPS."""
        self._result = Result.REDIRECT
        page = redirect_page(redirect.status)
        self._whole(redirect.status, (*generated_headers(self._edge.date()), (b"Location", redirect.location)), page)
        self._log()

    def fail(self, status: int, reason: str, timings: Timings) -> None:
        """Answer that the origin gave no answer."""
        self._timings = timings
        self._page(status, reason)
        self._log()

    def _page(self, status: int, reason: str, *others: Header) -> None:
        self._whole(status, (*generated_headers(self._edge.date()), *others), error_page(status, reason, self.cf_id))

    # -- from the origin

    def begin(self, status: int, headers: Headers, length: int | None, body: bytes, result: Result, timings: Timings, trace_id: bytes | None, *, ended: bool) -> None:
        """The head of the origin's answer, and what has come of its body."""
        self._timings = timings
        self._trace_id = trace_id or self._trace_id
        self._result = Result.ERROR if status >= 400 else result
        self._start(status, headers, body, length, ended=ended)
        if ended:
            self._log()

    def continue_with(self, body: bytes, *, ended: bool) -> None:
        """More of it; `ended` with the last."""
        if ended:
            self.exchange.finish(body)
            self._log()
        else:
            self.exchange.write(body)

    def break_off(self) -> None:
        """The origin's answer ended too soon: the viewer's connection is closed, so that it can tell."""
        self._result = Result.ERROR
        self.exchange.abort()
        self._log()

    # -- RequestEvents

    def request_continued(self, body: bytes, ended: bool) -> None:
        if self.fetch is not None:
            self.fetch.send_body(body, ended=ended)

    def request_aborted(self) -> None:
        self._result = Result.ERROR
        if self.fetch is not None:
            self.fetch.leave(self)
        self._log()

    def response_paused(self) -> None:
        self.paused = True
        if self.fetch is not None:
            self.fetch.regulate()

    def response_resumed(self) -> None:
        self.paused = False
        if self.fetch is not None:
            self.fetch.regulate()

    # -- sending

    def _whole(self, status: int, headers: Headers, body: bytes) -> None:
        self._start(status, headers, body, len(body))

    def _start(self, status: int, headers: Headers, body: bytes, length: int | None, *, ended: bool = True) -> None:
        lines = [*headers, *self._edge.heads.fields(self._result, self.cf_id, self._age_s)]
        self.exchange.start(status, lines, length=None if status in BODILESS else length, body=body, ended=ended, date=False)

    def _log(self) -> None:
        """Tell of the request. What did not happen (an origin asked, an age) is left out rather than null: a hit's line is short."""
        exchange, request = self.exchange, self.request
        if self.rate_rule is not None:
            self.rate_rule.answered(exchange.status)
        told: dict[str, object] = {} if self._timings is NO_TIMINGS else _origin_fields(self._timings)
        if self._trace_id is not None:
            told["trace_id"] = root_of(self._trace_id)
        if self._age_s is not None:
            told["age_s"] = self._age_s
        self._edge.events.emit(
            EDGE_REQUEST,
            cf_id=self.cf_id.decode(),
            method=request.method.decode("latin-1"),
            host=request.host.decode("latin-1"),
            uri=request.target.decode("latin-1"),
            status=exchange.status,
            result=self._result,
            pop=self._edge.pop,
            peer=exchange.peer,
            behavior=None if self.behavior is None else self.behavior.path_pattern,
            duration_ms=(time.perf_counter() - exchange.received_at) * 1000,
            **told,
        )


def _origin_fields(timings: Timings) -> dict[str, object]:
    """What the log says of a request that went to the origin."""
    return {
        "origin_peer": timings.peer or None,
        "local": timings.local or None,
        "origin_dns_ms": timings.dns_ms,
        "origin_connect_ms": timings.connect_ms,
        "origin_tls_ms": timings.tls_ms,
        "origin_wait_ms": timings.wait_ms,
        "origin_reused": timings.reused,
    }


def send_hit(exchange: Exchange, stored: StoredResponse, cf_id: bytes, age_s: int) -> None:
    """Send a stored object whole, on a connection that is kept: bytes that were serialised when it was stored."""
    head, body = stored.head + tail(cf_id, age_s), stored.body
    exchange.status = stored.status
    if len(body) <= ONE_WRITE_BYTES:
        exchange.send_raw(head + body)
    else:
        exchange.send_raw(head)
        exchange.send_raw(body)
    exchange.finish()


def new_cf_id() -> bytes:
    """A fresh X-Amz-Cf-Id: 56 opaque characters. Nothing rests on their being unguessable."""
    return base64.urlsafe_b64encode(random.randbytes(40))


def root_of(trace_id: bytes) -> str:
    """The Root of an `X-Amzn-Trace-Id` field; the whole value if it has none."""
    fields = dict(part.strip().partition(b"=")[::2] for part in trace_id.split(b";"))
    return fields.get(b"Root", trace_id).decode("latin-1")
