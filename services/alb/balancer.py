"""One request at a balancer: refuse it, answer it, or forward it to a target. The I/O around the pure core; called back by `services.common.http`.

    handle ─▶ method, X-Forwarded-For ─▶ rule ─┬─ fixed-response, redirect ─▶ answer
                                               └─ forward ─▶ target ─▶ Forwarding ─▶ answer | 502 | 504 | 460

Every request ends in exactly one ALB_REQUEST event. Statuses are those of "Troubleshoot your ALBs" (documented): 400, 405, 408, 413, 414, 460, 463, 501,
502, 503, 504, 505. A target that closes while a body is being passed on cannot be turned into a 502 any more: the client's connection is closed.
NOT MODELLED: 561, 562, 401 (authentication); 464 (gRPC and HTTP/2 groups); 403 (WAF is a part of its own).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from services.alb.affinity import Affinity, Choice
from services.alb.answer import SERVER, page, phrase
from services.alb.config import Action, Attributes, Forward, ListenerConfig, Rule
from services.alb.desync import Classification, classify, closes, is_routed
from services.alb.headers import Client, host_for_target, host_name, target_headers, too_many_addresses, trace
from services.alb.redirect import location
from services.alb.request_log import Record, RequestLog
from services.alb.rule import Asked, RuleSet
from services.common.http import Call, Exchange, Failure, Headers, ResponseHead, ServerConnection, UpstreamRequest
from services.common.http.head import BODILESS_STATUSES, HOP_BY_HOP, RequestHead, content_length, end_to_end, field_lines

_NOT_PASSED_ON = HOP_BY_HOP | {b"content-length"}
_CLIENT_CLOSED = 460
Random = Callable[[int], int]


@dataclass(slots=True)
class Prepared:
    """What a request's fields say to a listener with `rules`; `lines` are those for the target, on the wire, but for the trace."""

    rules: RuleSet
    host: bytes
    lines: bytes
    trace: bytes | None
    cf_id: bytes | None
    too_many_addresses: bool
    classification: Classification
    reason: str


class ListenerApplication:
    """What a listener does with requests. `configure` swaps rules under connections that stay."""

    def __init__(self, config: ListenerConfig, dns_name: str, attributes: Attributes, affinity: Affinity, log: RequestLog, random_bits: Random = random.getrandbits) -> None:
        self.log = log
        self.affinity = affinity
        self._random_bits = random_bits
        self.configure(config, dns_name, attributes)

    def configure(self, config: ListenerConfig, dns_name: str, attributes: Attributes) -> None:
        """Take these rules and attributes, whose times are scaled, from the next request on."""
        self._attributes = attributes
        self._rules = RuleSet(config.rules)  # also tells what was prepared under these rules from what was before
        self._dns_name = dns_name.lower().encode()
        self._port = config.listen.port
        self._port_text = str(config.listen.port).encode()
        self._protocol = b"https" if config.tls else b"http"

    # -- services.common.http.Application

    def handle(self, exchange: Exchange) -> None:
        head = exchange.head
        repeatable = head.repeatable
        prepared = repeatable.prepared if repeatable is not None else None
        if not isinstance(prepared, Prepared) or prepared.rules is not self._rules:
            prepared = self._prepare(head, exchange.connection)
            if repeatable is not None:
                repeatable.prepared = prepared
        target = head.target if repeatable is not None else _host_and_target(head)[1]
        traced = trace(prepared.trace, epoch_s=int(time.time()), random_bits=self._random_bits(96))
        record = Record(traced.root, prepared.cf_id, prepared.host, prepared.classification.value, prepared.reason)
        if exchange.received_at - exchange.connection.opened_at > self._attributes.client_keep_alive_s:
            exchange.close_after()
        if closes(prepared.classification, self._attributes.desync):
            exchange.close_after()
        if head.method == b"TRACE":
            self._refuse_with(exchange, record, 405, "TRACE")
        elif not target.startswith(b"/") and not (target == b"*" and head.method == b"OPTIONS"):
            self._refuse_with(exchange, record, 400, "not a request target")
        elif not is_routed(prepared.classification, self._attributes.desync):
            self._refuse_with(exchange, record, 400, f"{prepared.classification}: {prepared.reason}")
        elif prepared.too_many_addresses:
            self._refuse_with(exchange, record, 463, "more than 30 addresses in X-Forwarded-For")
        else:
            rule = self._rules.single or self._rules.select(
                Asked(method=head.method, host=prepared.host, target=target, fields=head.fields, client=exchange.connection.peer_address)
            )
            record.rule, record.rule_priority = rule.origin, rule.priority
            if rule.action.forward is not None:
                self._forward(exchange, record, rule.action.forward, prepared, target, b"%bX-Amzn-Trace-Id: %b\r\n" % (prepared.lines, traced.value))
            else:
                self._answer(exchange, record, rule, prepared.host, target)

    def refuse(self, connection: ServerConnection, status: int, reason: str) -> tuple[Headers, bytes]:
        self.log.refused(connection.peer, status, reason)
        return page(status)

    def _prepare(self, head: RequestHead, connection: ServerConnection) -> Prepared:
        fields, attributes = head.fields, self._attributes
        host_field = _host_and_target(head)[0]
        host = host_name(host_field) if host_field else self._dns_name
        sent_host = host_field if attributes.preserve_host and host_field else host_for_target(host, self._port)
        address, _, port = connection.peer.rpartition(":")
        client = Client(address=address.encode(), port=port.encode(), protocol=self._protocol, listener_port=self._port_text, tls=connection.tls)
        headers = target_headers(head, host=sent_host, client=client, attributes=attributes)
        classification, reason = classify(head)
        return Prepared(
            self._rules, host, field_lines(headers), fields.get(b"x-amzn-trace-id"), fields.get(b"x-amz-cf-id"),
            too_many_addresses(fields.get(b"x-forwarded-for")), classification, reason,
        )  # fmt: skip

    # -- actions

    def own_page(self, exchange: Exchange, status: int) -> None:
        """Answer with the balancer's own page."""
        headers, body = page(status)
        exchange.respond(status, headers, body, reason=phrase(status))

    def _refuse_with(self, exchange: Exchange, record: Record, status: int, reason: str) -> None:
        exchange.close_after()
        self._fail_with(exchange, record, status, reason)

    def _fail_with(self, exchange: Exchange, record: Record, status: int, reason: str) -> None:
        record.error_reason = reason
        self.own_page(exchange, status)
        self.log.finished(exchange, record, status)

    def _answer(self, exchange: Exchange, record: Record, rule: Rule, host: bytes, target: bytes) -> None:
        action: Action = rule.action
        if action.redirect is not None:
            record.action = "redirect"
            redirect = action.redirect
            path, _, query = target.decode("latin-1").partition("?")
            where = location(redirect, protocol=self._protocol.decode(), host=host.decode("latin-1"), port=self._port, path=path, query=query)
            record.redirect_url = where
            headers, body = page(redirect.status_code)
            headers.append((b"Location", where.encode("latin-1")))
            exchange.respond(redirect.status_code, headers, body)
        elif action.fixed_response is not None:
            record.action = "fixed-response"
            fixed = action.fixed_response
            exchange.respond(fixed.status_code, [(b"Server", SERVER), (b"Content-Type", fixed.content_type.encode())], fixed.message_body.encode())
        else:
            raise ValueError(f"rule {rule.origin}: an action without any of the three")
        self.log.finished(exchange, record, exchange.status)

    def _forward(self, exchange: Exchange, record: Record, forward: Forward, prepared: Prepared, target: bytes, lines: bytes) -> None:
        choice = self.affinity.choose(forward, exchange.head.fields.get(b"cookie"))
        record.action, record.target_group = "forward", choice.group
        running = choice.target
        if running is None:
            self._fail_with(exchange, record, 503, "no registered targets")
            return
        record.target = running
        head = exchange.head
        request = UpstreamRequest(head.method, target, [], exchange.body, exchange.ended, lines)
        if head.repeatable is None:  # else there is neither a body nor an upgrade
            length = None if b"transfer-encoding" in head.fields else content_length(head)
            request.content_length = None if exchange.upgrade else length
            request.chunked = length is None and (not exchange.ended or bool(exchange.body) or b"transfer-encoding" in head.fields)
            request.upgrade = exchange.upgrade
            request.close = not exchange.keep_alive and closes(prepared.classification, self._attributes.desync)
        forwarding = Forwarding(self, exchange, record, choice)
        exchange.events = forwarding
        running.outstanding += 1
        record.request_s = time.perf_counter() - exchange.received_at
        call = forwarding.call = running.pool.send(request, forwarding)
        record.timings = call.timings


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
            self._done(_CLIENT_CLOSED if exchange.ended else 400)

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
        if head.passed_on is not None:
            exchange.pass_on(head.status, head.passed_on + cookie_lines, body, ended)
            return
        fields, length = head.fields, head.content_length
        headers = end_to_end(head.headers, fields, _NOT_PASSED_ON)
        if length is None or b"date" not in fields or head.status in BODILESS_STATUSES:
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


def _host_and_target(head: RequestHead) -> tuple[bytes, bytes]:
    """The host asked for and the origin-form target; an absolute-form target's host wins over the Host field (RFC 9112 section 3.2.2)."""
    target = head.target
    if not target.startswith((b"http://", b"https://")):
        return head.fields.get(b"host", b""), target
    authority, slash, path = target.partition(b"://")[2].partition(b"/")
    host, mark, query = authority.partition(b"?")
    return host, b"/" + path if slash else b"/" + mark + query
