"""The client's side of the data path: one connection of a client, its requests in order, and their responses.

`ServerConnection` is an `asyncio.Protocol`. It parses what arrives, and hands one `Exchange` per request to the `Application`, in the order of
arrival and one at a time: a pipelined request waits until the response before it has been written. An application is called once all bytes
at hand are parsed, so that a short request comes whole (`Exchange.body`, `Exchange.ended`) and can be passed on in one write.

    bytes ─▶ parse ─▶ [exchange, exchange, …] ─▶ application.handle(first) ─▶ start / write / finish ─▶ next
                │
                └─ malformed, limits, unsupported ─▶ what came before is answered first, then `application.refuse`, then the end

Framing is decided here, in both directions; applications never see Content-Length's and Transfer-Encoding's work:
- a request with both is 400 unless the settings take it (then its chunks count), one with differing lengths always; a transfer coding other than ``chunked`` is 501; a version other than 1.0 and 1.1 is 505;
- a response of unknown length is chunked to HTTP/1.1 clients and ends with the connection for HTTP/1.0;
- HEAD, 204 and 304 have no body; ``Expect: 100-continue`` is answered when the request's turn comes.

Invariants: a request on which parsing failed is never handed over unless its head was sound and some of its body had been streamed already;
bytes after an error are never parsed. HTTP/2 is `http2`'s. NOT MODELLED: trailers (dropped); methods that llhttp does not know (400).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import httptools

from services.common.http.admission import Refused, ServerSettings, check_head, check_limits, has_body
from services.common.http.deadline import Deadline
from services.common.http.exchange import DATE, Application, Exchange
from services.common.http.head import Headers, RequestHead, fields_of, reason_phrase, serialise
from services.common.http.outbox import Outbox
from services.common.http.repeat import Repeatable, repeatable
from services.common.http.transport import endpoint, server_name_of, tls_of

WAITING_BODY_BYTES = 64 * 1024
WAITING_REQUESTS = 16
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class ServerConnection(asyncio.Protocol):
    """One client's connection. `peer` and `local` are ``address:port``, `peer_address` is the address alone; `opened_at` is ``perf_counter`` seconds; `last` set: close after the next response; `id` is random, for logs. With an `outbox`, `write` gathers."""

    __slots__ = (
        "_application", "_begun", "_begun_at", "_deadline", "_deaf", "_feed_bytes", "_head_bytes", "_headers", "_held", "_incoming", "_now",
        "_on_lost", "_outbox", "_parser", "_parts", "_pipeline", "_reading_paused", "_refusal", "_repeatable", "_resumed_body", "_settings",
        "_tunnel", "_url", "advancing", "id", "last", "local", "opened_at", "peer", "peer_address", "transport", "write",
    )  # fmt: skip

    def __init__(self, application: Application, settings: ServerSettings, on_lost: Callable[[ServerConnection], None] | None = None, outbox: Outbox | None = None) -> None:
        self.transport: asyncio.Transport = None  # type: ignore[assignment]  # set before anything else happens
        self.peer = ""
        self.peer_address = b""
        self.local = ""
        self.last = False
        self.id = random.getrandbits(128)
        self.opened_at = time.perf_counter()
        self._application = application
        self._settings = settings
        self._on_lost = on_lost
        self._outbox = outbox
        self.write: Callable[[bytes], None]
        self._parser: Any = self._new_parser()
        self._pipeline: deque[Exchange] = deque()
        self._incoming: Exchange | None = None
        self._deadline: Deadline
        self._url = b""
        self._headers: Headers = []
        self._parts: list[bytes] = []
        self._begun = False
        self._begun_at = 0.0
        self._now = 0.0
        self._repeatable: Repeatable | None = None
        self._head_bytes = 0
        self._feed_bytes = 0
        self.advancing = False
        self._reading_paused = False
        self._refusal: Refused | None = None
        self._deaf = False
        self._held: bytes | None = None
        self._tunnel: Callable[[bytes], None] | None = None
        self._resumed_body = False

    def _new_parser(self) -> Any:
        parser = httptools.HttpRequestParser(self)
        if self._settings.both_lengths:
            parser.set_dangerous_leniencies(lenient_chunked_length=True)
        return parser

    @property
    def tls(self) -> tuple[bytes, bytes] | None:
        """The TLS version and cipher suite of the connection, by OpenSSL's names (``TLSv1.3``); None without TLS."""
        return tls_of(self.transport)

    @property
    def server_name(self) -> str | None:
        """The name that the client asked for by SNI, where the listener's callback has noted it (`note_server_name`)."""
        return server_name_of(self.transport)

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.write = self.transport.write if self._outbox is None else self._outbox.writer(self.transport)
        self.peer = endpoint(transport.get_extra_info("peername"))
        self.peer_address = self.peer.rpartition(":")[0].encode()
        self.local = endpoint(transport.get_extra_info("sockname"))
        self._deadline = Deadline(self._settings.idle_timeout_s, self._idle)

    def connection_lost(self, error: Exception | None) -> None:
        self._deadline.cancel()
        self._deaf = True
        pipeline, self._pipeline = self._pipeline, deque()
        for exchange in pipeline:
            if exchange.dispatched and exchange.events is not None and not exchange.finished:
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
        elif (known := self._repeatable) is not None and not self._pipeline and len(data) < self._settings.request_line_bytes and (head := known.read(data)) is not None:
            exchange = Exchange(self, head, True, self._now)
            exchange.ended = True
            self._pipeline.append(exchange)
            self._advance()
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
            check_limits(url, headers, self._settings)
        self._head_bytes = 0
        head = RequestHead(parser.get_method(), url, parser.get_http_version(), headers, fields_of(headers))
        check_head(head)
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
        if not exchange.upgrade and not self._resumed_body and self._parser.should_upgrade() and has_body(exchange.head):
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

    def close(self) -> None:
        """Close when what was written is out."""
        if self._outbox is not None:
            self._outbox.flush()
        self.transport.close()

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
        self._deadline.last = time.perf_counter()
        if not exchange.ended:
            self.resume_reading()
        if self.advancing:
            return
        pipeline = self._pipeline
        if len(pipeline) == 1 and pipeline[0] is exchange and exchange.keep_alive and exchange.ended and not (self._refusal or self._held or self._reading_paused):
            pipeline.clear()  # what `_advance` would do, nearly always
        else:
            self._advance()

    def drain(self) -> None:
        """Close as soon as nothing is in progress: at once, or after the response that is."""
        self.last = True
        if not self._pipeline and not self._begun and not self.transport.is_closing():
            self.close()

    # -- parsing

    def _parse(self, data: bytes) -> None:
        fed, at_rest, self._repeatable = data, not self._pipeline and not self._begun, None
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
        pipeline = self._pipeline
        if at_rest and len(pipeline) == 1 and pipeline[0].ended and pipeline[0].keep_alive and not self._deaf and not self._begun:
            pipeline[0].head.repeatable = self._repeatable = repeatable(fed, pipeline[0].head)
        if self._begun:
            self._head_bytes += self._feed_bytes
            if self._head_bytes > self._settings.request_line_bytes and self._refusal is None:
                self._check_unfinished_head()
        self._advance()

    def _resume_body(self, exchange: Exchange) -> None:
        """Read the body of a request whose upgrade we ignore: a new parser is told its framing again, without the upgrade."""
        fields = exchange.head.fields
        framing = b"Transfer-Encoding: chunked" if b"transfer-encoding" in fields else b"Content-Length: " + fields[b"content-length"].partition(b",")[0]
        self._resumed_body = True
        self._parser = self._new_parser()
        self._parser.feed_data(b"POST / HTTP/1.1\r\nHost: x\r\n" + framing + b"\r\n\r\n")

    def _deliver(self, exchange: Exchange, ended: bool) -> None:
        parts, self._parts = self._parts, []
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        exchange.body_bytes += len(body)
        exchange.ended = ended
        if exchange.finished:
            return  # answered already: what is left of the body is read and forgotten
        if exchange.events is not None:
            exchange.events.request_continued(body, ended)
        else:
            exchange.body += body
            if len(exchange.body) > WAITING_BODY_BYTES:
                self.pause_reading()

    def _check_unfinished_head(self) -> None:
        try:
            check_limits(self._url, self._headers, self._settings)
            if self._head_bytes > self._settings.request_line_bytes + self._settings.headers_bytes:
                raise Refused(413, "the headers are too long")
        except Refused as refused:
            self._stop(refused)

    def _fail(self, error: httptools.HttpParserError) -> None:
        cause = error.__context__
        if isinstance(error, httptools.HttpParserCallbackError) or isinstance(cause, Refused):
            if not isinstance(cause, Refused):
                raise error
            self._stop(cause)
        elif self._incoming is None and not self._begun and self._pipeline and not self._pipeline[-1].keep_alive:
            self._deaf = True  # bytes after a request that said Connection: close
        else:
            self._stop(Refused(505 if "version" in str(error) and "HTTP" in str(error) and "Invalid" in str(error) else 400, str(error)))

    def _stop(self, refusal: Refused) -> None:
        """Parse no more; refuse once what came before is answered."""
        self._refusal = refusal
        self._deaf = True
        self._parts = []
        exchange, self._incoming = self._incoming, None
        if exchange is None:
            return
        if exchange.dispatched and exchange.events is not None and not exchange.finished:
            exchange.finished = True
            exchange.events.request_aborted()
        self._pipeline.remove(exchange)
        if exchange.started:
            self._refusal = None
            self.transport.abort()

    # -- the order of exchanges

    def _advance(self) -> None:
        self.advancing = True
        pipeline = self._pipeline
        try:
            while pipeline:
                exchange = pipeline[0]
                if not exchange.dispatched:
                    if self.transport.is_closing():
                        return
                    exchange.dispatched = True
                    if not exchange.ended:
                        self.resume_reading()
                    if not exchange.ended and exchange.head.version == "1.1" and exchange.head.fields.get(b"expect", b"").lower() == b"100-continue" and not exchange.body:
                        self.write(_CONTINUE)
                    self._application.handle(exchange)
                if not exchange.finished or not (exchange.ended or self.transport.is_closing()):
                    break
                pipeline.popleft()
                if not exchange.keep_alive:
                    self._deaf = True
                    pipeline.clear()
                    self._refusal = None
                    self.close()
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

    def _refuse(self, refusal: Refused) -> None:
        self._refusal = None
        self._deaf = True
        if self.transport.is_closing():
            return
        headers, body = self._application.refuse(self, refusal.status, refusal.reason)
        lines = [*headers, (b"Content-Length", b"%d" % len(body)), (b"Date", DATE.at(time.time())), (b"Connection", b"close")]
        self.write(serialise(b"HTTP/1.1 %d %b" % (refusal.status, reason_phrase(refusal.status)), lines) + body)
        self.close()

    def _idle(self) -> None:
        if self._tunnel is not None:
            self.close()
        elif self._pipeline and self._pipeline[0].finished:  # the rest of a body that nobody reads did not come
            self.transport.abort()
        elif self._pipeline:
            self._deadline.restart(self._settings.idle_timeout_s)  # the application's wait, with its own timers
        elif self._begun:
            self._stop(Refused(408, "the client was silent in the middle of a request"))
            self._advance()
        else:
            self.close()
