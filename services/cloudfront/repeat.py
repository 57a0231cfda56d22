"""Hits that repeat: what was decided for one request holds for every other one that agrees in all that was decided upon.

For a GET without conditions, range, body or `Via`, under a cache policy that names no header and no cookie, admission and key follow from Host, target,
Accept-Encoding and scheme alone. `Repeats` remembers them from the first such hit on; the object itself is looked up, and its age judged, every time.
Everything else takes the long way through `Edge`, with the same outcome: this module only saves time.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from services.cloudfront.admission import MAX_REQUEST_BYTES, size_bytes
from services.cloudfront.cache_key import CacheKey
from services.cloudfront.config import Behavior
from services.cloudfront.messages import ViewerRequest
from services.cloudfront.responses import Result
from services.cloudfront.store import Store
from services.cloudfront.visit import PARTIAL, new_cf_id, send_hit
from services.common.events import EDGE_REQUEST, EventLog
from services.common.http import Exchange

REMEMBERED = 8192
DECIDES_OTHERWISE = PARTIAL | {b"via", b"x-amzn-trace-id"}

_Asked = tuple[bytes | None, bytes, bytes | None, bool]


@dataclass(frozen=True, slots=True)
class _Decided:
    """The key, and what the log says of every such request."""

    key: CacheKey
    told: dict[str, object]


class Repeats:
    """What was decided, by (Host, target, Accept-Encoding, secure)."""

    def __init__(self, store: Store, events: EventLog, pop: str) -> None:
        self._store = store
        self._events = events
        self._pop = pop
        self._decided: dict[_Asked, _Decided] = {}

    def forget(self) -> None:
        """The configuration changed: decide anew."""
        self._decided.clear()

    def remember(self, request: ViewerRequest, behavior: Behavior, key: CacheKey) -> None:
        """`request` was a hit under `key`."""
        policy, fields = behavior.cache_policy, request.fields
        if request.method != b"GET" or policy.headers or policy.cookies or not fields.keys().isdisjoint(DECIDES_OTHERWISE):
            return
        if len(self._decided) >= REMEMBERED:
            self._decided.clear()
        self._decided[fields.get(b"host"), request.target, fields.get(b"accept-encoding"), request.secure] = _Decided(
            key, {"method": "GET", "host": request.host.decode("latin-1"), "uri": request.target.decode("latin-1"), "pop": self._pop, "behavior": behavior.path_pattern}
        )

    def answer(self, exchange: Exchange, now_s: float, *, secure: bool) -> bool:
        """Answer from the cache if this request repeats a known hit and the object is fresh; whether it was done."""
        head = exchange.head
        fields = head.fields
        decided = self._decided.get((fields.get(b"host"), head.target, fields.get(b"accept-encoding"), secure))
        if decided is None or head.method != b"GET" or not exchange.ended or exchange.body or not fields.keys().isdisjoint(DECIDES_OTHERWISE):
            return False
        stored = self._store.get(decided.key)
        if stored is None or now_s - stored.fresh_from_s >= stored.lifetime.ttl_s or not exchange.keep_alive or exchange.connection.last:
            return False
        if size_bytes(head.method, head.target, head.headers) > MAX_REQUEST_BYTES:
            return False
        cf_id, age_s = new_cf_id(), int(now_s - stored.fresh_from_s)
        send_hit(exchange, stored, cf_id, age_s)
        self._events.emit(
            EDGE_REQUEST,
            cf_id=cf_id.decode(),
            status=stored.status,
            result=Result.ERROR if stored.status >= 400 else Result.HIT,
            peer=exchange.peer,
            duration_ms=(time.perf_counter() - exchange.received_at) * 1000,
            age_s=age_s,
            **decided.told,
        )
        return True
