"""The cache of one edge location: what a request finds in it, and what an answer of the origin does to it.

    find ─→ fresh copy            → Hit
         ─→ stale, revalidating   → Hit at once, refreshed behind the viewer's back
         ─→ expired copy          → fetch on its validators: 304 → `refresh` (RefreshHit), 2xx → `keep` (Miss), failure → `stand_in` (Hit)
         ─→ nothing               → fetch: `keep` (Miss)

No I/O and no clock: `now_s` is the cache's clock in AWS's seconds, `wall_clock_s` is compared with HTTP dates.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from services.cloudfront.admission import SAFE_METHODS
from services.cloudfront.cache_key import CacheKey, cache_key
from services.cloudfront.config import Behavior
from services.cloudfront.freshness import ERROR_CACHING_MIN_TTL_S, Use, lifetime, serves_instead_of_failure, use
from services.cloudfront.messages import Headers, ViewerRequest
from services.cloudfront.responses import BODILESS, Heads, Result, stored_headers
from services.cloudfront.store import Store, StoredResponse


@dataclass(slots=True, kw_only=True)
class Found:
    """What the cache holds for a request. `use` says what `stored` is good for; without one the origin must answer."""

    key: CacheKey
    stored: StoredResponse | None
    use: Use


class Cache:
    """Looks up, keeps and refreshes objects."""

    def __init__(self, store: Store, heads: Heads) -> None:
        self.store = store
        self._heads = heads

    def find(self, distribution: str, behavior: Behavior, request: ViewerRequest, now_s: float) -> Found:
        """The copy for `request`. A HEAD finds the object of a GET first, then an answer fetched for HEAD."""
        key = cache_key(distribution, behavior.cache_policy, request)
        if request.method not in SAFE_METHODS:
            return Found(key=key, stored=None, use=Use.REVALIDATE)
        stored = self.store.get(key)
        if request.method == b"HEAD" and (stored is None or use(now_s - stored.fresh_from_s, stored.lifetime) is not Use.FRESH):
            key = key._replace(method=b"HEAD")
            stored = self.store.get(key)
        if stored is None:
            return Found(key=key, stored=None, use=Use.REVALIDATE)
        return Found(key=key, stored=stored, use=Use.FRESH if now_s < stored.retry_at_s else use(now_s - stored.fresh_from_s, stored.lifetime))

    def keep(
        self, key: CacheKey, behavior: Behavior, status: int, headers: Headers, body: bytes, length: int | None, now_s: float, wall_clock_s: float
    ) -> StoredResponse | None:
        """Keep a complete answer to GET or HEAD; None if it may not be kept. `headers` are the viewer's, `length` is what a HEAD was told."""
        kept = lifetime(status, headers, behavior, wall_clock_s)
        if kept is None:
            return None
        length = len(body) if key.method == b"GET" else length
        fields = stored_headers(headers)
        stored = StoredResponse(status=status, headers=fields, head=self._hit_head(status, fields, length), body=body, length=length, fresh_from_s=now_s, lifetime=kept)
        self.store.put(key, stored)
        return stored

    def refresh(self, key: CacheKey, stored: StoredResponse, behavior: Behavior, headers: Headers, now_s: float, wall_clock_s: float) -> StoredResponse:
        """The copy after a 304: the answer's fields replace those of the copy, and its time begins anew."""
        replaced = {name.lower() for name, _ in headers}
        fields = stored_headers((*(header for header in stored.headers if header[0].lower() not in replaced), *headers))
        kept = lifetime(stored.status, fields, behavior, wall_clock_s)
        if kept is None:
            self.store.remove((key,))
            return replace(stored, headers=fields)
        fresh = replace(stored, headers=fields, head=self._hit_head(stored.status, fields, stored.length), fresh_from_s=now_s, lifetime=kept, retry_at_s=0.0)
        self.store.put(key, fresh)
        return fresh

    def stand_in(self, key: CacheKey, stored: StoredResponse | None, status: int, now_s: float) -> StoredResponse | None:
        """The stale copy served instead of a failure with `status`, or None. The origin is left alone for the error caching time."""
        if stored is None or stored.status >= 400 or not serves_instead_of_failure(now_s - stored.fresh_from_s, stored.lifetime, status):
            return None
        resting = replace(stored, retry_at_s=now_s + ERROR_CACHING_MIN_TTL_S)
        self.store.put(key, resting)
        return resting

    def _hit_head(self, status: int, headers: Headers, length: int | None) -> bytes:
        framing = () if length is None or status in BODILESS else ((b"Content-Length", b"%d" % length),)
        return self._heads.of_hit(status, (*headers, *framing), Result.ERROR if status >= 400 else Result.HIT)
