"""One request at a balancer: refuse it, answer it, or forward it to a target. The I/O around the pure core; called back by `services.common.http`.

    handle ─▶ method, X-Forwarded-For ─▶ rule ─┬─ fixed-response, redirect ─▶ answer
                                               └─ forward ─▶ target ─▶ Forwarding ─▶ answer | 502 | 504 | 460
    with a login before the action: `LoggingIn`, where an identity provider has to be asked

Every request ends in exactly one ALB_REQUEST event. Statuses are those of "Troubleshoot your ALBs" (documented): 400, 401, 405, 408, 413, 414, 460, 463, 464, 500, 501,
502, 503, 504, 505, 507, 561, 562; and 403 by Shield Advanced's rate rule. A target that closes while a body is being passed on cannot be turned into a 502 any more: the client's connection is closed.
All groups speak HTTP/1.1 to their targets, so 464 is gRPC's alone. NOT MODELLED: other 403s (WAF is a part of its own).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from services.alb.affinity import Affinity
from services.alb.answer import SERVER, page, phrase
from services.alb.client_certificate import certificate_headers
from services.alb.config import Action, Attributes, Authenticate, Forward, JwtValidation, ListenerConfig, Rule
from services.alb.desync import Classification, classify, closes, is_routed
from services.alb.forwarding import Forwarding
from services.alb.headers import Client, host_for_target, host_name, target_headers, too_many_addresses, trace
from services.alb.jwt_validation import Validation, read_token
from services.alb.logging_in import LoggingIn
from services.alb.login import Known, Login, Turned, Visit, is_callback
from services.alb.oidc import Refused
from services.alb.redirect import LONGEST_LOCATION_BYTES, location
from services.alb.request_log import Record, RequestLog
from services.alb.response_headers import ResponseHeaders
from services.alb.rule import Asked, RuleSet
from services.alb.transform import TransformFailed, Transforms
from services.common.http import Exchange, Headers, ServerConnection, UpstreamRequest, client_certificate_of
from services.common.http.head import RequestHead, content_length, field_lines

_GRPC = b"application/grpc"
Random = Callable[[int], int]


@dataclass(slots=True)
class Prepared:
    """What a request's fields say to a listener with `rules`; `lines` are those for the target, on the wire, but for the trace."""

    rules: RuleSet
    host: bytes
    sent_host: bytes
    lines: bytes
    trace: bytes | None
    cf_id: bytes | None
    too_many_addresses: bool
    classification: Classification
    reason: str


class ListenerApplication:
    """What a listener does with requests. `configure` swaps rules under connections that stay."""

    def __init__(
        self, config: ListenerConfig, dns_name: str, attributes: Attributes, affinity: Affinity, log: RequestLog, random_bits: Random = random.getrandbits, login: Login | None = None,
        validation: Validation | None = None,
    ) -> None:  # fmt: skip
        self.log = log
        self.affinity = affinity
        self._random_bits = random_bits
        self.configure(config, dns_name, attributes, login, validation)

    def configure(self, config: ListenerConfig, dns_name: str, attributes: Attributes, login: Login | None = None, validation: Validation | None = None) -> None:
        """Take these rules and attributes, whose times are scaled, from the next request on; `login` and `validation` where a rule wants them."""
        self._login, self._validation = login, validation
        self._attributes = attributes
        self._rules = RuleSet(config.rules)  # also tells what was prepared under these rules from what was before
        self._dns_name = dns_name.lower().encode()
        self._port = config.listen.port
        self._port_text = str(config.listen.port).encode()
        self._protocol = b"https" if config.tls else b"http"
        self._verifies = bool(config.client_trust_file)
        self._logins = tuple(rule.action.authenticate for rule in config.rules if rule.action.authenticate is not None)
        transforms = ((rule.origin, Transforms.of(rule.host_rewrite, rule.url_rewrite)) for rule in config.rules)
        self._transforms = {origin: transform for origin, transform in transforms if transform is not None}
        changes = bool(config.response_headers) or not config.server_header
        self.response_headers = ResponseHeaders(config.response_headers, server=config.server_header) if changes else None

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
        rate_rule = self.log.rate_rule
        if rate_rule is not None and rate_rule.blocks(exchange.connection.peer_address, time.monotonic()):
            self._fail_with(exchange, record, 403, f"{rate_rule.config.origin}: more than {rate_rule.limit} requests from one address while an attack is being mitigated")
        elif head.method == b"TRACE":
            self._refuse_with(exchange, record, 405, "TRACE")
        elif not target.startswith(b"/") and not (target == b"*" and head.method == b"OPTIONS"):
            self._refuse_with(exchange, record, 400, "not a request target")
        elif not is_routed(prepared.classification, self._attributes.desync):
            self._refuse_with(exchange, record, 400, f"{prepared.classification}: {prepared.reason}")
        elif prepared.too_many_addresses:
            self._refuse_with(exchange, record, 463, "more than 30 addresses in X-Forwarded-For")
        elif self._logins and is_callback(target):
            self._complete_login(exchange, record, prepared, target)
        else:
            rule = self._rules.single or self._rules.select(
                Asked(method=head.method, host=prepared.host, target=target, fields=head.fields, client=exchange.connection.peer_address)
            )
            record.rule, record.rule_priority = rule.origin, rule.priority
            action = rule.action
            if action.jwt_validation is not None:
                self._validate(exchange, record, rule, action.jwt_validation, prepared, target, traced.value)
            elif action.authenticate is not None:
                self._authenticate(exchange, record, rule, action.authenticate, prepared, target, traced.value)
            elif action.forward is not None and not self._transforms:
                self._forward(exchange, record, action.forward, prepared, target, b"%bX-Amzn-Trace-Id: %b\r\n" % (prepared.lines, traced.value))
            else:
                self.act(exchange, record, rule, prepared, target, traced.value)

    def refuse(self, connection: ServerConnection, status: int, reason: str) -> tuple[Headers, bytes]:
        self.log.refused(connection.peer, status, reason)
        headers, body = page(status)
        return self.response_headers.applied(headers) if self.response_headers is not None else headers, body

    def _prepare(self, head: RequestHead, connection: ServerConnection) -> Prepared:
        fields, attributes = head.fields, self._attributes
        host_field = _host_and_target(head)[0]
        host = host_name(host_field) if host_field else self._dns_name
        sent_host = host_field if attributes.preserve_host and host_field else host_for_target(host, self._port)
        classification, reason = classify(head)
        return Prepared(
            self._rules, host, sent_host, self._lines_for_target(head, connection, sent_host), fields.get(b"x-amzn-trace-id"), fields.get(b"x-amz-cf-id"),
            too_many_addresses(fields.get(b"x-forwarded-for")), classification, reason,
        )  # fmt: skip

    def _lines_for_target(self, head: RequestHead, connection: ServerConnection, host: bytes) -> bytes:
        address, _, port = connection.peer.rpartition(":")
        certificate = client_certificate_of(connection.transport) if self._verifies else None
        told = [] if certificate is None else certificate_headers(certificate)
        client = Client(address=address.encode(), port=port.encode(), protocol=self._protocol, listener_port=self._port_text, tls=connection.tls, certificate=told)
        return field_lines(target_headers(head, host=host, client=client, attributes=self._attributes))

    # -- logins

    def _authenticate(self, exchange: Exchange, record: Record, rule: Rule, authenticate: Authenticate, prepared: Prepared, target: bytes, traced: bytes) -> None:
        if self._login is None:
            raise ValueError(f"rule {rule.origin}: a login at a balancer without a key")
        login, cookie_field, record.action = self._login, exchange.head.fields.get(b"cookie"), "authenticate"
        session = login.session(authenticate, cookie_field)

        def admitted(known: Known | Turned) -> None:
            if isinstance(known, Turned):
                self.turn(exchange, record, known)
            else:
                self.act(exchange, record, rule, prepared, target, traced, known)

        host = exchange.head.fields.get(b"host", b"") and prepared.host
        visit = Visit(host=host.decode("latin-1"), port=self._port, target=target.decode("latin-1"), cookie_field=cookie_field)
        if session is None or not login.is_stale(session):
            admitted(login.admit(authenticate, session, visit))
        else:
            LoggingIn(self, exchange, record).renew(login, authenticate, session, visit, admitted)

    def _validate(self, exchange: Exchange, record: Record, rule: Rule, wanted: JwtValidation, prepared: Prepared, target: bytes, traced: bytes) -> None:
        if self._validation is None:
            raise ValueError(f"rule {rule.origin}: a token to validate, and nothing to do it with")
        record.action = "jwt-validation"

        def go_on() -> None:
            self.act(exchange, record, rule, prepared, target, traced)

        try:
            token = read_token(exchange.head.fields.get(b"authorization"))
            keys = self._validation.known_keys(wanted, token)
            if keys is not None:
                self._validation.check(token, keys, wanted)
        except Refused as refused:
            self.turn(exchange, record, Turned(status=refused.status, reason=refused.reason))
            return
        if keys is not None:
            go_on()
        else:
            LoggingIn(self, exchange, record).validate(self._validation, wanted, token, go_on)

    def _complete_login(self, exchange: Exchange, record: Record, prepared: Prepared, target: bytes) -> None:
        if self._login is None:
            raise ValueError("a login at a balancer without a key")
        record.action = "authenticate"
        cookie_field = exchange.head.fields.get(b"cookie")
        answer = self._login.complete(self._logins, query=target.partition(b"?")[2], host=prepared.host.decode("latin-1"), port=self._port, cookie_field=cookie_field)
        LoggingIn(self, exchange, record).complete(self._login, answer)

    def turn(self, exchange: Exchange, record: Record, turned: Turned) -> None:
        """Answer without the action that a login stands before."""
        record.error_reason = turned.reason or None
        headers, body = page(turned.status)
        if turned.location:
            headers.append((b"Location", turned.location.encode("latin-1", "replace")))
        self._respond(exchange, turned.status, headers, body, turned.lines)
        self.log.finished(exchange, record, turned.status)

    # -- actions

    def act(self, exchange: Exchange, record: Record, rule: Rule, prepared: Prepared, target: bytes, traced: bytes, known: Known | None = None) -> None:
        """Do what a rule says; `known` is what a login before it found out."""
        before, forward = f"{record.action}," if record.action else "", rule.action.forward
        if forward is None:
            self._answer(exchange, record, rule, prepared.host, target)
        else:
            lines, transform = prepared.lines, self._transforms.get(rule.origin)
            if transform is not None:
                try:
                    host, target = transform.host_of(prepared.sent_host), transform.url_of(target)
                except TransformFailed:
                    record.transform_status = "TransformFailed"
                    self._fail_with(exchange, record, 500, "a transform gave no host or no URL")
                    return
                record.transformed_host, record.transformed_uri, record.transform_status = host, target, "TransformSuccess"
                lines = self._lines_for_target(exchange.head, exchange.connection, host)
            told, cookies = (known.lines, known.cookies) if known is not None else (b"", b"")
            self._forward(exchange, record, forward, prepared, target, b"%b%bX-Amzn-Trace-Id: %b\r\n" % (lines, told, traced), cookies)
        record.action = f"{before}{record.action}"

    def own_page(self, exchange: Exchange, status: int) -> None:
        """Answer with the balancer's own page."""
        headers, body = page(status)
        self._respond(exchange, status, headers, body)

    def _respond(self, exchange: Exchange, status: int, headers: Headers, body: bytes, lines: bytes = b"") -> None:
        if self.response_headers is not None:
            headers = self.response_headers.applied(headers)
        exchange.start(status, headers, length=len(body), body=body, ended=True, reason=phrase(status), lines=lines)

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
            if len(where) > LONGEST_LOCATION_BYTES:
                self._fail_with(exchange, record, 507, "the redirect URL is too long")
                return
            headers, body = page(redirect.status_code)
            headers.append((b"Location", where.encode("latin-1")))
            self._respond(exchange, redirect.status_code, headers, body)
        elif action.fixed_response is not None:
            record.action = "fixed-response"
            fixed = action.fixed_response
            self._respond(exchange, fixed.status_code, [(b"Server", SERVER), (b"Content-Type", fixed.content_type.encode())], fixed.message_body.encode())
        else:
            raise ValueError(f"rule {rule.origin}: an action without any of the three")
        self.log.finished(exchange, record, exchange.status)

    def _forward(self, exchange: Exchange, record: Record, forward: Forward, prepared: Prepared, target: bytes, lines: bytes, cookies: bytes = b"") -> None:
        choice = self.affinity.choose(forward, exchange.head.fields.get(b"cookie"))
        record.action, record.target_group = "forward", choice.group
        running = choice.target
        if cookies:
            choice.lines += cookies
        if exchange.head.version == "2" and exchange.head.fields.get(b"content-type", b"").startswith(_GRPC):
            self._fail_with(exchange, record, 464, "gRPC to a target group of HTTP/1.1")
            return
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
        running.asked()
        record.request_s = time.perf_counter() - exchange.received_at
        call = forwarding.call = running.pool.send(request, forwarding)
        record.timings = call.timings


def _host_and_target(head: RequestHead) -> tuple[bytes, bytes]:
    """The host asked for and the origin-form target; an absolute-form target's host wins over the Host field (RFC 9112 section 3.2.2)."""
    target = head.target
    if not target.startswith((b"http://", b"https://")):
        return head.fields.get(b"host", b""), target
    authority, slash, path = target.partition(b"://")[2].partition(b"/")
    host, mark, query = authority.partition(b"?")
    return host, b"/" + path if slash else b"/" + mark + query
