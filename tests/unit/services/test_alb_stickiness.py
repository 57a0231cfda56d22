"""Cookies that bring a client back: what is read, what is not."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.alb.stickiness import Bound, Seal, application_cookie_line, cookie_lines, cookies, sets_cookie

SEAL = Seal(b"k" * 32, os.urandom)
BOUND = Bound("tg-web", "10.0.1.5:8080", 1000.0)


def test_what_was_written_is_read_until_it_runs_out():
    value = SEAL.write(BOUND)
    assert SEAL.read(value, 999.0) == BOUND
    assert SEAL.read(value, 1000.0) is None


def test_a_value_is_opaque_and_another_each_time():
    first, second = SEAL.write(BOUND), SEAL.write(BOUND)
    assert first != second
    assert b"10.0.1.5" not in first


def test_another_balancer_cannot_read_it():
    assert Seal(b"x" * 32, os.urandom).read(SEAL.write(BOUND), 0.0) is None


@given(st.binary(max_size=120))
def test_no_value_that_somebody_made_up_is_read(value: bytes):
    assert SEAL.read(value, 0.0) is None


@given(st.integers(0, 100), st.integers(1, 255))
def test_a_value_that_was_changed_is_not_read(at: int, by: int):
    value = bytearray(SEAL.write(BOUND))
    value[at % len(value)] ^= by
    assert SEAL.read(bytes(value), 0.0) in (None, BOUND)  # base64's last digit has spare bits


@pytest.mark.parametrize(
    ("field", "found"),
    [(None, {}), (b"a=1; b=2", {b"a": b"1", b"b": b"2"}), (b"a=x=y;c", {b"a": b"x=y"}), (b"a=1;a=2", {b"a": b"1"}), (b";;=;", {b"": b""})],
)
def test_a_cookie_field_is_taken_apart(field: bytes | None, found: dict[bytes, bytes]):
    assert cookies(field) == found


def test_both_cookies_live_seven_days_and_the_second_is_for_other_sites():
    plain, cors = cookie_lines(b"AWSALB", b"AWSALBCORS", b"v", 0.0).splitlines()
    assert plain == b"Set-Cookie: AWSALB=v; Expires=Thu, 08 Jan 1970 00:00:00 GMT; Path=/"
    assert cors == b"Set-Cookie: AWSALBCORS=v; Expires=Thu, 08 Jan 1970 00:00:00 GMT; Path=/; SameSite=None; Secure"
    assert application_cookie_line(b"v", 0.0) == b"Set-Cookie: AWSALBAPP-0=v; Expires=Thu, 08 Jan 1970 00:00:00 GMT; Path=/\r\n"


def test_a_cookie_is_set_by_its_whole_name():
    assert sets_cookie(b" SESSION=abc; Path=/", b"SESSION")
    assert not sets_cookie(b"SESSION2=abc", b"SESSION")
