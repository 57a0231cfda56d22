"""Whether a request may go on to the cache: CloudFront's limits, the behaviour's viewer protocol policy, its methods.

    limits (413, 403, 400) → behaviour → viewer protocol (301, 307, 403) → method (403) → admitted

NOT MODELLED here: WAF, geo restriction, signed URLs, viewer functions (they belong between the steps above).
Source: CloudFront developer guide, "Requiring HTTPS for communication between viewers and CloudFront", "Request and response behavior for
custom origins", "Quotas" (documented); 400 for a target that is no path, 403 for a method which is not allowed, and the order of the steps (assumed).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from services.cloudfront.config import Behavior
from services.cloudfront.messages import Headers, ViewerRequest

MAX_REQUEST_BYTES = 20480
MAX_URL_BYTES = 8192
MAX_CHAINED_DISTRIBUTIONS = 2
CHAIN_MARK = b".cloudfront.net (CloudFront)"
SAFE_METHODS = (b"GET", b"HEAD")


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The edge answers by itself with an error page; `reason` is its sentence."""

    status: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirect:
    """The edge sends the viewer to HTTPS."""

    status: int
    location: bytes


NOT_CONFIGURED = "No distribution has this host name."
NO_PATH = "The request names no path of this host."
TOO_LARGE = "The request is larger than CloudFront takes."
BODY_OF_GET = "A GET request must not have a body."
CHAINED = "The request passed through too many CloudFront distributions."
RATE = "Request blocked. Too many requests came from this address while an attack is being mitigated."
HTTPS_ONLY = "This distribution is not configured to allow HTTP requests to this path: use HTTPS."
METHOD = "This distribution is not configured to allow the HTTP request method that was used for this request."


def within_limits(request: ViewerRequest) -> Refusal | None:
    """The first of CloudFront's own limits which the request breaks, or None."""
    if len(request.target) > MAX_URL_BYTES or size_bytes(request.method, request.target, request.headers) > MAX_REQUEST_BYTES:
        return Refusal(status=413, reason=TOO_LARGE)
    if not request.target.startswith(b"/"):
        return Refusal(status=400, reason=NO_PATH)
    if request.has_body and request.method in SAFE_METHODS:
        return Refusal(status=403, reason=BODY_OF_GET)
    if request.fields.get(b"via", b"").count(CHAIN_MARK) >= MAX_CHAINED_DISTRIBUTIONS:
        return Refusal(status=403, reason=CHAINED)
    return None


def admit(request: ViewerRequest, behavior: Behavior) -> Refusal | Redirect | None:
    """None when the behaviour takes the request, else the edge's own answer."""
    if not request.secure and behavior.viewer_protocol_policy != "allow-all":
        if behavior.viewer_protocol_policy == "https-only":
            return Refusal(status=403, reason=HTTPS_ONLY)
        safe = request.method in SAFE_METHODS
        if not safe and request.version == "1.0":
            return Refusal(status=403, reason=HTTPS_ONLY)
        return Redirect(status=301 if safe else 307, location=b"https://" + request.host + request.target)
    if request.method.decode("latin-1") not in behavior.allowed_methods:
        return Refusal(status=403, reason=METHOD)
    return None


def size_bytes(method: bytes, target: bytes, headers: Headers) -> int:
    """The head's size, its body left aside: request line and fields with their separators (assumed to be what AWS counts)."""
    return len(method) + len(target) + 12 + 4 * len(headers) + sum(map(len, itertools.chain.from_iterable(headers)))
