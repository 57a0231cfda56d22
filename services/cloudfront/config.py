"""Configuration of one CloudFront edge location: every distribution that it serves."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from services.common.config import LearntRateRule, Listen, Tls


@dataclass(frozen=True, slots=True, kw_only=True)
class CachePolicy:
    """Bounds of the time to live in seconds, and what is in the cache key; ``("*",)`` means all.

    The formats whose caching is enabled are added to the key, normalised, unless `max_ttl` is 0.
    """

    name: str
    min_ttl: int
    default_ttl: int
    max_ttl: int
    headers: tuple[str, ...] = ()
    cookies: tuple[str, ...] = ()
    query_strings: tuple[str, ...] = ()
    enable_accept_encoding_gzip: bool = True
    enable_accept_encoding_brotli: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """A custom origin. `protocol_policy` is ``http-only``, ``https-only`` or ``match-viewer``."""

    id: str
    domain_name: str
    protocol_policy: str
    http_port: int = 80
    https_port: int = 443
    custom_headers: tuple[tuple[str, str], ...] = ()
    connect_timeout_s: float = 10.0
    connect_attempts: int = 3
    response_timeout_s: float = 30.0
    keep_alive_timeout_s: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Behavior:
    """One cache behaviour; the last of a distribution has the pattern ``*``. `origin` names an `Origin`."""

    path_pattern: str
    origin: str
    viewer_protocol_policy: str
    allowed_methods: tuple[str, ...]
    cache_policy: CachePolicy
    forward_all_query_strings: bool = False
    forward_all_cookies: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """A distribution as an edge location sees it; `domain_name` is its own name, `aliases` its alternate ones."""

    id: str
    domain_name: str
    aliases: tuple[str, ...]
    origins: tuple[Origin, ...]
    behaviors: tuple[Behavior, ...]
    tls: Tls
    """Covers `domain_name` and every alias."""
    rate_rule: LearntRateRule | None = None
    """Shield Advanced's, which judges before anything else of the distribution."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One edge location. `pop` is its code in X-Amz-Cf-Pop (``LHR50-C1``). `resolvers` are asked for origin names; `trust_file` verifies origins' certificates."""

    name: str
    pop: str
    http: tuple[Listen, ...]
    https: tuple[Listen, ...]
    distributions: tuple[Distribution, ...]
    resolvers: tuple[IPv4Address, ...]
    trust_file: str | None = None
    cache_bytes: int = 256 * 1024 * 1024
