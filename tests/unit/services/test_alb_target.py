"""A target's health, and what a target sees of a request."""

from typing import Any

import pytest

from services.alb.config import Attributes, ForwardedFor
from services.alb.headers import Client, host_for_target, host_name, target_headers, too_many_addresses, trace
from services.common.health import CheckResult, Matcher, State, TargetHealth
from services.common.http.head import RequestHead, fields_of

PASS, FAIL = CheckResult(passed=True), CheckResult(passed=False, reason="Target.Timeout")


def after(*results: CheckResult, start: State = State.INITIAL) -> State:
    health = TargetHealth(state=start)
    for result in results:
        health = health.after(result, healthy_threshold=3, unhealthy_threshold=2)
    return health.state


def test_a_new_target_is_healthy_after_one_pass():
    assert after(PASS) is State.HEALTHY


def test_a_new_target_that_fails_stays_initial_until_the_unhealthy_threshold():
    assert (after(FAIL), after(FAIL, FAIL)) == (State.INITIAL, State.UNHEALTHY)


def test_a_healthy_target_needs_failures_in_a_row():
    assert after(FAIL, start=State.HEALTHY) is State.HEALTHY
    assert after(FAIL, PASS, FAIL, start=State.HEALTHY) is State.HEALTHY
    assert after(FAIL, FAIL, start=State.HEALTHY) is State.UNHEALTHY


def test_an_unhealthy_target_needs_as_many_passes_in_a_row_as_the_threshold_says():
    assert after(PASS, PASS, start=State.UNHEALTHY) is State.UNHEALTHY
    assert after(PASS, PASS, FAIL, PASS, PASS, start=State.UNHEALTHY) is State.UNHEALTHY
    assert after(PASS, PASS, PASS, start=State.UNHEALTHY) is State.HEALTHY


def test_an_unhealthy_target_tells_the_reason():
    health = TargetHealth().after(FAIL, healthy_threshold=2, unhealthy_threshold=1)
    assert (health.state, health.reason) == (State.UNHEALTHY, "Target.Timeout")


@pytest.mark.parametrize(("text", "passing", "failing"), [("200", (200,), (201, 404)), ("200,204", (200, 204), (201,)), ("200-299", (200, 299), (300,)), ("200, 301-302", (200, 302), (303,))])
def test_a_matcher_takes_lists_and_ranges(text: str, passing: tuple[int, ...], failing: tuple[int, ...]):
    matcher = Matcher.parse(text)
    assert all(matcher.judge(code).passed for code in passing)
    assert not any(matcher.judge(code).passed for code in failing)
    assert matcher.judge(failing[0]).reason == f"Target.ResponseCodeMismatch: [{failing[0]}]"


@pytest.mark.parametrize("text", ["", "abc", "200-", "-200", "299-200", "199", "500", "200;201"])
def test_a_matcher_that_aws_would_not_take_is_refused(text: str):
    with pytest.raises(ValueError, match="matcher"):
        Matcher.parse(text)


def test_a_trace_header_is_made_if_there_is_none():
    made = trace(None, epoch_s=0x5759E988, random_bits=0xBD862E3FE1BE46A994272793)
    assert made.value == b"Root=1-5759e988-bd862e3fe1be46a994272793"
    assert made.root == b"1-5759e988-bd862e3fe1be46a994272793"


def test_a_trace_header_with_a_root_gets_a_self_and_keeps_its_own_fields():
    made = trace(b"Root=1-67891233-abcdef012345678912345678;CalledFrom=app", epoch_s=1, random_bits=2)
    assert made.value == b"Self=1-00000001-000000000000000000000002;Root=1-67891233-abcdef012345678912345678;CalledFrom=app"
    assert made.root == b"1-67891233-abcdef012345678912345678"


def test_a_self_that_was_there_is_replaced():
    made = trace(b"Self=1-old-old;Root=1-r-r", epoch_s=1, random_bits=2)
    assert made.value == b"Self=1-00000001-000000000000000000000002;Root=1-r-r"


def test_the_host_is_lower_cased_and_has_a_port_only_on_unusual_listeners():
    assert host_for_target(host_name(b"Shop.Example.com:443"), 443) == b"shop.example.com"
    assert host_for_target(host_name(b"Shop.Example.com"), 8080) == b"shop.example.com:8080"
    assert host_name(b"[2001:DB8::1]:80") == b"[2001:db8::1]"


CLIENT = Client(address=b"203.0.113.7", port=b"40000", protocol=b"https", listener_port=b"443", tls=(b"TLSv1.3", b"TLS_AES_128_GCM_SHA256"))


def headers_at_target(*headers: tuple[bytes, bytes], **attributes: Any) -> list[tuple[bytes, bytes]]:
    given = list(headers)
    return target_headers(RequestHead(b"GET", b"/", "1.1", given, fields_of(given)), host=b"h", client=CLIENT, attributes=Attributes(**attributes))


def test_the_client_is_appended_to_x_forwarded_for():
    assert (b"X-Forwarded-For", b"203.0.113.7") in headers_at_target()
    assert (b"X-Forwarded-For", b"x,198.51.100.1, 203.0.113.7") in headers_at_target((b"x-forwarded-for", b"x,198.51.100.1"))
    assert (b"X-Forwarded-For", b"x, y, 203.0.113.7") in headers_at_target((b"X-Forwarded-For", b"x"), (b"X-Forwarded-For", b"y"))


@pytest.mark.parametrize(
    ("mode", "sent", "kept"),
    [(ForwardedFor.PRESERVE, b"x, y", [b"x, y"]), (ForwardedFor.PRESERVE, None, []), (ForwardedFor.REMOVE, b"x", []), (ForwardedFor.REMOVE, None, [])],
)
def test_x_forwarded_for_may_be_left_or_removed(mode: ForwardedFor, sent: bytes | None, kept: list[bytes]):
    given = [] if sent is None else [(b"X-Forwarded-For", sent)]
    assert [value for name, value in headers_at_target(*given, forwarded_for=mode) if name == b"X-Forwarded-For"] == kept


def test_the_clients_port_may_be_told():
    assert (b"X-Forwarded-For", b"x, 203.0.113.7:40000") in headers_at_target((b"X-Forwarded-For", b"x"), client_port=True)
    assert Client(address=b"2001:db8::1", port=b"1", protocol=b"http", listener_port=b"80").with_port == b"[2001:db8::1]:1"


def test_header_names_that_are_not_plain_are_dropped_where_that_is_asked_for():
    given = ((b"X_Odd", b"1"), (b"X-Plain", b"2"))
    assert {b"X_Odd", b"X-Plain"} <= {name for name, _ in headers_at_target(*given)}
    assert b"X_Odd" not in {name for name, _ in headers_at_target(*given, drop_invalid_headers=True)}


def test_the_clients_tls_is_told_where_that_is_asked_for_and_never_by_the_client():
    claim = (b"X-Amzn-TLS-Version", b"TLSv9")
    assert not any(b"tls" in name.lower() for name, _ in headers_at_target(claim))
    assert [pair for pair in headers_at_target(claim, tls_headers=True) if b"tls" in pair[0].lower()] == [(b"x-amzn-tls-version", b"TLSv1.3"), (b"x-amzn-tls-cipher-suite", b"TLS_AES_128_GCM_SHA256")]


def test_what_a_client_claims_of_its_protocol_is_replaced():
    names = [name.lower() for name, _ in headers_at_target((b"X-Forwarded-Proto", b"http"), (b"x-forwarded-port", b"1"), (b"Host", b"evil"))]
    assert sorted(names) == [b"host", b"x-forwarded-for", b"x-forwarded-port", b"x-forwarded-proto"]


def test_fields_of_one_connection_end_at_the_balancer_and_there_is_no_via():
    sent = headers_at_target((b"Connection", b"keep-alive, X-Hop"), (b"X-Hop", b"1"), (b"Keep-Alive", b"1"), (b"TE", b"trailers"), (b"Upgrade", b"h2c"), (b"Expect", b"100-continue"), (b"Accept", b"*/*"))
    assert {name.lower() for name, _ in sent} == {b"accept", b"host", b"x-forwarded-for", b"x-forwarded-port", b"x-forwarded-proto"}


def test_thirty_addresses_are_taken_and_thirty_one_are_too_many():
    assert not too_many_addresses(b", ".join([b"192.0.2.1"] * 30))
    assert too_many_addresses(b", ".join([b"192.0.2.1"] * 31))
