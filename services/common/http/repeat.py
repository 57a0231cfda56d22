"""Heads that say again what the one before them on the same connection said: taken as parsed.

A client that keeps a connection mostly sends the same fields again and again, and so does a target within one second of its Date. What parsing,
admission and look-up made of them the first time holds for the same bytes the second time: `Repeatable` for requests (the same but for
method and target), `Repeated` for responses. Anything else takes the long way through llhttp, with the same outcome: this module only saves time.

Invariants: a head is remembered only if it arrived whole, its message ended exactly with the bytes that were fed, and both sides go on with the
connection; so the parser is at rest, and need not see the next message either. Requests with a body, an upgrade or an expectation are not remembered.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from services.common.http.head import BODILESS_STATUSES, Headers, RequestHead, ResponseHead

_START = re.compile(rb'(GET|HEAD) (/[!-"$-~]*)')
"""A request line up to the target, as llhttp takes it in any mode: origin-form, no fragment, no byte outside visible ASCII."""
_DECIDES_OTHERWISE = frozenset({b"content-length", b"transfer-encoding", b"upgrade", b"expect"})
_END = b"\r\n\r\n"


@dataclass(slots=True)
class Repeatable:
    """What a request's bytes after its target stand for. `prepared` is for the application: what it made of `fields`."""

    rest: bytes
    headers: Headers
    fields: dict[bytes, bytes]
    prepared: object = None

    def read(self, data: bytes) -> RequestHead | None:
        """The head that `data` is; None if it must be parsed."""
        if not data.endswith(self.rest):
            return None
        start = _START.fullmatch(data, 0, len(data) - len(self.rest))
        return None if start is None else RequestHead(start[1], start[2], "1.1", self.headers, self.fields, self)


def repeatable(data: bytes, head: RequestHead) -> Repeatable | None:
    """What may be taken as read after `data`, which was one whole message with `head` on a connection that goes on; None if nothing."""
    start = _START.match(data)
    if start is None or start[1] != head.method or start[2] != head.target or not head.fields.keys().isdisjoint(_DECIDES_OTHERWISE):
        return None
    rest = data[start.end() :]
    return Repeatable(rest, head.headers, head.fields) if rest.startswith(b" HTTP/1.1\r\n") and rest.find(_END) == len(rest) - len(_END) else None


@dataclass(slots=True)
class Repeated:
    """A response's head on the wire and what it stands for; `size` is the whole response's."""

    wire: bytes
    head: ResponseHead
    size: int

    def read(self, data: bytes) -> bytes | None:
        """The body of the response that `data` is; None if it must be parsed."""
        return data[len(self.wire) :] if len(data) == self.size and data.startswith(self.wire) else None


def repeated(data: bytes, head: ResponseHead) -> Repeated | None:
    """What may be taken as read after `data`, which was one whole response with `head` on a connection that goes on; None if nothing."""
    length = head.content_length
    if length is None or head.status in BODILESS_STATUSES or head.status < 200 or b"transfer-encoding" in head.fields:
        return None
    end = len(data) - length
    return Repeated(data[:end], head, len(data)) if data.find(_END) == end - len(_END) else None
