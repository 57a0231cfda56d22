"""The request which the edge sends to the origin: its target and its header fields.

A viewer's fields stay behind unless the behaviour's policy names them. Always sent are Host (the origin's own name, unless forwarded), User-Agent
(``Amazon CloudFront``, unless forwarded), Via, X-Forwarded-For with the viewer's address appended, X-Amz-Cf-Id, and with a body its type and coding.

Source: CloudFront developer guide, "Request and response behavior for custom origins", "Controlling origin requests" (documented);
a body keeps Content-Type and Content-Encoding, methods other than GET and HEAD keep Authorization (assumed).
"""

from __future__ import annotations

from services.cloudfront.admission import SAFE_METHODS
from services.cloudfront.cache_key import ALL, CacheKey, accept_encoding, chosen_cookies, chosen_headers
from services.cloudfront.config import Behavior, Origin
from services.cloudfront.messages import Header, Headers, ViewerRequest, find
from services.cloudfront.store import StoredResponse

USER_AGENT = b"Amazon CloudFront"
OF_THE_BODY = (b"content-type", b"content-encoding")
STRIPPED = frozenset({b"x-forwarded-proto", b"x-real-ip", b"expect", b"te", b"trailer", b"connection", b"keep-alive", b"upgrade", b"transfer-encoding", b"content-length"})
STRIPPED_PREFIXES = (b"x-edge-", b"proxy-")
SET_BY_EDGE = frozenset({b"host", b"user-agent", b"via", b"x-forwarded-for", b"x-amz-cf-id", b"cookie", b"accept-encoding", b"range"})


def origin_scheme(origin: Origin, viewer_is_secure: bool) -> tuple[bool, int]:
    """Whether the edge speaks TLS to the origin, and to which port."""
    secure = origin.protocol_policy == "https-only" or (origin.protocol_policy == "match-viewer" and viewer_is_secure)
    return secure, origin.https_port if secure else origin.http_port


def origin_target(behavior: Behavior, key: CacheKey, request: ViewerRequest) -> bytes:
    """Path and query for the origin: all of the query when the behaviour forwards it, else what is in the key."""
    query = request.query if behavior.forward_all_query_strings else key.query
    return key.path + b"?" + query if query else key.path


def origin_headers(behavior: Behavior, origin: Origin, key: CacheKey, request: ViewerRequest, *, cf_id: bytes, via_name: bytes) -> Headers:
    """The header fields for the origin, without those of message framing."""
    forwarded = tuple((name, value) for name, value in chosen_headers(behavior.cache_policy.headers, request) if _passes(name))
    named = {name.lower().encode() for name in behavior.cache_policy.headers}
    return (
        (b"Host", (request.fields.get(b"host") if b"host" in named else None) or _authority(origin, request.secure)),
        (b"User-Agent", (request.fields.get(b"user-agent") if b"user-agent" in named else None) or USER_AGENT),
        (b"Accept-Encoding", (b"br, gzip" if key.accept_encoding == b"br,gzip" else accept_encoding(behavior.cache_policy, request)) or b"identity"),
        *((name, value) for name, value in forwarded if name not in SET_BY_EDGE),
        *_kept_of(request, named),
        *_cookies(behavior, request),
        *((name.encode(), value.encode()) for name, value in origin.custom_headers),
        (b"X-Forwarded-For", b", ".join(filter(None, (request.fields.get(b"x-forwarded-for"), request.peer_address.encode())))),
        (b"Via", b", ".join(filter(None, (request.fields.get(b"via"), via(request.version, via_name))))),
        (b"X-Amz-Cf-Id", cf_id),
    )


def via(version: str, via_name: bytes) -> bytes:
    """This edge location in a `Via` field; the version is the viewer's."""
    return version.encode() + b" " + via_name + b" (CloudFront)"


def validators(stored: StoredResponse) -> Headers:
    """The conditions under which the origin may answer 304 for an expired copy; none if it has no validator or may not be revalidated."""
    if not stored.lifetime.conditional:
        return ()
    etag, modified = find(stored.headers, b"etag"), find(stored.headers, b"last-modified")
    conditions: tuple[Header | None, ...] = ((b"If-None-Match", etag) if etag else None, (b"If-Modified-Since", modified) if modified else None)
    return tuple(condition for condition in conditions if condition)


def _kept_of(request: ViewerRequest, named: set[bytes]) -> Headers:
    """Viewer fields that need no policy: those of a body, Authorization of methods that write, and the range of a read."""
    kept = (b"range",) if request.method in SAFE_METHODS else (*OF_THE_BODY, b"authorization")
    return tuple((name.title(), request.fields[name]) for name in kept if name in request.fields and name not in named)


def _cookies(behavior: Behavior, request: ViewerRequest) -> Headers:
    cookies = chosen_cookies(ALL if behavior.forward_all_cookies else behavior.cache_policy.cookies, request)
    return ((b"Cookie", cookies),) if cookies else ()


def _authority(origin: Origin, viewer_is_secure: bool) -> bytes:
    secure, port = origin_scheme(origin, viewer_is_secure)
    return f"{origin.domain_name}:{port}".encode() if port != (443 if secure else 80) else origin.domain_name.encode()


def _passes(name: bytes) -> bool:
    return name not in STRIPPED and not name.startswith(STRIPPED_PREFIXES)
