"""What makes two requests the same object, and what of a request reaches the origin because of it.

The key is the distribution and the path, plus exactly the headers, cookies and query strings of the cache policy, plus the normalised
`Accept-Encoding`; what is in the key is sent to the origin. Viewer headers outside of it (`Authorization`, `Cookie`, `Cache-Control`)
change nothing: that is how a cached page of one user reaches another when the policy is wrong.

Source: CloudFront developer guide, "Understanding the cache key", "Controlling the cache key", "Caching content based on cookies" (documented).
"""

from __future__ import annotations

from typing import NamedTuple

from services.cloudfront.config import Behavior, CachePolicy
from services.cloudfront.messages import Header, ViewerRequest, list_members

ALL = ("*",)


class CacheKey(NamedTuple):
    """One object at an edge location. `method` is ``HEAD`` only for an answer that was fetched without its body."""

    distribution: str
    path: bytes
    query: bytes = b""
    headers: tuple[Header, ...] = ()
    cookies: bytes = b""
    accept_encoding: bytes = b""
    method: bytes = b"GET"


def cache_key(distribution: str, policy: CachePolicy, request: ViewerRequest) -> CacheKey:
    """The key under which the answer to `request` is looked up."""
    path, _, query = request.target.partition(b"?")
    return CacheKey(
        distribution,
        path,
        chosen_query(policy.query_strings, query) if policy.query_strings else b"",
        chosen_headers(policy.headers, request) if policy.headers else (),
        chosen_cookies(policy.cookies, request) if policy.cookies else b"",
        accept_encoding(policy, request),
    )


def caching_disabled(policy: CachePolicy) -> bool:
    """Whether nothing is ever kept, as under the managed policy CachingDisabled."""
    return policy.max_ttl == 0


def forwards_cookies(behavior: Behavior) -> bool:
    """Whether the origin sees any of the viewer's cookies."""
    return bool(behavior.cache_policy.cookies) or behavior.forward_all_cookies


def accept_encoding(policy: CachePolicy, request: ViewerRequest) -> bytes:
    """``br,gzip``, ``gzip`` or ``br``: what the viewer takes of the formats the policy caches; empty (``identity`` to the origin) if none."""
    if caching_disabled(policy):
        return b""
    sent = request.fields.get(b"accept-encoding")
    if not sent:
        return b""
    taken = list_members(sent)
    brotli = policy.enable_accept_encoding_brotli and b"br" in taken
    gzip = policy.enable_accept_encoding_gzip and b"gzip" in taken
    return b"br,gzip" if brotli and gzip else b"br" if brotli else b"gzip" if gzip else b""


def chosen_headers(names: tuple[str, ...], request: ViewerRequest) -> tuple[Header, ...]:
    """The viewer's fields among `names`, by name; repeated ones joined."""
    wanted = sorted(name.lower().encode() for name in names)
    return tuple((name, request.fields[name]) for name in wanted if name in request.fields)


def chosen_query(names: tuple[str, ...], query: bytes) -> bytes:
    """The query string reduced to the parameters called `names`, in the viewer's order (it is part of the key's identity)."""
    if names == ALL or not query:
        return query
    wanted = {name.encode() for name in names}
    return b"&".join(parameter for parameter in query.split(b"&") if parameter.partition(b"=")[0] in wanted)


def chosen_cookies(names: tuple[str, ...], request: ViewerRequest) -> bytes:
    """The value of a `Cookie` field with the viewer's cookies called `names`, sorted by name; names are case-sensitive."""
    wanted = {name.encode() for name in names}
    cookies: list[Header] = []
    for field, value in request.headers:
        if field.lower() == b"cookie":
            for pair in value.split(b";"):
                name, _, content = pair.strip().partition(b"=")
                if name and (names == ALL or name in wanted):
                    cookies.append((name, content))
    return b"; ".join(name + b"=" + content for name, content in sorted(cookies))
