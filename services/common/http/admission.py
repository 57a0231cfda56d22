"""Which request heads are taken, and by which status others are refused. Pure; llhttp has refused what is malformed before.

Limits are an ALB's ("Quotas for your Application Load Balancers", documented): 16 K for the request line (414), 16 K for one header and 64 K for all of them. AWS
documents both 400 and 413 for headers that are too long; we answer 413 (assumed). A transfer coding other than ``chunked`` is 501, another version 505.
"""

from __future__ import annotations

from dataclasses import dataclass

from services.common.http.head import Headers, RequestHead


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Limits in bytes, AWS's for an ALB ("Quotas for your Application Load Balancers"); `idle_timeout_s` is already scaled.

    `both_lengths`: a request with Content-Length and Transfer-Encoding is taken, and its chunks count; else it is 400.
    """

    idle_timeout_s: float = 60.0
    request_line_bytes: int = 16 * 1024
    header_bytes: int = 16 * 1024
    headers_bytes: int = 64 * 1024
    both_lengths: bool = False


class Refused(Exception):
    """A request is refused with `status`; `reason` is for the log."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def check_limits(url: bytes, headers: Headers, settings: ServerSettings) -> None:
    """Raises `Refused` for what is longer than AWS takes."""
    if len(url) > settings.request_line_bytes:
        raise Refused(414, "request line too long")
    if any(len(name) + len(value) > settings.header_bytes for name, value in headers):
        raise Refused(413, "a header is too long")
    if sum(len(name) + len(value) + 4 for name, value in headers) > settings.headers_bytes:
        raise Refused(413, "the headers are too long")


def check_head(head: RequestHead) -> None:
    """Raises `Refused` for a head that must not reach an application."""
    fields = head.fields
    if head.version not in ("1.1", "1.0", "2"):
        raise Refused(400 if head.version == "0.9" else 505, f"HTTP/{head.version}")
    coding = fields.get(b"transfer-encoding")
    if coding is not None:
        if head.version == "1.0":
            raise Refused(400, "Transfer-Encoding in HTTP/1.0")
        if coding.lower() != b"chunked":
            raise Refused(501, "unsupported Transfer-Encoding")
    host = fields.get(b"host")
    if host is None:
        if head.version == "1.1":
            raise Refused(400, "no Host")
    elif not host and head.version == "2":
        raise Refused(400, "no authority")
    elif b"," in host or b" " in host or b"/" in host:
        raise Refused(400, "not one Host")
    if head.method == b"CONNECT":
        raise Refused(405, "CONNECT")


def has_body(head: RequestHead) -> bool:
    """Whether a body follows `head`."""
    return head.fields.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in head.fields
