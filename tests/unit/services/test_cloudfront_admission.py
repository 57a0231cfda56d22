"""Which requests the edge takes, and under which behaviour."""

from __future__ import annotations

import pytest

from services.cloudfront.admission import Redirect, Refusal, admit, within_limits
from services.cloudfront.behaviors import Behaviors
from services.cloudfront.config import Behavior, CachePolicy
from services.cloudfront.messages import ViewerRequest

POLICY = CachePolicy(name="p", min_ttl=0, default_ttl=86400, max_ttl=31536000)


def behavior(pattern: str = "*", viewer_protocol_policy: str = "redirect-to-https", methods: tuple[str, ...] = ("GET", "HEAD")) -> Behavior:
    return Behavior(path_pattern=pattern, origin="o", viewer_protocol_policy=viewer_protocol_policy, allowed_methods=methods, cache_policy=POLICY)


def request(method: bytes = b"GET", target: bytes = b"/a?b=1", *, secure: bool = True, version: str = "1.1", has_body: bool = False, **fields: bytes) -> ViewerRequest:
    by_name = {b"host": b"shop.example.com:8080"} | {name.replace("_", "-").encode(): value for name, value in fields.items()}
    return ViewerRequest(
        method=method, target=target, version=version, headers=list(by_name.items()), fields=by_name, host=b"shop.example.com", peer_address="192.0.2.7", secure=secure, has_body=has_body
    )


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("/img/*", b"/img/a/b.jpg", True),
        ("img/*", b"/img/a.jpg", True),
        ("*.jpg", b"/x/y.jpg", True),
        ("/a?.js", b"/ab.js", True),
        ("/a?.js", b"/a.js", False),
        ("/IMG/*", b"/img/a", False),
        ("/a.b", b"/aXb", False),
    ],
)
def test_a_pattern_matches_whole_paths_case_sensitively_with_stars_and_question_marks(pattern: str, path: bytes, matches: bool):
    chosen = Behaviors((behavior(pattern), behavior())).select(path)
    assert (chosen.path_pattern == pattern) is matches


def test_the_first_matching_behaviour_wins_and_the_default_is_last():
    behaviors = Behaviors((behavior("/a/*"), behavior("/a/b/*"), behavior()))
    assert [behaviors.select(path).path_pattern for path in (b"/a/b/c", b"/a/x", b"/z")] == ["/a/*", "/a/*", "*"]


@pytest.mark.parametrize(
    ("method", "version", "answer"),
    [
        (b"GET", "1.1", Redirect(status=301, location=b"https://shop.example.com/a?b=1")),
        (b"HEAD", "1.0", Redirect(status=301, location=b"https://shop.example.com/a?b=1")),
        (b"POST", "1.1", Redirect(status=307, location=b"https://shop.example.com/a?b=1")),
    ],
)
def test_plain_http_is_redirected_so_that_the_method_survives(method: bytes, version: str, answer: Redirect):
    assert admit(request(method, secure=False, version=version), behavior(methods=("GET", "HEAD", "POST"))) == answer


def test_a_post_over_plain_http_1_0_is_refused_since_307_needs_http_1_1():
    refused = admit(request(b"POST", secure=False, version="1.0"), behavior(methods=("POST",)))
    assert isinstance(refused, Refusal) and refused.status == 403


def test_https_only_refuses_plain_http():
    refused = admit(request(secure=False), behavior(viewer_protocol_policy="https-only"))
    assert isinstance(refused, Refusal) and refused.status == 403
    assert admit(request(secure=True), behavior(viewer_protocol_policy="https-only")) is None


def test_allow_all_takes_plain_http():
    assert admit(request(secure=False), behavior(viewer_protocol_policy="allow-all")) is None


def test_a_method_that_the_behaviour_does_not_allow_is_refused_with_403():
    refused = admit(request(b"DELETE"), behavior())
    assert isinstance(refused, Refusal) and refused.status == 403


@pytest.mark.parametrize(
    ("broken", "status"),
    [
        (request(target=b"/" + b"x" * 8192), 413),
        (request(cookie=b"x" * 20480), 413),
        (request(has_body=True), 403),
        (request(via=b"1.1 a.cloudfront.net (CloudFront), 1.1 b.cloudfront.net (CloudFront)"), 403),
        (request(target=b"nowhere"), 400),
    ],
)
def test_cloudfronts_own_limits_refuse_a_request(broken: ViewerRequest, status: int):
    refused = within_limits(broken)
    assert refused is not None and refused.status == status


def test_a_request_within_the_limits_passes():
    assert within_limits(request(target=b"/" + b"x" * 8191, via=b"1.1 a.cloudfront.net (CloudFront)")) is None
    assert within_limits(request(b"POST", has_body=True)) is None
