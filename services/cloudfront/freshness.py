"""How long an answer of the origin is kept, and what an expired copy is still good for.

    no-store, no-cache or private:  ttl = min TTL                      (a min TTL above 0 overrides the origin's prohibition)
    s-maxage, max-age or Expires:   ttl = that, within min and max TTL
    none of them:                   ttl = max(default TTL, min TTL)

Errors have their own rule: kept for 10 s or their own max-age, whichever is longer. What the viewer's `Cache-Control` says never matters.
Times are seconds on the cache's clock; only `Expires` is compared with the origin's `Date` (or, without one, the wall clock).

Source: CloudFront developer guide, "Manage how long content stays in the cache (expiration)", "How CloudFront processes HTTP 4xx and 5xx
status codes", "Request and response behavior for custom origins" (documented); `no-cache` under min TTL 0 is stored and revalidated every time (measured).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from services.cloudfront.cache_key import caching_disabled, forwards_cookies
from services.cloudfront.config import Behavior, CachePolicy
from services.cloudfront.messages import CacheControl, Headers, find, joined, list_members, seconds_since_epoch

ERROR_CACHING_MIN_TTL_S = 10
ERRORS_ALWAYS_CACHED = frozenset({404, 414, 500, 501, 502, 503, 504})
ERRORS_CACHED_IF_SAID = frozenset({400, 403, 405, 412, 415})
NOT_STORED = frozenset({101, 206, 304, 416})


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetime:
    """How long an answer may be used: fresh for `ttl_s`; afterwards, for so many seconds, stale while it is revalidated, or while the origin fails.

    `conditional` tells whether an expired copy may be revalidated with its validators; otherwise it is fetched anew.
    """

    ttl_s: int
    stale_while_revalidate_s: int
    stale_if_error_s: float
    conditional: bool


class Use(enum.Enum):
    """What a stored copy is good for at a moment."""

    FRESH = "fresh"
    STALE_WHILE_REVALIDATE = "stale, while it is revalidated"
    REVALIDATE = "expired"


def time_to_live(control: CacheControl, expires_in_s: float | None, policy: CachePolicy) -> int:
    """The time to live in seconds of an answer that is no error."""
    age = control.shared_age if control.shared_age is not None else expires_in_s
    if control.forbids_caching:
        return policy.min_ttl
    if age is not None:
        return int(max(policy.min_ttl, min(age, policy.max_ttl)))
    return max(policy.default_ttl, policy.min_ttl)


def error_time_to_live(status: int, control: CacheControl) -> int | None:
    """The time to live in seconds of an error; None if it is not kept."""
    if status in ERRORS_ALWAYS_CACHED or (status in ERRORS_CACHED_IF_SAID and control.shared_age is not None):
        return max(ERROR_CACHING_MIN_TTL_S, control.shared_age or 0)
    return None


def lifetime(status: int, headers: Headers, behavior: Behavior, wall_clock_s: float) -> Lifetime | None:
    """The lifetime of an answer to GET or HEAD; None if it must not be kept at all."""
    policy = behavior.cache_policy
    if caching_disabled(policy) or status in NOT_STORED or status < 200:
        return None
    control = CacheControl.parse(joined(headers, b"cache-control"))
    if status >= 400:
        kept = error_time_to_live(status, control)
        return None if kept is None else Lifetime(ttl_s=kept, stale_while_revalidate_s=0, stale_if_error_s=0, conditional=False)
    if policy.min_ttl == 0 and (control.no_store or control.private):
        return None
    varies_on_everything = b"*" in list_members(joined(headers, b"vary"))
    ttl_s = 0 if varies_on_everything and policy.min_ttl == 0 else time_to_live(control, _expires_in_s(headers, wall_clock_s), policy)
    return Lifetime(
        ttl_s=ttl_s,
        stale_while_revalidate_s=min(control.stale_while_revalidate or 0, policy.max_ttl),
        stale_if_error_s=float("inf") if control.stale_if_error is None else min(control.stale_if_error, policy.max_ttl),
        conditional=not varies_on_everything and not forwards_cookies(behavior),
    )


def use(age_s: float, kept: Lifetime) -> Use:
    """What a copy of this age is good for."""
    if age_s < kept.ttl_s:
        return Use.FRESH
    if age_s < kept.ttl_s + kept.stale_while_revalidate_s:
        return Use.STALE_WHILE_REVALIDATE
    return Use.REVALIDATE


def serves_instead_of_failure(age_s: float, kept: Lifetime, status: int) -> bool:
    """Whether a copy of this age stands in for a failed origin: unreachable (502, 504) or answering 5xx. A 4xx is the viewer's to see.

    Without a directive any stale copy does; ``stale-if-error=0`` turns that off.
    """
    return status >= 500 and age_s < kept.ttl_s + kept.stale_if_error_s


def collapses(behavior: Behavior) -> bool:
    """Whether concurrent misses of one key wait for a single fetch. An answer that then turns out not to be shareable still sends each to the origin."""
    return not caching_disabled(behavior.cache_policy) and not forwards_cookies(behavior)


def is_shareable(headers: Headers, policy: CachePolicy) -> bool:
    """Whether a fetched answer may go to the requests which waited for it."""
    control = CacheControl.parse(joined(headers, b"cache-control"))
    return policy.min_ttl > 0 or not (control.forbids_caching or control.max_age == 0)


def _expires_in_s(headers: Headers, wall_clock_s: float) -> float | None:
    """Seconds from the answer's date to its `Expires`; a malformed one has already passed (RFC 9111, 5.3)."""
    expires = find(headers, b"expires")
    if expires is None:
        return None
    until = seconds_since_epoch(expires)
    date = seconds_since_epoch(find(headers, b"date") or b"")
    return max(0.0, until - (date if date is not None else wall_clock_s)) if until is not None else 0.0
