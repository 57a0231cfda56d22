"""Heads of HTTP/1.1 messages: their fields, the look-up of a field, and their bytes on the wire. Pure.

A header is a pair of bytes as it was sent; names keep their case, because proxies pass them on unchanged. `fields` is the look-up by
lower-case name, in which repeated fields are joined by a comma (RFC 9110 section 5.3).

The classes here are made once per request on the hot path, so they are `msgspec.Struct`s (made in C) and not frozen; nobody changes them after they are made.
"""

from __future__ import annotations

import http
from email.utils import formatdate
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from services.common.http.repeat import Repeatable

Headers = list[tuple[bytes, bytes]]

HOP_BY_HOP = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade"})
"""Fields that end at each connection (RFC 9110 section 7.6.1)."""
BODILESS_STATUSES = frozenset({204, 304})
IDEMPOTENT_METHODS = frozenset({b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"TRACE"})
"""RFC 9110 section 9.2.2."""

_REASONS = {status.value: status.phrase.encode() for status in http.HTTPStatus}


def reason_phrase(status: int) -> bytes:
    """The standard phrase of `status`; empty for statuses that have none."""
    return _REASONS.get(status, b"")


def fields_of(headers: Headers) -> dict[bytes, bytes]:
    """`headers` by lower-case name; repeated fields are joined by ``", "``."""
    fields = {name.lower(): value for name, value in headers}
    if len(fields) != len(headers):
        fields = {}
        for name, value in headers:
            key = name.lower()
            fields[key] = fields[key] + b", " + value if key in fields else value
    return fields


def tokens(value: bytes) -> frozenset[bytes]:
    """The comma-separated tokens of a field's value, in lower case."""
    return frozenset(token.strip().lower() for token in value.split(b",") if token.strip())


class RequestHead(msgspec.Struct):
    """A request's head. `target` is as sent (``/path?query``, absolute-form or ``*``), `version` is ``1.0``, ``1.1`` or ``2``.

    `repeatable` is shared by the heads of a connection that have the same fields, byte for byte.
    """

    method: bytes
    target: bytes
    version: str
    headers: Headers
    fields: dict[bytes, bytes]
    repeatable: Repeatable | None = None


class ResponseHead(msgspec.Struct):
    """A response's head. `content_length` is None where the body is chunked or ends with the connection (or there is none).

    `passed_on` is for a gateway: what it makes of the head on the wire. Responses whose heads are the same bytes may share one object.
    """

    status: int
    reason: bytes
    version: str
    headers: Headers
    fields: dict[bytes, bytes]
    content_length: int | None
    passed_on: bytes | None = None


def content_length(head: RequestHead) -> int | None:
    """A request's Content-Length; repeated with one value it counts once (RFC 9110 section 8.6), and the parser refused differing ones."""
    value = head.fields.get(b"content-length")
    return None if value is None else int(value.partition(b",")[0])


def end_to_end(headers: Headers, fields: dict[bytes, bytes], gone: frozenset[bytes] = HOP_BY_HOP) -> Headers:
    """`headers`, whose look-up is `fields`, without the (lower-case) names `gone` and those that Connection names. `gone` includes `HOP_BY_HOP`."""
    connection = fields.get(b"connection")
    if connection is not None:
        named = tokens(connection)
        if not named <= _PLAIN_CONNECTION:
            gone = gone | named
    if len(fields) == len(headers):  # no name twice: the look-up has the lower-case names in the same order
        return [pair for pair, name in zip(headers, fields, strict=True) if name not in gone]
    return [pair for pair in headers if pair[0].lower() not in gone]


_PLAIN_CONNECTION = frozenset({b"keep-alive", b"close", b"upgrade"})


_COLON = b": "


def serialise(first_line: bytes, headers: Headers) -> bytes:
    """A head's bytes, the empty line included. `first_line` has no line end."""
    return b"%b\r\n%b\r\n\r\n" % (first_line, b"\r\n".join(map(_COLON.join, headers))) if headers else first_line + b"\r\n\r\n"


def field_lines(headers: Headers) -> bytes:
    """The lines of `headers`, each with its end."""
    return b"%b\r\n" % b"\r\n".join(map(_COLON.join, headers)) if headers else b""


class HttpDate:
    """The Date field's value, formatted once per second. Time is given by the caller."""

    def __init__(self) -> None:
        self._second = -1
        self._value = b""

    def at(self, epoch_s: float) -> bytes:
        """The date of `epoch_s` (seconds since the epoch), in IMF-fixdate form."""
        second = int(epoch_s)
        if second != self._second:
            self._second = second
            self._value = formatdate(second, usegmt=True).encode()
        return self._value
