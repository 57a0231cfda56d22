"""CloudFront distributions: host names at the edge, behaviours by path, and the origins behind them.

What is cached for how long is the daemon's: `services/cloudfront`. Source: CloudFront developer guide, "Values that you specify",
"Controlling the cache key", "Using the managed cache policies" (documented).
"""

from __future__ import annotations

from dataclasses import dataclass

from testbed.model.values import Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class CachePolicy:
    """What is part of the cache key (and therefore reaches the origin), and the bounds of the time to live, in seconds.

    `headers`, `cookies` and `query_strings` are names; ``("*",)`` means all of them (not for headers).
    """

    name: str
    min_ttl: int = 0
    default_ttl: int = 86400
    max_ttl: int = 31536000
    headers: tuple[str, ...] = ()
    cookies: tuple[str, ...] = ()
    query_strings: tuple[str, ...] = ()


CACHING_OPTIMIZED = CachePolicy(name="CachingOptimized", min_ttl=1)
CACHING_DISABLED = CachePolicy(name="CachingDisabled", min_ttl=0, default_ttl=0, max_ttl=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheBehavior:
    """What happens to requests whose path matches `path_pattern` (``*`` for the default behaviour, which is tried last)."""

    target_origin_id: str
    path_pattern: str = "*"
    viewer_protocol_policy: str = "redirect-to-https"
    allowed_methods: tuple[str, ...] = ("GET", "HEAD")
    cache_policy: CachePolicy = CACHING_OPTIMIZED
    forward_all_query_strings: bool = False
    forward_all_cookies: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """A custom origin. `origin_protocol_policy` is ``http-only``, ``https-only`` or ``match-viewer``."""

    id: str
    domain_name: str
    origin_protocol_policy: str = "https-only"
    http_port: int = 80
    https_port: int = 443
    origin_custom_headers: tuple[tuple[str, str], ...] = ()


ALL_METHODS = ("GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """A distribution; `aliases` are its alternate domain names, `cache_behaviors` in the order they are tried."""

    id: str
    aliases: tuple[str, ...] = ()
    origins: tuple[Origin, ...] = ()
    default_cache_behavior: CacheBehavior
    cache_behaviors: tuple[CacheBehavior, ...] = ()

    def faults(self) -> tuple[Fault, ...]:
        return ()
