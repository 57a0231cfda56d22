"""One request of a client and its response, as an application sees them; and what an application must offer.

An application hears nothing of framing: it gives a status, headers and a length if it knows one, and `Exchange` writes Content-Length, chunks, Connection
and Date, or leaves the body out where there must be none (HEAD, 204, 304). Order and parsing are `server`'s.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import msgspec

from services.common.http.head import BODILESS_STATUSES, Headers, HttpDate, RequestHead, field_lines, reason_phrase, serialise

if TYPE_CHECKING:
    from services.common.http.server import ServerConnection

DATE = HttpDate()
_KEEP_ALIVE = b"Connection: keep-alive\r\n\r\n"
_CLOSE = b"Connection: close\r\n\r\n"


class RequestEvents(Protocol):
    """What an application hears of an exchange after `handle`; set as `Exchange.events`."""

    def request_continued(self, body: bytes, ended: bool) -> None:
        """More of the request's body; `ended` with the last of it."""

    def request_aborted(self) -> None:
        """The client is gone, or its body was malformed: nothing more can be answered. Called at most once, never after the response's end."""

    def response_paused(self) -> None:
        """The client reads slowly: stop producing until `response_resumed`."""

    def response_resumed(self) -> None:
        """The client caught up."""


class Application(Protocol):
    """What answers requests."""

    def handle(self, exchange: Exchange) -> None:
        """A request's turn has come. Answer at once or later (`Exchange.respond`, or `start`/`write`/`finish`); set `events` if the body or the client's end matter."""

    def refuse(self, connection: ServerConnection, status: int, reason: str) -> tuple[Headers, bytes]:
        """The headers and body for a request that could not be parsed (`reason` is for the log)."""


class Exchange(msgspec.Struct, eq=False):
    """One request and its response.

    `head` is the request's; `body` what has arrived of its body before `events` was set and `ended` whether that is all of it.
    `upgrade` says that the client asks for a WebSocket. `received_at` is when the request's first bytes came (``perf_counter`` seconds).
    `status` is the one sent, 0 before; `finished` that the response is out; `dispatched` is `server`'s; `sent_bytes` counts body bytes sent, `head_bytes`
    those of the response's head, `body_bytes` those of the request's body that arrived.
    """

    connection: ServerConnection
    head: RequestHead
    keep_alive: bool
    received_at: float
    body: bytes = b""
    ended: bool = False
    events: RequestEvents | None = None
    dispatched: bool = False
    finished: bool = False
    upgrade: bool = False
    status: int = 0
    sent_bytes: int = 0
    head_bytes: int = 0
    body_bytes: int = 0
    _chunked: bool = False
    _headless: bool = False
    _started: bool = False

    @property
    def peer(self) -> str:
        """The client's ``address:port``."""
        return self.connection.peer

    @property
    def received_bytes(self) -> int:
        """The request's size: its head as it was parsed, and its body."""
        head = self.head
        return len(head.method) + len(head.target) + len(b"  HTTP/1.1\r\n\r\n") + sum(len(name) + len(value) + len(b": \r\n") for name, value in head.headers) + self.body_bytes

    @property
    def started(self) -> bool:
        """Whether the response's head was sent."""
        return self._started

    def respond(self, status: int, headers: Headers, body: bytes = b"", *, reason: bytes | None = None) -> None:
        """Send a whole response. `headers` carry neither framing nor Connection; Date is added if missing."""
        self.start(status, headers, length=len(body), body=body, ended=True, reason=reason)

    def start(self, status: int, headers: Headers, *, length: int | None, body: bytes = b"", ended: bool = False, reason: bytes | None = None, date: bool = True, lines: bytes = b"") -> None:
        """Send the response's head and its first body bytes in one write. `lines` are more fields, on the wire's form, each with its end.

        `length` is the whole body's in bytes, None if not known. For HEAD and 304 it is what Content-Length would have said; no body is sent whatever is given.
        `date` False: `headers` have a Date already.
        """
        connection, head = self.connection, self.head
        self._started = True
        self.status = status
        if connection.transport.is_closing():
            return
        fields = headers.copy()
        self._headless = head.method == b"HEAD" or status in BODILESS_STATUSES
        if length is not None:
            if status != 204:
                fields.append((b"Content-Length", b"%d" % length))
        elif not self._headless:
            if head.version == "1.1":
                self._chunked = True
                fields.append((b"Transfer-Encoding", b"chunked"))
            else:
                self.keep_alive = False
        if date:
            fields.append((b"Date", DATE.at(time.time())))
        self._send(b"HTTP/1.1 %d %b\r\n%b%b" % (status, reason_phrase(status) if reason is None else reason, field_lines(fields), lines), body, ended)

    def pass_on(self, status: int, head_lines: bytes, body: bytes = b"", ended: bool = False) -> None:
        """Send a response of known length whose head, but for Connection, is on the wire's form already: `head_lines`, from the status line on."""
        self._started = True
        self.status = status
        if self.connection.transport.is_closing():
            return
        self._headless = self.head.method == b"HEAD" or status in BODILESS_STATUSES
        self._send(head_lines, body, ended)

    def _send(self, head_lines: bytes, body: bytes, ended: bool) -> None:
        connection = self.connection
        if connection.last:
            self.keep_alive = False
        data = head_lines + (_KEEP_ALIVE if self.keep_alive else _CLOSE)
        self.head_bytes = len(data)
        if self._chunked or self._headless:
            data += self._framed(body, ended)
        elif body:
            self.sent_bytes = len(body)
            data += body
        connection.write(data)
        if ended:
            self._end()

    def write(self, body: bytes) -> None:
        """More of the body."""
        framed = self._framed(body, False)
        if framed and not self.connection.transport.is_closing():
            self.connection.write(framed)

    def finish(self, body: bytes = b"") -> None:
        """The last of the body; the exchange is over."""
        framed = self._framed(body, True)
        if framed and not self.connection.transport.is_closing():
            self.connection.write(framed)
        self._end()

    def abort(self) -> None:
        """Close the connection at once: the response cannot be completed, and the client must see that."""
        self.finished = True
        self.connection.transport.abort()

    def close_after(self) -> None:
        """End the connection after this response. Before `start`."""
        self.keep_alive = False

    def pause_request(self) -> None:
        """Read no more of the request's body for now."""
        self.connection.pause_reading()

    def resume_request(self) -> None:
        """Go on reading."""
        self.connection.resume_reading()

    def switch(self, headers: Headers, tunnel: Callable[[bytes], None]) -> None:
        """Answer 101 with `headers` as they stand; from then on `tunnel` gets the client's bytes, and `send_raw` sends. Ends with `request_aborted`."""
        self._started = True
        self.status = 101
        self.connection.write(serialise(b"HTTP/1.1 101 Switching Protocols", headers))
        self.connection.enter_tunnel(tunnel)

    def send_raw(self, data: bytes) -> None:
        """Bytes to the client, after `switch`."""
        self.sent_bytes += len(data)
        self.connection.touch()
        if not self.connection.transport.is_closing():
            self.connection.write(data)

    def close_tunnel(self) -> None:
        """End a switched connection when what was sent is out."""
        self.finished = True
        self.connection.close()

    def _framed(self, body: bytes, ended: bool) -> bytes:
        if self._headless:
            return b""
        self.sent_bytes += len(body)
        if not self._chunked:
            return body
        chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
        return chunk + b"0\r\n\r\n" if ended else chunk

    def _end(self) -> None:
        self.finished = True
        self.events = None  # it may hold this exchange: no cycle for the garbage collector
        connection = self.connection
        if not connection.advancing or not self.ended:
            connection.exchange_finished(self)
