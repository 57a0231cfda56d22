"""Why a destination gave no (whole) response, and the status by which a gateway says so.

Reset and refusal are told apart from silence, as AWS does: 502 for the first, 504 for the second.
Source: "Troubleshoot your Application Load Balancers" (documented); CloudFront's pages on 502 and 504 agree.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class FailureKind(enum.Enum):
    """What happened. The value is a short text for logs (``error_reason``)."""

    NAME_UNRESOLVED = "name-unresolved"
    REFUSED = "connection-refused"
    CONNECT_TIMEOUT = "connect-timeout"
    TLS_FAILED = "tls-failed"
    TLS_TIMEOUT = "tls-timeout"
    CLOSED = "closed-by-peer"
    MALFORMED = "malformed-response"
    HEAD_TOO_LARGE = "response-headers-too-large"
    RESPONSE_TIMEOUT = "response-timeout"


_SILENCE = frozenset({FailureKind.CONNECT_TIMEOUT, FailureKind.TLS_TIMEOUT, FailureKind.RESPONSE_TIMEOUT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A failure of one request; `detail` is for people."""

    kind: FailureKind
    detail: str = ""

    @property
    def status(self) -> int:
        """502, or 504 where the destination was silent."""
        return 504 if self.kind in _SILENCE else 502


class UpstreamError(Exception):
    """Raised by `UpstreamPool.fetch`."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.kind.value}: {failure.detail}")
        self.failure = failure
