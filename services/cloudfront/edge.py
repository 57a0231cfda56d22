"""An edge location at work: every request through admission, cache and origin, in that order.

    request ─ distribution by Host ─ rate rule ─ limits ─ behaviour ─ viewer protocol, method ─ cache ─┬─ hit: answered here and now
                                                                                           └─ fetch: joined (collapsing) or begun

Decisions are made by the pure modules; this one holds what lives as long as the daemon: cache, fetches in flight, pools, clocks.
The cache's clock runs `time_scale` times as fast as the world's, so that Age and TTL are AWS's while a lab hurries.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import logging
import time

from services.cloudfront.admission import NOT_CONFIGURED, RATE, SAFE_METHODS, Redirect, Refusal, admit, within_limits
from services.cloudfront.behaviors import Behaviors
from services.cloudfront.cache import Cache, Found
from services.cloudfront.cache_key import CacheKey
from services.cloudfront.config import Behavior, Config, Distribution, Origin
from services.cloudfront.error_pages import error_page
from services.cloudfront.freshness import Use, collapses
from services.cloudfront.messages import Header, ViewerRequest
from services.cloudfront.origin_fetch import OriginFetch
from services.cloudfront.origins import Origins, Resolver
from services.cloudfront.repeat import Repeats
from services.cloudfront.responses import Heads, Result
from services.cloudfront.store import Store
from services.cloudfront.visit import Visit, new_cf_id
from services.common.events import SHIELD_MITIGATION
from services.common.http import Exchange, ServerConnection
from services.common.http.head import HttpDate
from services.common.rate_rule import WINDOW_S, RateRule
from services.common.runtime import Runtime

log = logging.getLogger(__name__)


class Site:
    """A distribution, ready for requests."""

    def __init__(self, distribution: Distribution) -> None:
        self.id = distribution.id
        self.behaviors = Behaviors(distribution.behaviors)
        self.origins: dict[str, Origin] = {origin.id: origin for origin in distribution.origins}
        self.rate_rule: RateRule | None = None


class Sites:
    """Distributions by host name; an exact name beats a wildcard, which covers one label."""

    def __init__(self, distributions: tuple[Distribution, ...]) -> None:
        self._by_name: dict[bytes, Site] = {}
        for distribution in distributions:
            site = Site(distribution)
            for name in (distribution.domain_name, *distribution.aliases):
                self._by_name[name.lower().encode()] = site

    def find(self, host: bytes) -> Site | None:
        """The distribution of `host`, or None."""
        site = self._by_name.get(host)
        if site is None:
            name = host.lower().removesuffix(b".")
            site = self._by_name.get(name) or self._by_name.get(b"*." + name.partition(b".")[2])
        return site


class Edge:
    """What all listeners of an edge location share."""

    def __init__(self, config: Config, runtime: Runtime, tasks: asyncio.TaskGroup, resolver: Resolver) -> None:
        self.pop = config.pop
        self.events = runtime.events
        self.via_name = hashlib.md5(config.name.encode(), usedforsecurity=False).hexdigest().encode() + b".cloudfront.net"
        self.heads = Heads(config.pop, self.via_name)
        self.cache = Cache(Store(config.cache_bytes), self.heads)
        self.origins = Origins(runtime, tasks, resolver, config.trust_file)
        self._rate_rules: tuple[RateRule, ...] = ()
        self._repeats = Repeats(self.cache.store, runtime.events, config.pop)
        self._in_flight: dict[CacheKey, OriginFetch] = {}
        self._sites = Sites(config.distributions)
        self._time_scale = runtime.time_scale
        self._protect(config)
        self._date = HttpDate()

    def configure(self, config: Config, origins: Origins) -> None:
        """Take new distributions; objects of those that are gone are forgotten."""
        self._sites = Sites(config.distributions)
        self._protect(config)
        self._repeats.forget()
        self.cache.store.keep_distributions(frozenset(distribution.id for distribution in config.distributions))
        self.origins.close()
        self.origins = origins

    def _protect(self, config: Config) -> None:
        """Give the distributions their rate rules; one that is as it was goes on with what it has learnt."""
        known = {rule.config: rule for rule in self._rate_rules}
        rules = []
        for distribution in config.distributions:
            site = self._sites.find(distribution.domain_name.lower().encode())
            if distribution.rate_rule is None or site is None:
                continue
            wanted = distribution.rate_rule
            site.rate_rule = known.get(wanted) or RateRule(wanted, WINDOW_S, self.now_s(), functools.partial(self._tell_mitigation, wanted.origin))
            rules.append(site.rate_rule)
        self._rate_rules = tuple(rules)

    def _tell_mitigation(self, protection: str, what: str, limit: int) -> None:
        self.events.emit(SHIELD_MITIGATION, protection=protection, mitigation=what, limit=limit, pop=self.pop)

    # -- clocks

    def now_s(self) -> float:
        """The cache's clock, in AWS's seconds."""
        return time.monotonic() * self._time_scale

    def wall_clock_s(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def date(self) -> bytes:
        """The value of a Date field, now."""
        return self._date.at(time.time())

    # -- requests

    def handle(self, exchange: Exchange, *, secure: bool) -> None:
        """Answer one request, or see to it that it is answered."""
        if not self._rate_rules and self._repeats.answer(exchange, self.now_s(), secure=secure):
            return
        head = exchange.head
        fields = head.fields
        request = ViewerRequest(
            method=head.method, target=head.target, version=head.version, headers=head.headers, fields=fields, host=fields.get(b"host", b"").partition(b":")[0],
            peer_address=exchange.peer.partition(":")[0], secure=secure, has_body=bool(exchange.body) or not exchange.ended,
        )
        visit = Visit(self, exchange, request, new_cf_id())
        site = self._sites.find(request.host)
        if site is not None and site.rate_rule is not None:
            visit.rate_rule = site.rate_rule
            if site.rate_rule.blocks(request.peer_address, self.now_s()):
                visit.refuse(Refusal(status=403, reason=RATE))
                return
        refusal = within_limits(request) if site is not None else Refusal(status=403, reason=NOT_CONFIGURED)
        if site is None or refusal is not None:
            visit.refuse(refusal or Refusal(status=403, reason=NOT_CONFIGURED))
            return
        behavior = visit.behavior = site.behaviors.select(request.target.partition(b"?")[0])
        verdict = admit(request, behavior)
        if verdict is None:
            self._look_up(visit, site, behavior)
        elif isinstance(verdict, Redirect):
            visit.redirect(verdict)
        else:
            visit.refuse(verdict)

    def refusal_of_malformed(self, status: int, reason: str) -> tuple[list[Header], bytes]:
        """Fields and page for what is no HTTP request."""
        log.info("refused with %d: %s", status, reason)
        cf_id = new_cf_id()
        return [(b"Server", b"CloudFront"), (b"Content-Type", b"text/html"), *self.heads.fields(Result.ERROR, cf_id, None)], error_page(status, "Bad request.", cf_id)

    def _look_up(self, visit: Visit, site: Site, behavior: Behavior) -> None:
        now_s = self.now_s()
        request = visit.request
        found = self.cache.find(site.id, behavior, request, now_s)
        if found.stored is not None and found.use is not Use.REVALIDATE:
            visit.serve(found.stored, Result.HIT, now_s)
            self._repeats.remember(request, behavior, found.key)
            if found.use is Use.STALE_WHILE_REVALIDATE and found.key not in self._in_flight:
                self._fetch(found, site, behavior, request, visit.cf_id, None)
            return
        joined = self._in_flight.get(found.key)
        if joined is not None and self._may_collapse(behavior, found, request):
            joined.join(visit)
        else:
            self._fetch(found, site, behavior, request, visit.cf_id, visit)

    def _may_collapse(self, behavior: Behavior, found: Found, request: ViewerRequest) -> bool:
        """Whether this request may share a fetch. A range that is not in the cache is fetched by itself."""
        return request.method in SAFE_METHODS and collapses(behavior) and (found.stored is not None or b"range" not in request.fields)

    def _fetch(self, found: Found, site: Site, behavior: Behavior, request: ViewerRequest, cf_id: bytes, visit: Visit | None, *, alone: bool = False) -> None:
        fetch = OriginFetch(self, found, behavior, site.origins[behavior.origin], request, cf_id)
        if found.key not in self._in_flight and (visit is None or (not alone and self._may_collapse(behavior, found, request))):
            self._in_flight[found.key] = fetch
        fetch.start(visit)

    def fetch_alone(self, visit: Visit) -> None:
        """Fetch for a visit that had waited for an answer which it may not share."""
        site = self._sites.find(visit.request.host)
        if site is None or visit.behavior is None:  # the distribution was removed meanwhile
            visit.refuse(Refusal(status=403, reason=NOT_CONFIGURED))
            return
        found = self.cache.find(site.id, visit.behavior, visit.request, self.now_s())
        self._fetch(found, site, visit.behavior, visit.request, visit.cf_id, visit, alone=True)

    def in_flight_ended(self, key: CacheKey, fetch: OriginFetch) -> None:
        """`fetch` can be joined no more."""
        if self._in_flight.get(key) is fetch:
            del self._in_flight[key]


class EdgeListener:
    """The application of the listeners of one scheme."""

    def __init__(self, edge: Edge, *, secure: bool) -> None:
        self._edge = edge
        self._secure = secure

    def handle(self, exchange: Exchange) -> None:
        """See `Edge.handle`."""
        self._edge.handle(exchange, secure=self._secure)

    def refuse(self, connection: ServerConnection, status: int, reason: str) -> tuple[list[Header], bytes]:
        """See `Edge.refusal_of_malformed`."""
        return self._edge.refusal_of_malformed(status, reason)
