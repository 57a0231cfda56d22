"""One request to a target or an origin: what is sent, who hears of the response, what it took, and the handle on it while it is on its way."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

import msgspec

from services.common.http.failure import Failure, FailureKind
from services.common.http.head import IDEMPOTENT_METHODS, Headers, ResponseHead, field_lines

if TYPE_CHECKING:
    from services.common.http.connection import UpstreamConnection
    from services.common.http.upstream import UpstreamPool


class UpstreamRequest(msgspec.Struct):
    """A request to send. `headers` carry neither framing nor hop-by-hop fields, but Host. `body` is what is at hand, `ended` whether it is all.

    `lines` are more fields, as they go on the wire in front of `headers` (`field_lines`). `content_length` frames the body; None means chunked if
    `chunked`, else no body at all. `upgrade` asks for a WebSocket. Nobody changes a request once it is sent; it is not frozen only because that would cost.
    """

    method: bytes
    target: bytes
    headers: Headers
    body: bytes = b""
    ended: bool = True
    lines: bytes = b""
    content_length: int | None = None
    chunked: bool = False
    upgrade: bool = False
    close: bool = False

    def head_bytes(self) -> bytes:
        """The head on the wire."""
        if self.ended and not self.headers and self.content_length is None and not (self.chunked or self.upgrade or self.close):
            return b"%b %b HTTP/1.1\r\n%b\r\n" % (self.method, self.target, self.lines)
        headers = self.headers
        if self.content_length is not None or self.chunked or self.upgrade or self.close:
            headers = headers.copy()
        if self.content_length is not None:
            headers.append((b"Content-Length", b"%d" % self.content_length))
        elif self.chunked:
            headers.append((b"Transfer-Encoding", b"chunked"))
        if self.upgrade:
            headers += ((b"Connection", b"Upgrade"), (b"Upgrade", b"websocket"))
        elif self.close:
            headers.append((b"Connection", b"close"))
        return b"%b %b HTTP/1.1\r\n%b%b\r\n" % (self.method, self.target, self.lines, field_lines(headers))

    def framed(self, body: bytes, ended: bool) -> bytes:
        """`body` as it goes on the wire."""
        if not self.chunked:
            return body
        chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
        return chunk + b"0\r\n\r\n" if ended else chunk


class Timings(msgspec.Struct, gc=False):
    """What a request's parts took, in milliseconds; None: did not happen (a reused connection has neither of the first three).

    `local` and `peer` are ``address:port`` of the connection used. `wait_ms` is from the request's sending to the response's head.
    """

    dns_ms: float | None = None
    connect_ms: float | None = None
    tls_ms: float | None = None
    wait_ms: float | None = None
    reused: bool = False
    local: str = ""
    peer: str = ""


class Receiver(Protocol):
    """What hears of a response. After `ended` or `response_failed` nothing more comes."""

    def response_started(self, head: ResponseHead, body: bytes, ended: bool) -> None:
        """The head, and what of the body came with it. Status 101: `response_continued` then brings the tunnel's bytes."""

    def response_continued(self, body: bytes, ended: bool) -> None:
        """More of the body."""

    def response_failed(self, failure: Failure) -> None:
        """No response, or (after `response_started`) not all of it."""

    def request_paused(self) -> None:
        """The other side reads the request's body slowly: stop writing until `request_resumed`."""

    def request_resumed(self) -> None:
        """It caught up."""


class _Nobody:
    """A receiver that does not care."""

    def response_started(self, head: ResponseHead, body: bytes, ended: bool) -> None: ...
    def response_continued(self, body: bytes, ended: bool) -> None: ...
    def response_failed(self, failure: Failure) -> None: ...
    def request_paused(self) -> None: ...
    def request_resumed(self) -> None: ...


_NOBODY = _Nobody()


class Call(msgspec.Struct, eq=False):
    """One request on its way. `timings` fill in as it goes.

    `began` and `sent_at` are the connection's to keep: whether the head has come, and when the request left (``perf_counter``).
    """

    _pool: UpstreamPool
    request: UpstreamRequest
    receiver: Receiver
    timings: Timings
    sent_at: float = 0.0
    began: bool = False
    _connection: UpstreamConnection | None = None
    _cancelled: bool = False
    _pending: list[bytes] | None = None
    _pending_ended: bool = False

    def write(self, body: bytes, ended: bool) -> None:
        """More of the request's body (or of the tunnel)."""
        if self._connection is not None:
            self._connection.send_body(self.request.framed(body, ended), ended)
        elif not self._cancelled:
            self._pending = [*(self._pending or ()), body]
            self._pending_ended = ended
            if not ended:
                self.receiver.request_paused()

    def cancel(self) -> None:
        """Nobody waits for the response any more: the connection is closed, and the receiver hears nothing more."""
        self._cancelled = True
        connection = self._connection
        self.over()
        if connection is not None:
            connection.abandon()

    def pause_response(self) -> None:
        """Read no more of the response for now."""
        if self._connection is not None:
            self._connection.pause_reading()

    def resume_response(self) -> None:
        """Go on reading."""
        if self._connection is not None:
            self._connection.resume_reading()

    def start_on(self, connection: UpstreamConnection, reused: bool) -> None:
        """The pool found a connection: send."""
        timings = self.timings
        timings.reused, timings.local, timings.peer = reused, connection.local, connection.peer
        self._connection = connection
        request = self.request
        ended = request.ended or self._pending_ended
        body = request.body
        resume = False
        if self._pending:
            body += b"".join(self._pending)
            resume = not self._pending_ended
            self._pending = None
        self.sent_at = time.perf_counter()
        connection.begin(self, request.head_bytes() + request.framed(body, ended) if body or request.chunked else request.head_bytes(), ended)
        if resume:
            self.receiver.request_resumed()

    def over(self) -> Receiver:
        """The connection is done with this call; who hears the last of it. The call forgets both, lest every request leave a cycle to the garbage collector."""
        receiver = self.receiver
        self._connection = None
        self.receiver = _NOBODY
        return receiver

    def failed(self, failure: Failure) -> None:
        """The connection failed; try again where that is right."""
        self._connection = None
        if self._cancelled:
            self.over()
            return
        request = self.request
        stale = failure.kind is FailureKind.CLOSED and self.timings.reused and not self.began
        if stale and self._pool.retry_stale and request.method in IDEMPOTENT_METHODS and request.ended:
            self._pool.send_fresh(self)
        else:
            self.over().response_failed(failure)

    @property
    def cancelled(self) -> bool:
        return self._cancelled
