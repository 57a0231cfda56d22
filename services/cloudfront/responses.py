"""What a viewer gets: the origin's header fields as CloudFront lets them through, its own fields, and a serialised head.

    origin's fields ─ hop-by-hop, cookies, Vary ─→ + Date, Via, X-Cache, X-Amz-Cf-Pop, X-Amz-Cf-Id, Age

`Server: CloudFront` stands only on what the edge makes itself. The head of a hit is serialised once, when the object is stored: up to the value of
X-Amz-Cf-Id, which with Age is all that differs from hit to hit.

Source: CloudFront developer guide, "Request and response behavior for custom origins", "Caching content based on cookies" (documented);
X-Cache, X-Amz-Cf-Pop, Age and Server as captured from real responses (measured); a viewer's condition answered 304 from the cache (assumed).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

from services.cloudfront.cache_key import forwards_cookies
from services.cloudfront.config import Behavior
from services.cloudfront.messages import CacheControl, Header, Headers, ViewerRequest, find, joined, list_members, seconds_since_epoch
from services.common.http.head import reason_phrase

HOP_BY_HOP = frozenset({b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"content-length"})
SET_BY_EDGE = frozenset({b"x-cache", b"x-amz-cf-pop", b"x-amz-cf-id", b"age", b"via"})
OF_NOT_MODIFIED = frozenset({b"cache-control", b"content-location", b"date", b"etag", b"expires", b"last-modified", b"vary"})
ALWAYS_IN_VARY = frozenset({b"accept-encoding", b"cookie"})
BODILESS = frozenset({204, 304})


class Result(enum.StrEnum):
    """How the edge came by its answer, as `X-Cache` and the log say it."""

    HIT = "Hit"
    MISS = "Miss"
    REFRESH_HIT = "RefreshHit"
    ERROR = "Error"
    REDIRECT = "Redirect"


X_CACHE = {result: result.encode() + b" from cloudfront" for result in Result}


class Heads:
    """The fields that one edge location adds, and the serialised head of a hit."""

    def __init__(self, pop: str, via_name: bytes) -> None:
        self._via = (b"Via", b"1.1 %s (CloudFront)" % via_name)
        self._pop = (b"X-Amz-Cf-Pop", pop.encode())

    def fields(self, result: Result, cf_id: bytes, age_s: int | None) -> Headers:
        """The edge's own fields."""
        own = ((b"X-Cache", X_CACHE[result]), self._via, self._pop, (b"X-Amz-Cf-Id", cf_id))
        return own if age_s is None else (*own, (b"Age", b"%d" % age_s))

    def of_hit(self, status: int, headers: Headers, result: Result) -> bytes:
        """A head for a connection that is kept, up to the value of X-Amz-Cf-Id; `tail` is what follows. `headers` say how the body is framed."""
        lines = (*headers, (b"Connection", b"keep-alive"), (b"X-Cache", X_CACHE[result]), self._via, self._pop)
        return b"HTTP/1.1 %d %s\r\n%sX-Amz-Cf-Id: " % (status, reason_phrase(status), b"".join(b"%s: %s\r\n" % line for line in lines))


def tail(cf_id: bytes, age_s: int) -> bytes:
    """What follows `Heads.of_hit`."""
    return b"%s\r\nAge: %d\r\n\r\n" % (cf_id, age_s)


def viewer_headers(headers: Headers, behavior: Behavior, date: bytes) -> Headers:
    """The origin's fields that reach the viewer, with `date` where the origin gave none; without those that frame the body."""
    dropped = HOP_BY_HOP | SET_BY_EDGE | frozenset(list_members(joined(headers, b"connection")))
    if not forwards_cookies(behavior):
        dropped |= {b"set-cookie"}
    kept: list[Header] = []
    for name, value in headers:
        lower = name.lower()
        if lower == b"vary":
            value = _vary(value, behavior)
        if lower not in dropped and (value or lower != b"vary"):
            kept.append((name, value))
    if find(headers, b"date") is None:
        kept.append((b"Date", date))
    return tuple(kept)


def stored_headers(headers: Headers) -> Headers:
    """Of the viewer's fields, those which are kept: without the ones that `no-cache` names."""
    named = CacheControl.parse(joined(headers, b"cache-control")).no_cache_fields
    return tuple(header for header in headers if header[0].lower() not in named) if named else headers


def is_not_modified(request: ViewerRequest, headers: Headers) -> bool:
    """Whether the viewer's own copy is good: If-None-Match by weak comparison, else If-Modified-Since (RFC 9110, 13.1)."""
    wanted = request.fields.get(b"if-none-match")
    if wanted is not None:
        etag = find(headers, b"etag")
        return wanted.strip() == b"*" or (etag is not None and etag.removeprefix(b"W/") in {tag.strip().removeprefix(b"W/") for tag in wanted.split(b",")})
    since = request.fields.get(b"if-modified-since")
    modified = find(headers, b"last-modified")
    if since is None or modified is None:
        return False
    since_s, modified_s = seconds_since_epoch(since), seconds_since_epoch(modified)
    return since_s is not None and modified_s is not None and modified_s <= since_s


def only(names: Iterable[bytes], headers: Headers) -> Headers:
    """The fields with one of `names` (lower case)."""
    return tuple(header for header in headers if header[0].lower() in names)


def _vary(value: bytes, behavior: Behavior) -> bytes:
    """`Vary` reduced to what may still differ behind this behaviour's key."""
    named = {name.lower().encode() for name in behavior.cache_policy.headers} | ALWAYS_IN_VARY
    return b", ".join(member.strip() for member in value.split(b",") if member.strip().lower() in named)
