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

from services.common.http.call import Call, Receiver, Timings, UpstreamRequest
from services.common.http.connection import UpstreamConnection
from services.common.http.failure import Failure, FailureKind, UpstreamError
from services.common.http.head import ResponseHead
from services.common.http.outbox import Outbox

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
    preface: bytes = b""
    """Sent first on each connection, before TLS."""


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

    `retry_stale`: see the module. `resolve`: for a destination with a name. `outstanding` counts requests in progress. With an `outbox`, writes are gathered.
    """

    def __init__(self, destination: Destination, tasks: asyncio.TaskGroup, *, retry_stale: bool = True, resolve: Resolve | None = None, head_limit_bytes: int = 32 * 1024, outbox: Outbox | None = None) -> None:
        self.destination = destination
        self.retry_stale = retry_stale
        self.outbox = outbox
        self.head_limit_bytes = head_limit_bytes
        self._tasks = tasks
        self._resolve = resolve
        self._idle: deque[UpstreamConnection] = deque()
        self._connections: set[UpstreamConnection] = set()
        self._closed = False

    def send(self, request: UpstreamRequest, receiver: Receiver) -> Call:
        """Send `request`, at once if a connection is idle (the one used last). Before this returns, `receiver` may
        hear `request_paused`, nothing else."""
        call = Call(self, request, receiver, Timings())
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
        self.cut()

    def cut(self) -> None:
        """Close every connection now, and go on with new ones."""
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
                if destination.preface:
                    await asyncio.get_running_loop().sock_sendall(sock, destination.preface)
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
