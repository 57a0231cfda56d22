"""The other side of the data path: requests to a target or an origin over kept connections.

One `UpstreamPool` per destination. `send` takes an idle connection, or opens one, and tells a `Receiver` what comes; `fetch` waits for a whole response.
A response's events come once per read from the socket: a short response is one call, `response_started(head, body, ended=True)`.

    send ─▶ idle connection? ─yes─▶ write
                └─no─▶ resolve ─▶ connect ─▶ TLS (SNI) ─▶ write      each with its own timeout, each timed

Refusal and reset are told apart from silence (`Failure.status`: 502 or 504). A connection that the other side closed while it was idle is found
out by the request that uses it: with `retry_stale`, an idempotent request whose body is at hand is sent once more on a fresh connection; without (an
ALB: "the classic 502"), it fails. No connection is opened before it is needed ("How Elastic Load Balancing works", documented).
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from services.common.http.connection import UpstreamConnection
from services.common.http.failure import Failure, FailureKind, UpstreamError
from services.common.http.head import IDEMPOTENT_METHODS, Headers, ResponseHead, serialise

Resolve = Callable[[str], Awaitable[Sequence[str]]]
"""A name's IPv4 addresses. Raises OSError if there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds, already scaled. `response_s` is the longest silence while a response is awaited or read; `idle_s` how long an unused connection is kept."""

    connect_s: float = 10.0
    tls_s: float = 10.0
    response_s: float = 60.0
    idle_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where to connect. `host` is an IPv4 address, or a name if the pool can resolve. With `tls`, `server_name` goes into SNI and is what the certificate must
    be for, where `tls` verifies. `connect_attempts` in all, over the name's addresses in turn."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    server_name: str | None = None
    timeouts: Timeouts = Timeouts()
    connect_attempts: int = 1


@dataclass(slots=True)
class UpstreamRequest:
    """A request to send. `headers` carry neither framing nor hop-by-hop fields, but Host. `body` is what is at hand, `ended` whether it is all.

    A value that nobody changes once it is sent; not frozen only because that would cost on the hot path. `content_length` frames the body; None means chunked if `chunked`, else no body at all. `upgrade` asks for a WebSocket.
    """

    method: bytes
    target: bytes
    headers: Headers
    body: bytes = b""
    ended: bool = True
    content_length: int | None = None
    chunked: bool = False
    upgrade: bool = False
    close: bool = False

    def head_bytes(self) -> bytes:
        """The head on the wire."""
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
        return serialise(b"%b %b HTTP/1.1" % (self.method, self.target), headers)

    def framed(self, body: bytes, ended: bool) -> bytes:
        """`body` as it goes on the wire."""
        if not self.chunked:
            return body
        chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
        return chunk + b"0\r\n\r\n" if ended else chunk


@dataclass(slots=True)
class Timings:
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


class Call:
    """One request on its way. `timings` fill in as it goes."""

    # `began` and `sent_at` are the connection's to keep: whether the head has come, and when the request left (``perf_counter``)
    __slots__ = ("_cancelled", "_connection", "_pending", "_pending_ended", "_pool", "began", "receiver", "request", "sent_at", "timings")

    def __init__(self, pool: UpstreamPool, request: UpstreamRequest, receiver: Receiver) -> None:
        self._pool = pool
        self._connection: UpstreamConnection | None = None
        self._cancelled = False
        self._pending: list[bytes] = []
        self._pending_ended = False
        self.request = request
        self.receiver = receiver
        self.timings = Timings()
        self.sent_at = 0.0
        self.began = False

    def write(self, body: bytes, ended: bool) -> None:
        """More of the request's body (or of the tunnel)."""
        if self._connection is not None:
            self._connection.send_body(self.request.framed(body, ended), ended)
        elif not self._cancelled:
            self._pending.append(body)
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
            self._pending = []
        self.sent_at = time.perf_counter()
        connection.begin(self, request.head_bytes() + request.framed(body, ended), ended)
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


@dataclass(slots=True, kw_only=True)
class WholeResponse:
    """A response read to its end, and what its parts took."""

    head: ResponseHead
    body: bytes
    timings: Timings


@dataclass(slots=True)
class _Whole:
    """A receiver that gathers."""

    done: asyncio.Future[None]
    limit: int
    parts: list[bytes] = field(default_factory=list)
    head: ResponseHead | None = None
    size: int = 0

    def response_started(self, head: ResponseHead, body: bytes, ended: bool) -> None:
        self.head = head
        self.response_continued(body, ended)

    def response_continued(self, body: bytes, ended: bool) -> None:
        self.parts.append(body)
        self.size += len(body)
        if self.done.done():
            return
        if self.size > self.limit:
            self.done.set_exception(UpstreamError(Failure(kind=FailureKind.MALFORMED, detail=f"a body of more than {self.limit} bytes")))
        elif ended:
            self.done.set_result(None)

    def response_failed(self, failure: Failure) -> None:
        if not self.done.done():
            self.done.set_exception(UpstreamError(failure))

    def request_paused(self) -> None:
        """All of the body was given at once."""

    def request_resumed(self) -> None:
        """All of the body was given at once."""


class UpstreamPool:
    """Connections to one destination. `tasks` is the daemon's task group: opening a connection is a task in it. `source` binds the local address.

    `retry_stale`: see the module. `resolve`: for a destination with a name. `outstanding` counts requests in progress.
    """

    def __init__(self, destination: Destination, tasks: asyncio.TaskGroup, *, retry_stale: bool = True, resolve: Resolve | None = None, head_limit_bytes: int = 32 * 1024) -> None:
        self.destination = destination
        self.retry_stale = retry_stale
        self.head_limit_bytes = head_limit_bytes
        self._tasks = tasks
        self._resolve = resolve
        self._idle: deque[UpstreamConnection] = deque()
        self._connections: set[UpstreamConnection] = set()
        self._closed = False

    def send(self, request: UpstreamRequest, receiver: Receiver) -> Call:
        """Send `request`, at once if a connection is idle (the one used last). Before this returns, `receiver` may
        hear `request_paused`, nothing else."""
        call = Call(self, request, receiver)
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                call.start_on(connection, True)
                return call
        self.send_fresh(call)
        return call

    def send_fresh(self, call: Call) -> None:
        """Send `call` on a new connection."""
        self._tasks.create_task(self._open_for(call))

    async def fetch(self, request: UpstreamRequest, *, limit_bytes: int = 1 << 30) -> WholeResponse:
        """A whole response. Raises `UpstreamError`. Cancelling it closes the connection."""
        whole = _Whole(asyncio.get_running_loop().create_future(), limit_bytes)
        call = self.send(request, whole)
        try:
            await whole.done
        except BaseException:
            call.cancel()
            raise
        assert whole.head is not None
        return WholeResponse(head=whole.head, body=b"".join(whole.parts), timings=call.timings)

    def release(self, connection: UpstreamConnection) -> None:
        """`connection` may serve the next request."""
        if self._closed:
            connection.close()
        else:
            self._idle.append(connection)

    def lost(self, connection: UpstreamConnection) -> None:
        """`connection` is gone."""
        self._connections.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    def close(self) -> None:
        """Close idle connections now and others after their response."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def abort(self) -> None:
        """Close every connection now."""
        self.close()
        for connection in tuple(self._connections):
            connection.close()

    @property
    def outstanding(self) -> int:
        return len(self._connections) - len(self._idle)

    async def _open_for(self, call: Call) -> None:
        try:
            connection = await self._open(call.timings)
        except UpstreamError as error:
            call.failed(error.failure)
            return
        if call.cancelled:
            connection.close()
        else:
            call.start_on(connection, False)

    async def _open(self, timings: Timings) -> UpstreamConnection:
        destination = self.destination
        addresses: Sequence[str] = (destination.host,)
        if self._resolve is not None:
            begun = time.perf_counter()
            try:
                addresses = await self._resolve(destination.host)
            except OSError as error:
                raise UpstreamError(Failure(kind=FailureKind.NAME_UNRESOLVED, detail=f"{destination.host}: {error}")) from error
            timings.dns_ms = (time.perf_counter() - begun) * 1000
        for attempt in range(1, destination.connect_attempts + 1):
            try:
                return await self._connect(addresses[(attempt - 1) % len(addresses)], timings)
            except UpstreamError:
                if attempt == destination.connect_attempts:
                    raise
        raise ValueError(f"connect_attempts is {destination.connect_attempts}")

    async def _connect(self, address: str, timings: Timings) -> UpstreamConnection:
        destination, loop = self.destination, asyncio.get_running_loop()
        timings.peer = f"{address}:{destination.port}"
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            await self._connect_socket(sock, address, timings)
            if destination.tls is None:
                _, connection = await loop.create_connection(self._connection, sock=sock)
            else:
                connection = await self._connect_tls(sock, destination.tls, timings)
        except BaseException:
            sock.close()
            raise
        self._connections.add(connection)
        return connection

    async def _connect_socket(self, sock: socket.socket, address: str, timings: Timings) -> None:
        destination, begun = self.destination, time.perf_counter()
        where = f"{address}:{destination.port}"
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            async with asyncio.timeout(destination.timeouts.connect_s):
                await asyncio.get_running_loop().sock_connect(sock, (address, destination.port))
        except TimeoutError as error:  # ours, or the kernel's ETIMEDOUT
            raise UpstreamError(Failure(kind=FailureKind.CONNECT_TIMEOUT, detail=where)) from error
        except OSError as error:
            raise UpstreamError(Failure(kind=FailureKind.REFUSED, detail=f"{where}: {error.strerror}")) from error
        finally:
            timings.connect_ms = (time.perf_counter() - begun) * 1000

    async def _connect_tls(self, sock: socket.socket, context: ssl.SSLContext, timings: Timings) -> UpstreamConnection:
        destination, begun = self.destination, time.perf_counter()
        limit = destination.timeouts.tls_s
        try:
            async with asyncio.timeout(limit):
                _, connection = await asyncio.get_running_loop().create_connection(
                    self._connection, sock=sock, ssl=context, server_hostname=destination.server_name or destination.host, ssl_handshake_timeout=limit + 5
                )
        except TimeoutError as error:
            raise UpstreamError(Failure(kind=FailureKind.TLS_TIMEOUT, detail=timings.peer)) from error
        except (OSError, ssl.SSLError) as error:
            raise UpstreamError(Failure(kind=FailureKind.TLS_FAILED, detail=f"{timings.peer}: {error}")) from error
        finally:
            timings.tls_ms = (time.perf_counter() - begun) * 1000
        return connection

    def _connection(self) -> UpstreamConnection:
        timeouts = self.destination.timeouts
        return UpstreamConnection(self, timeouts.response_s, timeouts.idle_s, self.head_limit_bytes)
