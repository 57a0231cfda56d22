"""HTTP/2 on the client's side: the same `Application`s and `Exchange`s as over HTTP/1.1, many at a time on one connection.

    bytes ─▶ h2 (frames, HPACK, flow control) ─▶ per stream: head checks ─▶ Http2Exchange ─▶ application.handle
                                               ◀── HEADERS, DATA as the client's window allows ◀── start / write / finish

- At most 128 streams at a time, no push; after 10,000 requests, or `last`, GOAWAY and the end once nothing is in progress.
- A request's window grows as its body is passed on, so that a slow target slows the client, stream by stream; a response waits for the client's window.
- PING is no sign of life: only requests and responses hold off the idle timeout.
- What would break HTTP/1.1 behind us (line breaks in values, connection-specific fields, a request without path or authority) is refused by h2 or here, and
  resets the stream.

Source: RFC 9113; "Listeners for your Application Load Balancers" (HTTP/2: 128 streams, no push), "Troubleshoot your ALBs" (10,000 requests; documented).
NOT MODELLED: priorities (RFC 9113 has done away with them), extended CONNECT (WebSockets over HTTP/2), trailers (dropped).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from services.common.http.admission import Refused, ServerSettings, check_head, check_limits
from services.common.http.deadline import Deadline
from services.common.http.exchange import DATE, Application, Exchange
from services.common.http.head import BODILESS_STATUSES, HOP_BY_HOP, Headers, RequestHead, fields_of
from services.common.http.transport import endpoint, server_name_of, tls_of

MOST_STREAMS = 128
MOST_REQUESTS = 10_000
PENDING_BYTES = 64 * 1024
"""So much of a response may wait for the client's window before its producer is told to stop."""


class Http2Exchange(Exchange):
    """One stream. `taken` counts body bytes that the client may send again once they are passed on."""

    stream: int = 0
    taken: int = 0
    _held: bool = False
    _paused: bool = False

    def start(self, status: int, headers: Headers, *, length: int | None, body: bytes = b"", ended: bool = False, reason: bytes | None = None, date: bool = True, lines: bytes = b"") -> None:
        fields = headers + _fields_of_lines(lines)
        if length is not None and status != 204:
            fields.append((b"content-length", b"%d" % length))
        if date:
            fields.append((b"date", DATE.at(time.time())))
        self._begin(status, fields, body, ended)

    def pass_on(self, status: int, head_lines: bytes, body: bytes = b"", ended: bool = False) -> None:
        self._begin(status, _fields_of_lines(head_lines.partition(b"\r\n")[2]), body, ended)

    def write(self, body: bytes) -> None:
        if not self._headless:
            self.sent_bytes += len(body)
            self._connection.send_body(self, body, False)

    def finish(self, body: bytes = b"") -> None:
        self.sent_bytes += 0 if self._headless else len(body)
        self._connection.send_body(self, b"" if self._headless else body, True)
        self._over()

    def abort(self) -> None:
        self._over()
        self._connection.reset(self, h2.errors.ErrorCodes.INTERNAL_ERROR)

    def close_after(self) -> None:
        self._connection.drain()

    def pause_request(self) -> None:
        self._held = True

    def resume_request(self) -> None:
        self._held = False
        self._connection.give_window(self)

    def switch(self, headers: Headers, tunnel: Callable[[bytes], None]) -> None:
        raise ValueError("HTTP/2 has no 101: a target answered with one without being asked")

    @property
    def held(self) -> bool:
        """Whether no more of the request's body is wanted for now."""
        return self._held

    def waits(self, pending: int) -> None:
        """So many bytes of the response wait for the client."""
        if self.events is not None and (pending > PENDING_BYTES) != self._paused and (pending == 0 or not self._paused):
            self._paused = not self._paused
            (self.events.response_paused if self._paused else self.events.response_resumed)()

    @property
    def _connection(self) -> Http2Connection:
        connection: Http2Connection = self.connection  # type: ignore[assignment]  # what applications look at is the same on both
        return connection

    def _begin(self, status: int, fields: Headers, body: bytes, ended: bool) -> None:
        self._started = True
        self.status = status
        self._headless = self.head.method == b"HEAD" or status in BODILESS_STATUSES
        wire = [(b":status", b"%d" % status), *((name.lower(), value) for name, value in fields if name.lower() not in HOP_BY_HOP)]
        self.head_bytes = sum(len(name) + len(value) + 4 for name, value in wire)
        last = ended and (self._headless or not body)
        self._connection.send_head(self, wire, last)
        if not last and not self._headless:
            self.sent_bytes += len(body)
            self._connection.send_body(self, body, ended)
        if ended:
            self._over()

    def _over(self) -> None:
        self.finished = True
        self.events = None


class Http2Connection(asyncio.Protocol):
    """One client's connection. What applications may look at is `ServerConnection`'s: `peer`, `peer_address`, `local`, `opened_at`, `last`, `id`, `tls`, `server_name`."""

    def __init__(self, application: Application, settings: ServerSettings, on_lost: Callable[[Http2Connection], None] | None = None) -> None:
        self.transport: asyncio.Transport = None  # type: ignore[assignment]  # set before anything else happens
        self.peer = self.local = ""
        self.peer_address = b""
        self.opened_at = time.perf_counter()
        self.last = False
        self.id = random.getrandbits(128)
        self._application = application
        self._settings = settings
        self._on_lost = on_lost
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding=None))
        self._streams: dict[int, Http2Exchange] = {}
        self._pending: dict[int, deque[tuple[bytes, bool]]] = {}
        self._requests = 0
        self._deadline: Deadline

    @property
    def tls(self) -> tuple[bytes, bytes] | None:
        return tls_of(self.transport)

    @property
    def server_name(self) -> str | None:
        return server_name_of(self.transport)

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.peer, self.local = endpoint(transport.get_extra_info("peername")), endpoint(transport.get_extra_info("sockname"))
        self.peer_address = self.peer.rpartition(":")[0].encode()
        self._deadline = Deadline(self._settings.idle_timeout_s, self._idle)
        wanted: dict[h2.settings.SettingCodes | int, int] = {h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: MOST_STREAMS, h2.settings.SettingCodes.MAX_HEADER_LIST_SIZE: self._settings.headers_bytes}
        self._h2.initiate_connection()
        self._h2.update_settings(wanted)
        self._flush()

    def connection_lost(self, error: Exception | None) -> None:
        self._deadline.cancel()
        streams, self._streams = tuple(self._streams.values()), {}
        for exchange in streams:
            _abort(exchange)
        if self._on_lost is not None:
            self._on_lost(self)

    def data_received(self, data: bytes) -> None:
        try:
            events = self._h2.receive_data(data)
        except h2.exceptions.ProtocolError:
            self._flush()  # the GOAWAY that names the error
            self.transport.close()
            return
        fresh: list[Http2Exchange] = []
        for event in events:
            if isinstance(event, h2.events.RequestReceived):
                exchange = self._received(event)
                if exchange is not None:
                    fresh.append(exchange)
            elif isinstance(event, h2.events.DataReceived):
                self._body(event)
            elif isinstance(event, h2.events.StreamEnded):
                self._ended(event.stream_id)
            elif isinstance(event, h2.events.StreamReset):
                self._gone(event.stream_id)
            elif isinstance(event, h2.events.WindowUpdated | h2.events.RemoteSettingsChanged):
                for stream in tuple(self._pending):
                    self._send_pending(stream)
            elif isinstance(event, h2.events.ConnectionTerminated):
                self.last = True
        for exchange in fresh:
            if not exchange.dispatched and exchange.stream in self._streams:
                exchange.dispatched = True
                self._application.handle(exchange)
        self._flush()
        self._close_if_done()

    def pause_writing(self) -> None:
        for exchange in self._streams.values():
            if exchange.events is not None:
                exchange.events.response_paused()

    def resume_writing(self) -> None:
        for exchange in tuple(self._streams.values()):
            if exchange.events is not None:
                exchange.events.response_resumed()

    # -- what exchanges and the daemon ask

    def send_head(self, exchange: Http2Exchange, fields: Headers, ended: bool) -> None:
        """The response's head; `ended` if nothing follows."""
        if exchange.stream not in self._streams:
            return
        self._deadline.touch()
        self._h2.send_headers(exchange.stream, fields, end_stream=ended)
        if ended:
            self._streams.pop(exchange.stream, None)
        self._flush()
        self._close_if_done()

    def send_body(self, exchange: Http2Exchange, body: bytes, ended: bool) -> None:
        """More of the response, as the client's window allows."""
        if exchange.stream not in self._streams:
            return
        self._deadline.touch()
        self._pending.setdefault(exchange.stream, deque()).append((body, ended))
        self._send_pending(exchange.stream)
        self._flush()
        self._close_if_done()

    def reset(self, exchange: Http2Exchange, code: h2.errors.ErrorCodes) -> None:
        """End one stream without the rest of its response."""
        if self._streams.pop(exchange.stream, None) is not None:
            self._pending.pop(exchange.stream, None)
            self._h2.reset_stream(exchange.stream, code)
            self._flush()
            self._close_if_done()

    def give_window(self, exchange: Http2Exchange) -> None:
        """The client may send as much again as was taken from it."""
        if exchange.taken and exchange.stream in self._streams:
            taken, exchange.taken = exchange.taken, 0
            self._h2.acknowledge_received_data(taken, exchange.stream)
            self._flush()

    def drain(self) -> None:
        """Take no more streams, and close when those in progress are done."""
        self.last = True
        self._close_if_done()

    # --

    def _received(self, event: h2.events.RequestReceived) -> Http2Exchange | None:
        self._deadline.touch()
        self._requests += 1
        if self._requests >= MOST_REQUESTS:
            self.last = True
        stream: int = event.stream_id
        pseudo = {name: value for name, value in event.headers if name.startswith(b":")}
        headers = [(name, value) for name, value in event.headers if not name.startswith(b":") and name != b"host"]
        authority = pseudo.get(b":authority") or next((value for name, value in event.headers if name == b"host"), b"")
        headers = [(b"host", authority), *_one_cookie(headers)]
        head = RequestHead(pseudo[b":method"], pseudo.get(b":path", b""), "2", headers, fields_of(headers))
        exchange = Http2Exchange(self, head, True, time.perf_counter(), stream=stream)  # type: ignore[arg-type]  # see `Http2Exchange._connection`
        self._streams[stream] = exchange
        try:
            check_limits(head.target, headers, self._settings)
            check_head(head)
        except Refused as refused:
            exchange.dispatched = True
            fields, body = self._application.refuse(self, refused.status, refused.reason)  # type: ignore[arg-type]
            exchange.respond(refused.status, fields, body)
            return None
        return exchange

    def _body(self, event: h2.events.DataReceived) -> None:
        exchange = self._streams.get(event.stream_id)
        if exchange is None or exchange.finished:
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            return
        exchange.taken += event.flow_controlled_length
        exchange.body_bytes += len(event.data)
        if exchange.events is not None:
            exchange.events.request_continued(event.data, False)
        else:
            exchange.body += event.data
        if not exchange.held:
            self.give_window(exchange)

    def _ended(self, stream: int) -> None:
        exchange = self._streams.get(stream)
        if exchange is None or exchange.finished:
            return
        exchange.ended = True
        if exchange.events is not None:
            exchange.events.request_continued(b"", True)

    def _gone(self, stream: int) -> None:
        self._pending.pop(stream, None)
        exchange = self._streams.pop(stream, None)
        if exchange is not None:
            _abort(exchange)

    def _send_pending(self, stream: int) -> None:
        pending, exchange = self._pending.get(stream), self._streams.get(stream)
        if pending is None or exchange is None:
            self._pending.pop(stream, None)
            return
        while pending:
            body, ended = pending.popleft()
            room = min(self._h2.local_flow_control_window(stream), self._h2.max_outbound_frame_size)
            if len(body) > max(room, 0):
                if room > 0:
                    self._h2.send_data(stream, body[:room])
                    body = body[room:]
                pending.appendleft((body, ended))
                if room <= 0:
                    break
                continue
            if body or ended:
                self._h2.send_data(stream, body, end_stream=ended)
            if ended:
                del self._pending[stream], self._streams[stream]
                return
        exchange.waits(sum(len(body) for body, _ in pending))

    def _flush(self) -> None:
        data = self._h2.data_to_send()
        if data and not self.transport.is_closing():
            self.transport.write(data)

    def _close_if_done(self) -> None:
        if self.last and not self._streams and not self.transport.is_closing():
            self._h2.close_connection()
            self._flush()
            self.transport.close()

    def _idle(self) -> None:
        if self._streams:
            self._deadline.restart(self._settings.idle_timeout_s)  # the target's side has timers of its own
        else:
            self.last = True
            self._close_if_done()


def _abort(exchange: Http2Exchange) -> None:
    if exchange.events is not None and not exchange.finished:
        exchange.finished = True
        exchange.events.request_aborted()


def _one_cookie(headers: Headers) -> Headers:
    """Cookie fields joined, since HTTP/1.1 has one (RFC 9113 section 8.2.3)."""
    crumbs = [value for name, value in headers if name == b"cookie"]
    return headers if len(crumbs) < 2 else [*(pair for pair in headers if pair[0] != b"cookie"), (b"cookie", b"; ".join(crumbs))]


def _fields_of_lines(lines: bytes) -> Headers:
    return [(name, value) for name, _, value in (line.partition(b": ") for line in lines.split(b"\r\n") if line)]
