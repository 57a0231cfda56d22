"""CloudFront distributions: host names at the edge, behaviours by path, and the origins behind them.

What is cached for how long is the daemon's: `services/cloudfront`. Source: CloudFront developer guide, "Values that you specify",
"Controlling the cache key", "Using the managed cache policies" (documented).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from testbed.model.hosted_zone import is_domain_name
from testbed.model.values import Fault, bounds_faults, choice_faults, did_you_mean, id_faults


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


ALL_METHODS = ("GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE")
METHOD_SETS = (frozenset(("GET", "HEAD")), frozenset(("GET", "HEAD", "OPTIONS")), frozenset(ALL_METHODS))
VIEWER_PROTOCOL_POLICIES = ("allow-all", "https-only", "redirect-to-https")
ORIGIN_PROTOCOL_POLICIES = ("http-only", "https-only", "match-viewer")

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

    def faults(self, distribution_id: str, origin_ids: frozenset[str]) -> Iterator[Fault]:
        """What is wrong with the behaviour within its distribution."""
        name = f"{distribution_id} {self.path_pattern}"
        if self.target_origin_id not in origin_ids:
            yield Fault(resource=name, problem=f"target_origin_id {self.target_origin_id!r} is no origin of the distribution", remedy=did_you_mean(self.target_origin_id, origin_ids))
        yield from choice_faults(name, "viewer_protocol_policy", self.viewer_protocol_policy, VIEWER_PROTOCOL_POLICIES)
        if frozenset(self.allowed_methods) not in METHOD_SETS:
            remedy = "allow GET and HEAD; GET, HEAD and OPTIONS; or all seven (ALL_METHODS)"
            yield Fault(resource=name, problem=f"allowed_methods {', '.join(self.allowed_methods)} is no set that CloudFront offers", remedy=remedy)
        policy = self.cache_policy
        if not 0 <= policy.min_ttl <= policy.default_ttl <= policy.max_ttl:
            yield Fault(resource=name, problem=f"cache policy {policy.name}: the TTLs are out of order", remedy="keep 0 <= min_ttl <= default_ttl <= max_ttl")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """A custom origin. `origin_protocol_policy` is ``http-only``, ``https-only`` or ``match-viewer``."""

    id: str
    domain_name: str
    origin_protocol_policy: str = "https-only"
    http_port: int = 80
    https_port: int = 443
    origin_custom_headers: tuple[tuple[str, str], ...] = ()

    def faults(self, distribution_id: str) -> Iterator[Fault]:
        """What is wrong with the origin by itself. Ports: 80, 443 and 1024-65535 (CloudFront developer guide, "Origin settings"; documented)."""
        name = f"{distribution_id} {self.id}"
        yield from choice_faults(name, "origin_protocol_policy", self.origin_protocol_policy, ORIGIN_PROTOCOL_POLICIES)
        if not is_domain_name(self.domain_name):
            yield Fault(resource=name, problem=f"domain_name {self.domain_name!r} is not a domain name", remedy="name the origin by a DNS name, not by an address or id")
        for field, port in (("http_port", self.http_port), ("https_port", self.https_port)):
            if port not in (80, 443):
                yield from bounds_faults(name, field, port, 1024, 65535)


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """A distribution; `aliases` are its alternate domain names, `cache_behaviors` in the order they are tried."""

    id: str
    aliases: tuple[str, ...] = ()
    origins: tuple[Origin, ...] = ()
    default_cache_behavior: CacheBehavior
    cache_behaviors: tuple[CacheBehavior, ...] = ()

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the distribution by itself."""
        origin_ids = frozenset(origin.id for origin in self.origins)
        behaviors = (self.default_cache_behavior, *self.cache_behaviors)
        return (
            *id_faults(self.id),
            *(fault for origin in self.origins for fault in origin.faults(self.id)),
            *(fault for behavior in behaviors for fault in behavior.faults(self.id, origin_ids)),
            *self._faults_across(),
        )

    def _faults_across(self) -> Iterator[Fault]:
        if not self.origins:
            yield Fault(resource=self.id, problem="no origin", remedy="give at least one Origin")
        for origin_id, times in Counter(origin.id for origin in self.origins).items():
            if times > 1:
                yield Fault(resource=f"{self.id} {origin_id}", problem=f"{times} origins have this id", remedy="give each origin an id of its own")
        for pattern, times in Counter(behavior.path_pattern for behavior in self.cache_behaviors).items():
            if times > 1:
                yield Fault(resource=f"{self.id} {pattern}", problem=f"{times} behaviours have this path pattern", remedy="keep one behaviour for each path pattern")
        if self.default_cache_behavior.path_pattern != "*":
            yield Fault(resource=self.id, problem="the default behaviour has a path pattern", remedy="leave it *, and put the pattern into cache_behaviors")
        for alias in self.aliases:
            if not is_domain_name(alias.removeprefix("*.")):
                yield Fault(resource=self.id, problem=f"alias {alias!r} is not a domain name", remedy="write it in lower case, labels joined by dots, without a final dot")
