"""One connection to a target or an origin: one request at a time, and the response that belongs to it.

States: idle (in the pool) ─begin─▶ busy ─response's end─▶ idle or closed; busy ─101─▶ tunnel ─▶ closed.
Anything that comes while idle closes it: bytes nobody asked for could otherwise be taken for the next request's response (response smuggling).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httptools

from services.common.http.deadline import Deadline
from services.common.http.failure import Failure, FailureKind
from services.common.http.head import BODILESS_STATUSES, Headers, ResponseHead, fields_of
from services.common.http.repeat import Repeated, repeated

if TYPE_CHECKING:
    from services.common.http.call import Call, Receiver
    from services.common.http.upstream import UpstreamPool


class UpstreamConnection(asyncio.Protocol):
    """Made by `UpstreamPool`. `local` and `peer` are ``address:port``."""

    __slots__ = (
        "_call", "_complete", "_deadline", "_ends_with_connection", "_head", "_head_bytes", "_head_limit_bytes", "_head_told", "_headers",
        "_idle_timeout_s", "_interim", "_keep_alive", "_overrun", "_parser", "_parts", "_pool", "_reading_paused", "_reason", "_repeated",
        "_request_ended", "_response_timeout_s", "_tunnel", "local", "peer", "transport", "write",
    )  # fmt: skip

    def __init__(self, pool: UpstreamPool, response_timeout_s: float, idle_timeout_s: float, head_limit_bytes: int) -> None:
        self.transport: asyncio.Transport = None  # type: ignore[assignment]  # set before anything else happens
        self.write: Callable[[bytes], None]
        self.local = ""
        self.peer = ""
        self._pool = pool
        self._response_timeout_s = response_timeout_s
        self._idle_timeout_s = idle_timeout_s
        self._head_limit_bytes = head_limit_bytes
        self._parser: Any = httptools.HttpResponseParser(self)
        self._deadline: Deadline
        self._call: Call | None = None
        self._tunnel = False
        self._request_ended = True
        self._reading_paused = False
        self._repeated: Repeated | None = None
        self._reset()

    def _reset(self) -> None:
        self._reason = b""
        self._headers: Headers = []
        self._parts: list[bytes] = []
        self._head: ResponseHead | None = None
        self._head_told = False
        self._head_bytes = 0
        self._complete = False
        self._interim = False
        self._keep_alive = False
        self._ends_with_connection = False
        self._overrun = False

    # -- what the pool and a call ask

    @property
    def usable(self) -> bool:
        """Whether a request can be sent."""
        return self._call is None and not self.transport.is_closing()

    def begin(self, call: Call, data: bytes, ended: bool) -> None:
        """Send a request's first bytes; `ended` if they are all."""
        self._call = call
        self._request_ended = ended
        if self._idle_timeout_s == self._response_timeout_s:
            self._deadline.last = call.sent_at
        else:
            self._deadline.restart(self._response_timeout_s)
        self.write(data)

    def send_body(self, data: bytes, ended: bool) -> None:
        """More of the request, already framed."""
        self._request_ended = ended
        self._deadline.touch()
        if data and not self.transport.is_closing():
            self.write(data)

    def abandon(self) -> None:
        """The call is not wanted any more."""
        self._call = None
        self.transport.abort()

    def close(self) -> None:
        """Close when what was written is out."""
        if self._pool.outbox is not None:
            self._pool.outbox.flush()
        self.transport.close()

    def pause_reading(self) -> None:
        if not self._reading_paused and not self.transport.is_closing():
            self._reading_paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if self._reading_paused and not self.transport.is_closing():
            self._reading_paused = False
            self._deadline.touch()
            self.transport.resume_reading()

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.write = self.transport.write if self._pool.outbox is None else self._pool.outbox.writer(self.transport)
        local, peer = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
        self.local = f"{local[0]}:{local[1]}" if local else ""
        self.peer = f"{peer[0]}:{peer[1]}" if peer else ""
        self._deadline = Deadline(self._idle_timeout_s, self._silent)

    def connection_lost(self, error: Exception | None) -> None:
        self._deadline.cancel()
        self._pool.lost(self)
        call, self._call = self._call, None
        if call is None:
            return
        if self._tunnel or (self._ends_with_connection and error is None):
            call.over().response_continued(b"", True)
        else:
            call.failed(Failure(kind=FailureKind.CLOSED, detail=f"{self.peer}: {error or 'closed with a request outstanding'}"))

    def data_received(self, data: bytes) -> None:
        now = self._deadline.last = time.perf_counter()
        call = self._call
        if call is None:
            self.transport.abort()
            return
        if self._tunnel:
            call.receiver.response_continued(data, False)
            return
        known, self._repeated = self._repeated, None
        if known is not None and call.request.method != b"HEAD" and (body := known.read(data)) is not None:
            self._repeated = known
            call.began = True
            call.timings.wait_ms = (now - call.sent_at) * 1000
            receiver = call.over()
            self._let_go(call, True)
            receiver.response_started(known.head, body, True)
            return
        whole = self._head is None and self._head_bytes == 0
        if self._head is None:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._tunnel = True
            self._parts.append(data[upgrade.args[0] :])
        except httptools.HttpParserCallbackError as error:
            raise error.__context__ or error from error
        except httptools.HttpParserError as error:
            if not self._complete:
                self._fail(FailureKind.MALFORMED, str(error))
                return
            self._keep_alive = False  # bytes after the response: it is whole, the connection is not to be trusted
        if whole and self._complete and self._keep_alive and not self._overrun and call.request.method != b"HEAD" and (head := self._head) is not None:
            self._repeated = repeated(data, head)
        self._tell(call, now)

    def pause_writing(self) -> None:
        if self._call is not None:
            self._call.receiver.request_paused()

    def resume_writing(self) -> None:
        if self._call is not None:
            self._call.receiver.request_resumed()

    # -- httptools

    def on_status(self, reason: bytes) -> None:
        self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._head is None:  # not a trailer
            self._headers.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        if self._complete:
            self._overrun = True
            return
        parser, headers, reason = self._parser, self._headers, self._reason
        status = parser.get_status_code()
        self._headers, self._reason = [], b""
        if 100 <= status < 200 and status != 101:
            self._interim = True
            return
        fields = fields_of(headers)
        length = fields.get(b"content-length")
        self._head = ResponseHead(status, reason, parser.get_http_version(), headers, fields, None if length is None else int(length))
        self._keep_alive = parser.should_keep_alive()
        if self._call is not None and self._call.request.method == b"HEAD":
            self._complete = True  # the parser waits for a body that does not come: it is replaced
        elif status not in BODILESS_STATUSES and status != 101 and length is None and b"transfer-encoding" not in fields:
            self._ends_with_connection = True

    def on_body(self, data: bytes) -> None:
        if self._complete:
            self._overrun = True
        else:
            self._parts.append(data)

    def on_message_complete(self) -> None:
        if self._interim:
            self._interim = False
        else:
            self._complete = True

    # -- telling

    def _tell(self, call: Call, now: float) -> None:
        head = self._head
        if head is None:
            if self._head_bytes > self._head_limit_bytes:
                self._fail(FailureKind.HEAD_TOO_LARGE, f"more than {self._head_limit_bytes} bytes")
            return
        parts = self._parts
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        told, complete = self._head_told, self._complete and not self._tunnel
        if not told:
            problem = self._check(head)
            if problem is not None:
                self._fail(*problem)
                return
            call.began = True
            call.timings.wait_ms = (now - call.sent_at) * 1000
        if complete:
            receiver = self._finish(call)
        else:
            receiver = call.receiver
            self._parts = []
            self._head_told = True
        if not told:
            receiver.response_started(head, body, complete)
        elif body or complete:
            receiver.response_continued(body, complete)

    def _check(self, head: ResponseHead) -> tuple[FailureKind, str] | None:
        if self._head_bytes > self._head_limit_bytes and sum(len(name) + len(value) + 4 for name, value in head.headers) > self._head_limit_bytes:
            return FailureKind.HEAD_TOO_LARGE, f"more than {self._head_limit_bytes} bytes"
        coding = head.fields.get(b"transfer-encoding")
        if coding is not None and coding.lower() != b"chunked":
            return FailureKind.MALFORMED, "a transfer coding that was not asked for"
        if head.status == 101 and not (self._tunnel and self._call is not None and self._call.request.upgrade):
            return FailureKind.MALFORMED, "101 without an upgrade"
        return None

    def _finish(self, call: Call) -> Receiver:
        """The response is whole: the connection goes back before the receiver hears, so that its next request may use it."""
        receiver = call.over()
        reusable = self._keep_alive and not self._overrun and not self._ends_with_connection
        if call.request.method == b"HEAD":
            self._parser = httptools.HttpResponseParser(self)
        self._reset()
        self._let_go(call, reusable)
        return receiver

    def _let_go(self, call: Call, reusable: bool) -> None:
        self._call = None
        if not reusable or not self._request_ended or call.request.close:
            self.close()
            return
        if self._idle_timeout_s != self._response_timeout_s:
            self._deadline.restart(self._idle_timeout_s)
        if self._reading_paused:
            self.resume_reading()
        self._pool.release(self)

    def _fail(self, kind: FailureKind, detail: str) -> None:
        call, self._call = self._call, None
        self.transport.abort()
        if call is not None:
            call.failed(Failure(kind=kind, detail=f"{self.peer}: {detail}"))

    def _silent(self) -> None:
        if self._call is None:
            self.close()
        elif self._reading_paused:
            self._deadline.restart(self._response_timeout_s)  # it is the client that is slow
        elif self._tunnel:
            self.close()
        else:
            self._fail(FailureKind.RESPONSE_TIMEOUT, f"silent for {self._response_timeout_s:g} s")
