"""What the origin is sent, and what the viewer gets."""

from __future__ import annotations

import pytest

from services.cloudfront.cache_key import cache_key
from services.cloudfront.config import Behavior, CachePolicy, Origin
from services.cloudfront.error_pages import error_page
from services.cloudfront.messages import CacheControl, Header, ViewerRequest
from services.cloudfront.origin_request import origin_headers, origin_scheme, origin_target
from services.cloudfront.ranges import NotSatisfiable, applies, multipart, requested_ranges
from services.cloudfront.responses import Heads, Result, is_not_modified, tail, viewer_headers

POLICY = CachePolicy(name="p", min_ttl=0, default_ttl=86400, max_ttl=1000)
ORIGIN = Origin(id="o", domain_name="origin.example.com", protocol_policy="https-only", custom_headers=(("X-Secret", "s"),))
EDGE, OTHER_EDGE = b"1.1 0f.cloudfront.net (CloudFront)", b"1.1 other.example.net"


def rules(policy: CachePolicy = POLICY, **settings: bool) -> Behavior:
    return Behavior(path_pattern="*", origin="o", viewer_protocol_policy="allow-all", allowed_methods=("GET", "HEAD"), cache_policy=policy, **settings)


def asked(*headers: Header, method: bytes = b"GET", target: bytes = b"/a?x=1&y=2", version: str = "1.1") -> ViewerRequest:
    everything = ((b"Host", b"shop.example.com"), *headers)
    return ViewerRequest(method=method, target=target, version=version, headers=everything, fields={name.lower(): value for name, value in everything}, host=b"shop.example.com", peer_address="192.0.2.7", secure=True)


def sent(request: ViewerRequest, behavior: Behavior | None = None) -> dict[bytes, bytes]:
    ruled = behavior or rules()
    key = cache_key("cdn", ruled.cache_policy, request)
    return {name.lower(): value for name, value in origin_headers(ruled, ORIGIN, key, request, cf_id=b"id==", via_name=b"0f.cloudfront.net")}


def test_the_origin_sees_its_own_host_cloudfronts_user_agent_and_the_viewers_address():
    headers = sent(asked((b"User-Agent", b"curl/8"), (b"Accept", b"*/*"), (b"Cookie", b"a=1")))
    assert headers == {
        b"host": b"origin.example.com", b"user-agent": b"Amazon CloudFront", b"accept-encoding": b"identity", b"x-secret": b"s",
        b"x-forwarded-for": b"192.0.2.7", b"via": EDGE, b"x-amz-cf-id": b"id==",
    }


def test_x_forwarded_for_and_via_are_appended_to():
    headers = sent(asked((b"X-Forwarded-For", b"203.0.113.1"), (b"Via", OTHER_EDGE), version="1.0"))
    assert headers[b"x-forwarded-for"] == b"203.0.113.1, 192.0.2.7"
    assert headers[b"via"] == OTHER_EDGE + b", 1.0 0f.cloudfront.net (CloudFront)"


def test_headers_which_the_policy_names_are_forwarded_even_host_and_user_agent():
    policy = CachePolicy(name="p", min_ttl=0, default_ttl=1, max_ttl=1, headers=("Host", "User-Agent", "X-Tenant", "X-Real-IP"))
    headers = sent(asked((b"User-Agent", b"curl/8"), (b"X-Tenant", b"t"), (b"X-Real-IP", b"10.0.0.1")), rules(policy))
    assert (headers[b"host"], headers[b"user-agent"], headers[b"x-tenant"]) == (b"shop.example.com", b"curl/8", b"t")
    assert b"x-real-ip" not in headers


def test_the_normalised_accept_encoding_reaches_the_origin():
    assert sent(asked((b"Accept-Encoding", b"gzip, deflate, br")))[b"accept-encoding"] == b"br, gzip"


def test_cookies_reach_the_origin_sorted_and_only_if_forwarded():
    request = asked((b"Cookie", b"b=2; a=1"))
    assert sent(request, rules(forward_all_cookies=True))[b"cookie"] == b"a=1; b=2"
    assert sent(request, rules(CachePolicy(name="p", min_ttl=0, default_ttl=1, max_ttl=1, cookies=("b",))))[b"cookie"] == b"b=2"


def test_the_query_reaches_the_origin_only_as_far_as_it_is_in_the_key_or_forwarded():
    for behavior, target in (
        (rules(), b"/a"),
        (rules(forward_all_query_strings=True), b"/a?x=1&y=2"),
        (rules(CachePolicy(name="p", min_ttl=0, default_ttl=1, max_ttl=1, query_strings=("y",))), b"/a?y=2"),
    ):
        assert origin_target(behavior, cache_key("cdn", behavior.cache_policy, asked()), asked()) == target


def test_authorization_passes_with_methods_that_write_and_not_with_get():
    authorization = (b"Authorization", b"Basic x")
    assert b"authorization" not in sent(asked(authorization))
    posted = sent(asked(authorization, (b"Content-Type", b"application/json"), method=b"POST"))
    assert (posted[b"authorization"], posted[b"content-type"]) == (b"Basic x", b"application/json")


def test_match_viewer_speaks_as_the_viewer_does():
    origin = Origin(id="o", domain_name="o.example.com", protocol_policy="match-viewer", http_port=8080, https_port=8443)
    assert (origin_scheme(origin, True), origin_scheme(origin, False)) == ((True, 8443), (False, 8080))


def test_hop_by_hop_fields_and_cookies_stay_behind():
    headers = ((b"Connection", b"close, X-Hop"), (b"X-Hop", b"1"), (b"Set-Cookie", b"a=1"), (b"Content-Length", b"4"), (b"X-Amz-Cf-Id", b"theirs"), (b"X-App", b"yes"))
    assert viewer_headers(headers, rules(), b"now") == ((b"X-App", b"yes"), (b"Date", b"now"))
    assert (b"Set-Cookie", b"a=1") in viewer_headers(headers, rules(forward_all_cookies=True), b"now")


def test_vary_keeps_only_what_can_differ_behind_the_key():
    policy = CachePolicy(name="p", min_ttl=0, default_ttl=1, max_ttl=1, headers=("Origin",))
    assert viewer_headers(((b"Vary", b"Origin, Accept-Language, Accept-Encoding"), (b"Date", b"d")), rules(policy), b"now")[0] == (b"Vary", b"Origin, Accept-Encoding")
    assert viewer_headers(((b"Vary", b"User-Agent"), (b"Date", b"d")), rules(), b"now") == ((b"Date", b"d"),)


def test_a_head_names_the_edge_and_the_result():
    head = Heads("LHR50-C1", b"0f.cloudfront.net").of_hit(200, ((b"Content-Length", b"4"),), Result.HIT) + tail(b"id==", 7)
    assert head == (
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: keep-alive\r\nX-Cache: Hit from cloudfront\r\nVia: 1.1 0f.cloudfront.net (CloudFront)\r\n"
        b"X-Amz-Cf-Pop: LHR50-C1\r\nX-Amz-Cf-Id: id==\r\nAge: 7\r\n\r\n"
    )


def test_a_viewers_own_copy_is_good_when_etag_or_date_agree():
    headers = ((b"ETag", b'W/"1"'), (b"Last-Modified", b"Mon, 13 Nov 2023 00:00:00 GMT"))
    table = {
        (b"If-None-Match", b'"0", "1"'): True,
        (b"If-None-Match", b'"2"'): False,
        (b"If-None-Match", b"*"): True,
        (b"If-Modified-Since", b"Mon, 13 Nov 2023 00:00:00 GMT"): True,
        (b"If-Modified-Since", b"Sun, 12 Nov 2023 00:00:00 GMT"): False,
        (b"Accept", b"*/*"): False,
    }
    assert {field: is_not_modified(asked(field), headers) for field in table} == table


@pytest.mark.parametrize(
    ("value", "ranges"),
    [
        (b"bytes=0-3", ((0, 3),)),
        (b"bytes=4-", ((4, 9),)),
        (b"bytes=-2", ((8, 9),)),
        (b"bytes=2-99", ((2, 9),)),
        (b"bytes=0-1, 4-5", ((0, 1), (4, 5))),
        (b"bytes=4-5,0-1", ()),
        (b"bytes=0-4,3-5", ()),
        (b"bytes=5-2", ()),
        (b"bytes=x", ()),
        (b"lines=1-2", ()),
    ],
)
def test_ranges_in_ascending_order_are_served_and_others_give_the_whole_object(value: bytes, ranges: tuple[tuple[int, int], ...]):
    assert requested_ranges(value, 10) == ranges


@pytest.mark.parametrize("value", [b"bytes=10-", b"bytes=-0"])
def test_a_range_past_the_end_cannot_be_satisfied(value: bytes):
    with pytest.raises(NotSatisfiable):
        requested_ranges(value, 10)


def test_if_range_needs_the_very_validator():
    assert [applies(condition, b'"1"', None) for condition in (None, b'"1"', b'"2"', b'W/"1"')] == [True, True, False, False]


def test_several_ranges_come_as_multipart():
    assert multipart(b"0123456789", ((0, 1), (4, 5)), b"text/plain", b"B") == (
        b"--B\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/10\r\n\r\n01\r\n--B\r\nContent-Type: text/plain\r\nContent-Range: bytes 4-5/10\r\n\r\n45\r\n--B--\r\n"
    )


def test_a_quoted_comma_does_not_end_a_directive():
    control = CacheControl.parse(b'no-cache="Set-Cookie, X-A", max-age="5", PRIVATE')
    assert (control.no_cache, control.no_cache_fields, control.max_age, control.private) == (False, (b"set-cookie", b"x-a"), 5, True)


def test_an_error_page_tells_the_reason_and_the_requests_id():
    page = error_page(502, "We can't <connect>.", b"id==")
    assert b"The request could not be satisfied" in page and b"502 ERROR" in page and b"We can't &lt;connect&gt;." in page and b"Request ID: id==" in page
