"""The client's side of the data path: one connection of a client, its requests in order, and their responses.

`ServerConnection` is an `asyncio.Protocol`. It parses what arrives, and hands one `Exchange` per request to the `Application`, in the order of
arrival and one at a time: a pipelined request waits until the response before it has been written. An application is called once all bytes
at hand are parsed, so that a short request comes whole (`Exchange.body`, `Exchange.ended`) and can be passed on in one write.

    bytes ─▶ parse ─▶ [exchange, exchange, …] ─▶ application.handle(first) ─▶ start / write / finish ─▶ next
                │
                └─ malformed, limits, unsupported ─▶ what came before is answered first, then `application.refuse`, then the end

Framing is decided here, in both directions; applications never see Content-Length's and Transfer-Encoding's work:
- a request with both, or with differing lengths, is 400; a transfer coding other than ``chunked`` is 501; a version other than 1.0 and 1.1 is 505;
- a response of unknown length is chunked to HTTP/1.1 clients and ends with the connection for HTTP/1.0;
- HEAD, 204 and 304 have no body; ``Expect: 100-continue`` is answered when the request's turn comes.

Invariants: a request on which parsing failed is never handed over unless its head was sound and some of its body had been streamed already;
bytes after an error are never parsed. NOT MODELLED: HTTP/2; trailers (dropped); methods that llhttp does not know (400).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import httptools

from services.common.http.deadline import Deadline
from services.common.http.head import BODILESS_STATUSES, Headers, HttpDate, RequestHead, fields_of, reason_phrase, serialise

WAITING_BODY_BYTES = 64 * 1024
WAITING_REQUESTS = 16
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_DATE = HttpDate()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Limits in bytes, AWS's for an ALB ("Quotas for your Application Load Balancers"); `idle_timeout_s` is already scaled."""

    idle_timeout_s: float = 60.0
    request_line_bytes: int = 16 * 1024
    header_bytes: int = 16 * 1024
    headers_bytes: int = 64 * 1024


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


class Exchange:
    """One request and its response.

    `head` is the request's; `body` what has arrived of its body before `events` was set and `ended` whether that is all of it.
    `upgrade` says that the client asks for a WebSocket. `received_at` is when the request's first bytes came (``perf_counter`` seconds).
    `status` is the one sent, 0 before; `sent_bytes` counts body bytes. `peer` and `local` are ``address:port``.
    """

    __slots__ = ("_chunked", "_dispatched", "_headless", "_started", "body", "connection", "ended", "events", "finished", "head", "keep_alive", "peer", "received_at", "sent_bytes", "status", "upgrade")

    def __init__(self, connection: ServerConnection, head: RequestHead, keep_alive: bool, received_at: float) -> None:
        self.connection = connection
        self.peer = connection.peer
        self._chunked = False
        self._headless = False
        self._started = False
        self._dispatched = False
        self.head = head
        self.keep_alive = keep_alive
        self.received_at = received_at
        self.body = b""
        self.ended = False
        self.events: RequestEvents | None = None
        self.finished = False
        self.upgrade = False
        self.status = 0
        self.sent_bytes = 0

    @property
    def started(self) -> bool:
        """Whether the response's head was sent."""
        return self._started

    def respond(self, status: int, headers: Headers, body: bytes = b"", *, reason: bytes | None = None) -> None:
        """Send a whole response. `headers` carry neither framing nor Connection; Date is added if missing."""
        self.start(status, headers, length=len(body), body=body, ended=True, reason=reason)

    def start(self, status: int, headers: Headers, *, length: int | None, body: bytes = b"", ended: bool = False, reason: bytes | None = None, date: bool = True) -> None:
        """Send the response's head and its first body bytes in one write.

        `length` is the whole body's in bytes, None if not known. For HEAD and 304 it is what Content-Length would have said; no body is sent whatever is given.
        `date` False: `headers` have a Date already.
        """
        connection, head = self.connection, self.head
        self._started = True
        self.status = status
        if connection.transport.is_closing():
            return
        lines = headers.copy()
        self._headless = head.method == b"HEAD" or status in BODILESS_STATUSES
        if length is not None:
            if status != 204:
                lines.append((b"Content-Length", b"%d" % length))
        elif not self._headless:
            if head.version == "1.1":
                self._chunked = True
                lines.append((b"Transfer-Encoding", b"chunked"))
            else:
                self.keep_alive = False
        if date:
            lines.append((b"Date", _DATE.at(time.time())))
        if connection.last:
            self.keep_alive = False
        lines.append((b"Connection", b"keep-alive" if self.keep_alive else b"close"))
        head_bytes = serialise(b"HTTP/1.1 %d %b" % (status, reason_phrase(status) if reason is None else reason), lines)
        if self._chunked or self._headless:
            head_bytes += self._framed(body, ended)
        elif body:
            self.sent_bytes = len(body)
            head_bytes += body
        connection.transport.write(head_bytes)
        if ended:
            self._end()

    def write(self, body: bytes) -> None:
        """More of the body."""
        framed = self._framed(body, False)
        if framed and not self.connection.transport.is_closing():
            self.connection.transport.write(framed)

    def finish(self, body: bytes = b"") -> None:
        """The last of the body; the exchange is over."""
        framed = self._framed(body, True)
        if framed and not self.connection.transport.is_closing():
            self.connection.transport.write(framed)
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
        self.connection.transport.write(serialise(b"HTTP/1.1 101 Switching Protocols", headers))
        self.connection.enter_tunnel(tunnel)

    def send_raw(self, data: bytes) -> None:
        """Bytes to the client, after `switch`."""
        self.sent_bytes += len(data)
        self.connection.touch()
        self.connection.transport.write(data)

    def close_tunnel(self) -> None:
        """End a switched connection when what was sent is out."""
        self.finished = True
        self.connection.transport.close()

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


class _Refused(Exception):
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class ServerConnection(asyncio.Protocol):
    """One client's connection. `peer` and `local` are ``address:port``, `peer_address` is the address alone; `opened_at` is ``perf_counter`` seconds; `last` set: close after the next response."""

    def __init__(self, application: Application, settings: ServerSettings, on_lost: Callable[[ServerConnection], None] | None = None) -> None:
        self.transport: asyncio.Transport = None  # type: ignore[assignment]  # set before anything else happens
        self.peer = ""
        self.peer_address = b""
        self.local = ""
        self.last = False
        self.opened_at = time.perf_counter()
        self._application = application
        self._settings = settings
        self._on_lost = on_lost
        self._parser: Any = httptools.HttpRequestParser(self)
        self._pipeline: deque[Exchange] = deque()
        self._incoming: Exchange | None = None
        self._deadline: Deadline
        self._url = b""
        self._headers: Headers = []
        self._parts: list[bytes] = []
        self._begun = False
        self._begun_at = 0.0
        self._now = 0.0
        self._head_bytes = 0
        self._feed_bytes = 0
        self.advancing = False
        self._reading_paused = False
        self._refusal: _Refused | None = None
        self._deaf = False
        self._held: bytes | None = None
        self._tunnel: Callable[[bytes], None] | None = None
        self._resumed_body = False

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.peer = _endpoint(transport.get_extra_info("peername"))
        self.peer_address = self.peer.rpartition(":")[0].encode()
        self.local = _endpoint(transport.get_extra_info("sockname"))
        self._deadline = Deadline(self._settings.idle_timeout_s, self._idle)

    def connection_lost(self, error: Exception | None) -> None:
        self._deadline.cancel()
        self._deaf = True
        pipeline, self._pipeline = self._pipeline, deque()
        for exchange in pipeline:
            if exchange._dispatched and exchange.events is not None and not exchange.finished:
                exchange.finished = True
                exchange.events.request_aborted()
        if self._on_lost is not None:
            self._on_lost(self)

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        self._deadline.last = self._now = time.perf_counter()
        if self._tunnel is not None:
            self._tunnel(data)
        elif self._held is not None:
            self._held += data
            self.pause_reading()
        else:
            self._parse(data)

    def pause_writing(self) -> None:
        if self._pipeline and (events := self._pipeline[0].events) is not None:
            events.response_paused()

    def resume_writing(self) -> None:
        if self._pipeline and (events := self._pipeline[0].events) is not None:
            events.response_resumed()

    # -- httptools

    def on_url(self, url: bytes) -> None:
        if self._begun:
            self._url += url
        elif not self._resumed_body:
            self._begun = True
            self._begun_at = self._now
            self._url = url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._begun:  # not a trailer
            self._headers.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        if self._resumed_body:
            return
        parser, url, headers = self._parser, self._url, self._headers
        self._headers, self._begun = [], False
        if self._head_bytes + self._feed_bytes > self._settings.request_line_bytes:
            self._check_limits(url, headers)
        self._head_bytes = 0
        head = RequestHead(parser.get_method(), url, parser.get_http_version(), headers, fields_of(headers))
        self._check_head(head)
        exchange = Exchange(self, head, parser.should_keep_alive(), self._begun_at)
        self._incoming = exchange
        self._pipeline.append(exchange)
        if parser.should_upgrade():
            exchange.upgrade = head.fields.get(b"upgrade", b"").lower() == b"websocket"

    def on_body(self, data: bytes) -> None:
        self._parts.append(data)

    def on_message_complete(self) -> None:
        exchange = self._incoming
        if exchange is None:
            return
        if not exchange.upgrade and not self._resumed_body and self._parser.should_upgrade() and _has_body(exchange.head):
            return  # the parser skips a body where it sees an upgrade; `_resume_body` reads it
        if self._parts:
            self._deliver(exchange, True)
        elif exchange.events is not None:
            exchange.ended = True
            exchange.events.request_continued(b"", True)
        else:
            exchange.ended = True
        self._incoming = None
        self._resumed_body = False

    # -- what exchanges and applications ask

    def touch(self) -> None:
        """There was a sign of life."""
        self._deadline.touch()

    def pause_reading(self) -> None:
        if not self._reading_paused and not self.transport.is_closing():
            self._reading_paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if self._reading_paused and not self.transport.is_closing():
            self._reading_paused = False
            self.transport.resume_reading()

    def enter_tunnel(self, tunnel: Callable[[bytes], None]) -> None:
        """From now on bytes go to `tunnel` as they come."""
        held, self._held = self._held, None
        self._tunnel = tunnel
        if held:
            tunnel(held)
        self.resume_reading()

    def exchange_finished(self, exchange: Exchange) -> None:
        """`exchange`'s response is out."""
        self._deadline.touch()
        if not exchange.ended:
            self.resume_reading()
        if not self.advancing:
            self._advance()

    def drain(self) -> None:
        """Close as soon as nothing is in progress: at once, or after the response that is."""
        self.last = True
        if not self._pipeline and not self._begun and not self.transport.is_closing():
            self.transport.close()

    @property
    def idle(self) -> bool:
        """Whether no request is in progress."""
        return not self._pipeline

    # -- parsing

    def _parse(self, data: bytes) -> None:
        while data:
            self._feed_bytes = len(data)
            try:
                self._parser.feed_data(data)
                data = b""
            except httptools.HttpParserUpgrade as upgrade:
                data = data[upgrade.args[0] :]
                if self._pipeline and self._pipeline[-1].upgrade:
                    self._held = data
                    break
                if self._incoming is not None:
                    self._resume_body(self._incoming)
            except httptools.HttpParserError as error:
                self._fail(error)
                break
        if self._parts and self._incoming is not None:
            self._deliver(self._incoming, False)
        if self._begun:
            self._head_bytes += self._feed_bytes
            if self._head_bytes > self._settings.request_line_bytes and self._refusal is None:
                self._check_unfinished_head()
        self._advance()

    def _resume_body(self, exchange: Exchange) -> None:
        """Read the body of a request whose upgrade we ignore: a new parser is told its framing again, without the upgrade."""
        length = exchange.head.fields.get(b"content-length")
        framing = b"Transfer-Encoding: chunked" if length is None else b"Content-Length: " + length
        self._resumed_body = True
        self._parser = httptools.HttpRequestParser(self)
        self._parser.feed_data(b"POST / HTTP/1.1\r\nHost: x\r\n" + framing + b"\r\n\r\n")

    def _deliver(self, exchange: Exchange, ended: bool) -> None:
        parts, self._parts = self._parts, []
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        exchange.ended = ended
        if exchange.finished:
            return  # answered already: what is left of the body is read and forgotten
        if exchange.events is not None:
            exchange.events.request_continued(body, ended)
        else:
            exchange.body += body
            if len(exchange.body) > WAITING_BODY_BYTES:
                self.pause_reading()

    def _check_limits(self, url: bytes, headers: Headers) -> None:
        settings = self._settings
        if len(url) > settings.request_line_bytes:
            raise _Refused(414, "request line too long")
        if any(len(name) + len(value) > settings.header_bytes for name, value in headers):
            raise _Refused(413, "a header is too long")
        if sum(len(name) + len(value) + 4 for name, value in headers) > settings.headers_bytes:
            raise _Refused(413, "the headers are too long")

    def _check_unfinished_head(self) -> None:
        try:
            self._check_limits(self._url, self._headers)
            if self._head_bytes > self._settings.request_line_bytes + self._settings.headers_bytes:
                raise _Refused(413, "the headers are too long")
        except _Refused as refused:
            self._stop(refused)

    def _check_head(self, head: RequestHead) -> None:
        fields = head.fields
        if head.version not in ("1.1", "1.0"):
            raise _Refused(400 if head.version == "0.9" else 505, f"HTTP/{head.version}")
        coding = fields.get(b"transfer-encoding")
        if coding is not None:
            if head.version == "1.0":
                raise _Refused(400, "Transfer-Encoding in HTTP/1.0")
            if coding.lower() != b"chunked":
                raise _Refused(501, "unsupported Transfer-Encoding")
        host = fields.get(b"host")
        if host is None:
            if head.version == "1.1":
                raise _Refused(400, "no Host")
        elif b"," in host or b" " in host or b"/" in host:
            raise _Refused(400, "not one Host")
        if head.method == b"CONNECT":
            raise _Refused(405, "CONNECT")

    def _fail(self, error: httptools.HttpParserError) -> None:
        cause = error.__context__
        if isinstance(error, httptools.HttpParserCallbackError) or isinstance(cause, _Refused):
            if not isinstance(cause, _Refused):
                raise error
            self._stop(cause)
        elif self._incoming is None and not self._begun and self._pipeline and not self._pipeline[-1].keep_alive:
            self._deaf = True  # bytes after a request that said Connection: close
        else:
            self._stop(_Refused(505 if "version" in str(error) and "HTTP" in str(error) and "Invalid" in str(error) else 400, str(error)))

    def _stop(self, refusal: _Refused) -> None:
        """Parse no more; refuse once what came before is answered."""
        self._refusal = refusal
        self._deaf = True
        self._parts = []
        exchange, self._incoming = self._incoming, None
        if exchange is None:
            return
        if exchange._dispatched and exchange.events is not None and not exchange.finished:
            exchange.finished = True
            exchange.events.request_aborted()
        self._pipeline.remove(exchange)
        if exchange._started:
            self._refusal = None
            self.transport.abort()

    # -- the order of exchanges

    def _advance(self) -> None:
        self.advancing = True
        pipeline = self._pipeline
        try:
            while pipeline:
                exchange = pipeline[0]
                if not exchange._dispatched:
                    exchange._dispatched = True
                    if not exchange.ended:
                        self.resume_reading()
                    if not exchange.ended and exchange.head.version == "1.1" and exchange.head.fields.get(b"expect", b"").lower() == b"100-continue" and not exchange.body:
                        self.transport.write(_CONTINUE)
                    self._application.handle(exchange)
                if not exchange.finished or not (exchange.ended or self.transport.is_closing()):
                    break
                pipeline.popleft()
                if not exchange.keep_alive:
                    self._deaf = True
                    pipeline.clear()
                    self._refusal = None
                    self.transport.close()
                    return
                if exchange.upgrade and self._held is not None:
                    self._reparse()
        finally:
            self.advancing = False
        if not pipeline and self._refusal is not None:
            self._refuse(self._refusal)
        elif len(pipeline) > WAITING_REQUESTS:
            self.pause_reading()
        elif self._reading_paused and not pipeline:
            self.resume_reading()

    def _reparse(self) -> None:
        """A WebSocket was asked for and not granted: what followed is HTTP after all."""
        held, self._held = self._held, None
        if held:
            asyncio.get_running_loop().call_soon(self.data_received, held)

    def _refuse(self, refusal: _Refused) -> None:
        self._refusal = None
        self._deaf = True
        if self.transport.is_closing():
            return
        headers, body = self._application.refuse(self, refusal.status, refusal.reason)
        lines = [*headers, (b"Content-Length", b"%d" % len(body)), (b"Date", _DATE.at(time.time())), (b"Connection", b"close")]
        self.transport.write(serialise(b"HTTP/1.1 %d %b" % (refusal.status, reason_phrase(refusal.status)), lines) + body)
        self.transport.close()

    def _idle(self) -> None:
        if self._tunnel is not None:
            self.transport.close()
        elif self._pipeline and self._pipeline[0].finished:  # the rest of a body that nobody reads did not come
            self.transport.abort()
        elif self._pipeline:
            self._deadline.restart(self._settings.idle_timeout_s)  # the application's wait, with its own timers
        elif self._begun:
            self._stop(_Refused(408, "the client was silent in the middle of a request"))
            self._advance()
        else:
            self.transport.close()


def _has_body(head: RequestHead) -> bool:
    return head.fields.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in head.fields


def _endpoint(name: tuple[str, int] | None) -> str:
    return f"{name[0]}:{name[1]}" if name else ""
