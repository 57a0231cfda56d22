"""A request on its way to a target, and the response on its way back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from services.alb.affinity import Choice
from services.alb.logging_in import CLIENT_CLOSED
from services.alb.request_log import Record
from services.common.http import Call, Exchange, Failure, ResponseHead
from services.common.http.head import BODILESS_STATUSES, HOP_BY_HOP, end_to_end, field_lines

if TYPE_CHECKING:
    from services.alb.balancer import ListenerApplication

NOT_PASSED_ON = HOP_BY_HOP | {b"content-length"}


class Forwarding(msgspec.Struct, eq=False):
    """A request on its way to a target and the response on its way back: `RequestEvents` of the client's side, `Receiver` of the target's."""

    _application: ListenerApplication
    _exchange: Exchange
    _record: Record
    _choice: Choice
    call: Call = None  # type: ignore[assignment]  # set as soon as it is sent
    _over: bool = False

    # -- from the client

    def request_continued(self, body: bytes, ended: bool) -> None:
        self.call.write(body, ended)

    def request_aborted(self) -> None:
        if self._over:
            return
        self.call.cancel()
        exchange = self._exchange
        if exchange.status == 101:
            self._done(101)
        elif exchange.started:
            self._record.error_reason = "client closed during the response"
            self._done(exchange.status)
        else:
            self._record.error_reason = "client closed" if exchange.ended else "client closed before the body's end, or the body was malformed"
            self._done(CLIENT_CLOSED if exchange.ended else 400)

    def response_paused(self) -> None:
        self.call.pause_response()

    def response_resumed(self) -> None:
        self.call.resume_response()

    # -- from the target

    def response_started(self, head: ResponseHead, body: bytes, ended: bool) -> None:
        exchange = self._exchange
        self._record.target_status = head.status
        if head.status == 101:
            exchange.switch(head.headers, self._to_target)
            if body:
                exchange.send_raw(body)
            return
        if ended:
            self._done(head.status)
        choice = self._choice
        cookie_lines = self._application.affinity.lines_after(choice, head.headers) if choice.lines or choice.application_cookie else b""
        changed = self._application.response_headers
        if head.passed_on is not None and changed is None:
            exchange.pass_on(head.status, head.passed_on + cookie_lines, body, ended)
            return
        fields, length = head.fields, head.content_length
        headers = end_to_end(head.headers, fields, NOT_PASSED_ON)
        if changed is not None:
            headers = changed.applied(headers)
        if changed is not None or length is None or b"date" not in fields or head.status in BODILESS_STATUSES:
            exchange.start(head.status, headers, length=length, body=body, ended=ended, reason=head.reason, date=b"date" not in fields, lines=cookie_lines)
            return
        headers.append((b"Content-Length", b"%d" % length))
        head.passed_on = b"HTTP/1.1 %d %b\r\n%b" % (head.status, head.reason, field_lines(headers))
        exchange.pass_on(head.status, head.passed_on + cookie_lines, body, ended)

    def response_continued(self, body: bytes, ended: bool) -> None:
        exchange = self._exchange
        if exchange.status == 101:
            if ended:
                self._done(101)
                exchange.close_tunnel()
            else:
                exchange.send_raw(body)
        elif ended:
            self._done(exchange.status)
            exchange.finish(body)
        else:
            exchange.write(body)

    def response_failed(self, failure: Failure) -> None:
        exchange = self._exchange
        self._record.error_reason = failure.kind.value
        if exchange.started:
            self._done(exchange.status)
            exchange.abort()
        else:
            self._done(failure.status)
            self._application.own_page(exchange, failure.status)

    def request_paused(self) -> None:
        self._exchange.pause_request()

    def request_resumed(self) -> None:
        self._exchange.resume_request()

    # --

    def _to_target(self, data: bytes) -> None:
        self.call.write(data, False)

    def _done(self, status: int) -> None:
        self._over = True
        if self._choice.target is not None:
            self._choice.target.answered(status >= 500)
        self._application.log.finished(self._exchange, self._record, status)
