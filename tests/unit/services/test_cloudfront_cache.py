"""What is kept, under which key, for how long, and what an expired copy is good for."""

from __future__ import annotations

import dataclasses

import pytest

from services.cloudfront.cache import Cache, Found
from services.cloudfront.cache_key import cache_key
from services.cloudfront.config import Behavior, CachePolicy
from services.cloudfront.freshness import Use, collapses, error_time_to_live, is_shareable, lifetime, time_to_live
from services.cloudfront.messages import CacheControl, Header, Headers, ViewerRequest
from services.cloudfront.origin_request import validators
from services.cloudfront.responses import Heads
from services.cloudfront.store import Store, StoredResponse

DISTRIBUTION = "cdn"
NOW, WALL = 1000.0, 1_700_000_000.0
DATE = (b"Date", b"Tue, 14 Nov 2023 22:13:20 GMT")
IN_100_S = (b"Expires", b"Tue, 14 Nov 2023 22:15:00 GMT")


def policy(min_ttl: int = 0, default_ttl: int = 86400, max_ttl: int = 1000, **keyed: tuple[str, ...]) -> CachePolicy:
    return CachePolicy(name="p", min_ttl=min_ttl, default_ttl=default_ttl, max_ttl=max_ttl, **keyed)


DISABLED = policy(0, 0, 0)


def behavior(cache_policy: CachePolicy | None = None, **settings: bool) -> Behavior:
    return Behavior(path_pattern="*", origin="o", viewer_protocol_policy="allow-all", allowed_methods=("GET", "HEAD"), cache_policy=cache_policy or policy(), **settings)


def get(target: bytes = b"/a", *headers: Header, method: bytes = b"GET") -> ViewerRequest:
    return ViewerRequest(method=method, target=target, version="1.1", headers=headers, fields={name.lower(): value for name, value in headers}, host=b"shop.example.com", peer_address="192.0.2.7", secure=True)


def a_cache(capacity_bytes: int = 1_000_000) -> Cache:
    return Cache(Store(capacity_bytes), Heads("LHR50-C1", b"0f.cloudfront.net"))


def kept(cache: Cache, headers: Headers = (), *, request: ViewerRequest | None = None, rules: Behavior | None = None, status: int = 200, body: bytes = b"body") -> StoredResponse | None:
    asked, ruled = request or get(), rules or behavior()
    found = cache.find(DISTRIBUTION, ruled, asked, NOW)
    return cache.keep(found.key, ruled, status, headers, body, len(body), NOW, WALL)


def found_after(cache: Cache, seconds: float, *, request: ViewerRequest | None = None, rules: Behavior | None = None) -> Found:
    return cache.find(DISTRIBUTION, rules or behavior(), request or get(), NOW + seconds)


@pytest.mark.parametrize(
    ("origin_says", "min_ttl", "seconds"),
    [
        (b"max-age=50", 0, 50),
        (b"max-age=5000", 0, 1000),
        (b"max-age=50", 60, 60),
        (b"max-age=50, s-maxage=70", 0, 70),
        (b"max-age=50, s-maxage=20", 30, 30),
        (b"", 0, 500),
        (b"", 600, 600),
        (b"no-cache", 0, 0),
        (b"no-store", 0, 0),
        (b"private, max-age=50", 0, 0),
        (b"no-cache", 60, 60),
        (b"no-store", 1, 1),
        (b"private", 60, 60),
    ],
)
def test_the_time_to_live_follows_the_origin_within_the_policys_bounds(origin_says: bytes, min_ttl: int, seconds: int):
    assert time_to_live(CacheControl.parse(origin_says), None, policy(min_ttl, 500, 1000)) == seconds


def test_expires_counts_from_the_answers_date_and_max_age_beats_it():
    expires = lifetime(200, (DATE, IN_100_S), behavior(), 0.0)
    both = lifetime(200, (DATE, IN_100_S, (b"Cache-Control", b"max-age=7")), behavior(), 0.0)
    malformed = lifetime(200, ((b"Expires", b"0"),), behavior(), 0.0)
    assert expires and both and malformed
    assert (expires.ttl_s, both.ttl_s, malformed.ttl_s) == (100, 7, 0)


def test_without_a_date_expires_counts_from_the_wall_clock():
    expires = lifetime(200, (IN_100_S,), behavior(), WALL)
    assert expires and expires.ttl_s == 100


def test_no_store_and_private_are_obeyed_only_under_min_ttl_0():
    for directive in (b"no-store", b"private"):
        headers = ((b"Cache-Control", directive),)
        assert lifetime(200, headers, behavior(policy(0)), WALL) is None
        overridden = lifetime(200, headers, behavior(policy(1)), WALL)
        assert overridden and overridden.ttl_s == 1


def test_no_cache_is_stored_and_revalidated_every_time():
    cache = a_cache()
    assert kept(cache, ((b"Cache-Control", b"no-cache"), (b"ETag", b'"1"')))
    assert found_after(cache, 0).use is Use.REVALIDATE


def test_an_error_is_kept_for_ten_seconds_or_its_own_age():
    table = {(404, b""): 10, (404, b"max-age=3"): 10, (503, b"max-age=60"): 60, (500, b"s-maxage=20, max-age=60"): 20, (403, b""): None, (403, b"max-age=5"): 10, (401, b"max-age=60"): None}
    assert {case: error_time_to_live(case[0], CacheControl.parse(case[1])) for case in table} == table


def test_caching_disabled_keeps_nothing_not_even_errors():
    assert lifetime(200, ((b"Cache-Control", b"max-age=60"),), behavior(DISABLED), WALL) is None
    assert lifetime(404, (), behavior(DISABLED), WALL) is None


def test_a_redirect_of_the_origin_is_kept_and_a_partial_answer_is_not():
    assert lifetime(301, (), behavior(), WALL)
    assert lifetime(206, (), behavior(), WALL) is None


def test_vary_on_everything_is_kept_and_fetched_anew_each_time_under_min_ttl_0():
    varying = lifetime(200, ((b"Vary", b"*"), (b"Cache-Control", b"max-age=60")), behavior(), WALL)
    assert varying and varying.ttl_s == 0 and not varying.conditional


def test_the_default_key_is_the_path_alone():
    rules = policy()
    plain = cache_key(DISTRIBUTION, rules, get(b"/a"))
    assert cache_key(DISTRIBUTION, rules, get(b"/a?x=1", (b"Cookie", b"a=1"), (b"Authorization", b"secret"), (b"Cache-Control", b"no-cache"))) == plain
    assert cache_key(DISTRIBUTION, rules, get(b"/A")) != plain
    assert cache_key("other", rules, get(b"/a")) != plain


def test_what_the_policy_names_is_in_the_key_and_nothing_else():
    rules = policy(headers=("X-Tenant",), cookies=("session",), query_strings=("page",))
    one = cache_key(DISTRIBUTION, rules, get(b"/a?page=1&utm=x", (b"Cookie", b"theme=dark; session=s1"), (b"X-Tenant", b"t")))
    same = cache_key(DISTRIBUTION, rules, get(b"/a?utm=y&page=1", (b"Cookie", b"session=s1"), (b"X-Tenant", b"t")))
    assert one == same
    assert one != cache_key(DISTRIBUTION, rules, get(b"/a?page=2", (b"Cookie", b"session=s1"), (b"X-Tenant", b"t")))
    assert one != cache_key(DISTRIBUTION, rules, get(b"/a?page=1", (b"Cookie", b"session=s2"), (b"X-Tenant", b"t")))
    assert one != cache_key(DISTRIBUTION, rules, get(b"/a?page=1", (b"Cookie", b"Session=s1"), (b"X-Tenant", b"t")))
    assert one != cache_key(DISTRIBUTION, rules, get(b"/a?page=1", (b"Cookie", b"session=s1"), (b"X-Tenant", b"u")))


def test_the_order_of_cookies_does_not_matter_where_all_are_in_the_key():
    rules = policy(cookies=("*",))
    assert cache_key(DISTRIBUTION, rules, get(b"/a", (b"Cookie", b"b=2; a=1"))).cookies == b"a=1; b=2" == cache_key(DISTRIBUTION, rules, get(b"/a", (b"Cookie", b"a=1; b=2"))).cookies


@pytest.mark.parametrize(
    ("sent", "normalised"), [(b"gzip, deflate, br", b"br,gzip"), (b"deflate, GZIP;q=0.5", b"gzip"), (b"br", b"br"), (b"deflate", b""), (b"", b"")]
)
def test_accept_encoding_is_normalised_into_the_key(sent: bytes, normalised: bytes):
    assert cache_key(DISTRIBUTION, policy(), get(b"/a", (b"Accept-Encoding", sent))).accept_encoding == normalised
    assert cache_key(DISTRIBUTION, DISABLED, get(b"/a", (b"Accept-Encoding", sent))).accept_encoding == b""
    plain = dataclasses.replace(policy(), enable_accept_encoding_gzip=False, enable_accept_encoding_brotli=False)
    assert cache_key(DISTRIBUTION, plain, get(b"/a", (b"Accept-Encoding", sent))).accept_encoding == b""


def test_a_copy_is_fresh_until_its_time_to_live_has_passed():
    cache = a_cache()
    kept(cache, ((b"Cache-Control", b"max-age=60"),))
    assert [found_after(cache, seconds).use for seconds in (0, 59.9, 60)] == [Use.FRESH, Use.FRESH, Use.REVALIDATE]


def test_stale_while_revalidate_serves_the_old_copy_for_so_long():
    cache = a_cache()
    kept(cache, ((b"Cache-Control", b"max-age=60, stale-while-revalidate=30"),))
    assert [found_after(cache, seconds).use for seconds in (61, 89, 91)] == [Use.STALE_WHILE_REVALIDATE, Use.STALE_WHILE_REVALIDATE, Use.REVALIDATE]


def test_the_stale_windows_are_capped_by_the_max_ttl():
    headers = ((b"Cache-Control", b"max-age=60, stale-while-revalidate=5000, stale-if-error=5000"),)
    long = lifetime(200, headers, behavior(policy(max_ttl=1000)), WALL)
    assert long and (long.stale_while_revalidate_s, long.stale_if_error_s) == (1000, 1000)


def test_a_stale_copy_stands_in_for_a_failing_origin_and_then_the_origin_rests_for_ten_seconds():
    cache = a_cache()
    stored = kept(cache, ((b"Cache-Control", b"max-age=60"),))
    key = found_after(cache, 100).key
    assert cache.stand_in(key, stored, 502, NOW + 100)
    assert [found_after(cache, seconds).use for seconds in (109, 111)] == [Use.FRESH, Use.REVALIDATE]


def test_a_stale_copy_does_not_hide_a_4xx():
    cache = a_cache()
    stored = kept(cache, ((b"Cache-Control", b"max-age=60"),))
    assert cache.stand_in(found_after(cache, 100).key, stored, 404, NOW + 100) is None


def test_stale_if_error_bounds_how_long_a_copy_stands_in_and_zero_forbids_it():
    for directive, after, stands in ((b"stale-if-error=0", 61, False), (b"stale-if-error=20", 79, True), (b"stale-if-error=20", 81, False)):
        cache = a_cache()
        stored = kept(cache, ((b"Cache-Control", b"max-age=60, " + directive),))
        assert (cache.stand_in(found_after(cache, after).key, stored, 504, NOW + after) is not None) is stands


def test_an_expired_copy_is_revalidated_on_its_validators():
    stored = kept(a_cache(), ((b"ETag", b'"1"'), (b"Last-Modified", b"Mon, 13 Nov 2023 00:00:00 GMT")))
    assert stored and validators(stored) == ((b"If-None-Match", b'"1"'), (b"If-Modified-Since", b"Mon, 13 Nov 2023 00:00:00 GMT"))


def test_there_is_no_revalidation_while_cookies_are_forwarded():
    stored = kept(a_cache(), ((b"ETag", b'"1"'),), rules=behavior(forward_all_cookies=True))
    assert stored and validators(stored) == ()


def test_a_304_renews_the_copy_and_its_fields():
    cache, rules = a_cache(), behavior()
    stored = kept(cache, ((b"Cache-Control", b"max-age=60"), (b"ETag", b'"1"'), (b"X-Kept", b"yes")))
    assert stored
    key = found_after(cache, 100).key
    renewed = cache.refresh(key, stored, rules, ((b"Cache-Control", b"max-age=30"), (b"ETag", b'"1"')), NOW + 100, WALL)
    assert renewed.body == b"body" and dict(renewed.headers) == {b"Cache-Control": b"max-age=30", b"ETag": b'"1"', b"X-Kept": b"yes"}
    assert [found_after(cache, seconds).use for seconds in (129, 131)] == [Use.FRESH, Use.REVALIDATE]


def test_head_is_served_from_the_object_of_a_get_but_never_the_reverse():
    cache = a_cache()
    kept(cache, request=get(b"/only-head", method=b"HEAD"), body=b"")
    kept(cache, request=get(b"/both"))
    assert found_after(cache, 1, request=get(b"/both", method=b"HEAD")).stored
    assert found_after(cache, 1, request=get(b"/only-head", method=b"HEAD")).stored
    assert found_after(cache, 1, request=get(b"/only-head")).stored is None


def test_methods_that_write_never_find_a_copy():
    cache = a_cache()
    kept(cache)
    assert found_after(cache, 1, request=get(method=b"POST")).stored is None


def test_the_least_recently_used_object_is_evicted_when_the_bytes_run_out():
    cache = a_cache(capacity_bytes=8000)
    for path in (b"/1", b"/2", b"/3", b"/4"):
        kept(cache, request=get(path), body=b"x" * 1100)
        found_after(cache, 0, request=get(b"/1"))
    kept(cache, request=get(b"/5"), body=b"x" * 1100)
    assert [found_after(cache, 0, request=get(path)).stored is not None for path in (b"/1", b"/2", b"/5")] == [True, False, True]
    assert cache.store.held_bytes <= 8000


def test_an_object_too_large_for_the_store_is_not_kept_and_replaces_nothing():
    cache = a_cache(capacity_bytes=8000)
    kept(cache, body=b"x" * 3000)
    assert len(cache.store) == 0 and cache.store.held_bytes == 0


def test_set_cookie_is_kept_unless_no_cache_names_it():
    rules = behavior(forward_all_cookies=True)
    plain = kept(a_cache(), ((b"Set-Cookie", b"a=1"),), rules=rules)
    suppressed = kept(a_cache(), ((b"Set-Cookie", b"a=1"), (b"Cache-Control", b'max-age=60, no-cache="Set-Cookie"')), rules=rules)
    assert plain and suppressed
    assert (b"Set-Cookie", b"a=1") in plain.headers and (b"Set-Cookie", b"a=1") not in suppressed.headers
    assert suppressed.lifetime.ttl_s == 60


def test_collapsing_is_off_for_caching_disabled_and_forwarded_cookies():
    assert [collapses(rules) for rules in (behavior(), behavior(DISABLED), behavior(forward_all_cookies=True), behavior(policy(cookies=("a",))))] == [True, False, False, False]


@pytest.mark.parametrize("directive", [b"private", b"no-store", b"no-cache", b"max-age=0"])
def test_an_answer_that_forbids_caching_is_not_shared_under_min_ttl_0(directive: bytes):
    headers = ((b"Cache-Control", directive),)
    assert not is_shareable(headers, policy(0))
    assert is_shareable(headers, policy(1))
