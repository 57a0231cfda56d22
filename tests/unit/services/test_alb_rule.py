"""Which listener rule a request meets, and where a redirect leads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.alb.config import Action, FixedResponse, Redirect, Rule
from services.alb.redirect import location
from services.alb.rule import Asked, RuleSet, normalise_path

ANSWER = Action(fixed_response=FixedResponse(status_code=200))
DEFAULT = Rule(priority=0, action=ANSWER, origin="default")


def chosen(*rules: Rule, host: bytes = b"shop.example.com", path: bytes = b"/", fields: dict[bytes, bytes] | None = None, method: bytes = b"GET", client: bytes = b"203.0.113.7") -> str:
    return RuleSet((DEFAULT, *rules)).select(Asked(method=method, host=host, target=path, fields=fields or {}, client=client)).origin


def on_host(*patterns: str) -> Rule:
    return Rule(priority=1, action=ANSWER, host_header=patterns, origin="host")


def on_path(*patterns: str) -> Rule:
    return Rule(priority=1, action=ANSWER, path_pattern=patterns, origin="path")


def test_the_lowest_priority_number_decides_whatever_the_order_of_writing():
    first, second = Rule(priority=5, action=ANSWER, origin="5"), Rule(priority=40, action=ANSWER, origin="40")
    assert chosen(second, first) == chosen(first, second) == "5"


def test_the_default_rule_is_last_although_its_priority_is_zero():
    assert chosen(on_path("/a")) == "default"
    assert chosen(on_path("/a"), path=b"/a") == "path"


def test_a_listener_needs_a_default_rule():
    with pytest.raises(ValueError, match="default rule"):
        RuleSet((on_path("/a"),))


def test_a_host_matches_in_any_case():
    assert chosen(on_host("Shop.Example.COM")) == "host"


def test_a_host_wildcard_does_not_match_the_bare_domain():
    assert chosen(on_host("*.example.com"), host=b"a.b.example.com") == "host"
    assert chosen(on_host("*.example.com"), host=b"example.com") == "default"


def test_a_path_matches_in_its_own_case_only():
    assert chosen(on_path("/Img/*"), path=b"/Img/a") == "path"
    assert chosen(on_path("/Img/*"), path=b"/img/a") == "default"


def test_a_question_mark_stands_for_exactly_one_character():
    assert [chosen(on_path("/v?"), path=path) for path in (b"/v1", b"/v", b"/v12")] == ["path", "default", "default"]


def test_other_characters_of_a_pattern_stand_for_themselves():
    assert chosen(on_path("/a.b+c"), path=b"/aXbbc") == "default"
    assert chosen(on_path("/a.b+c"), path=b"/a.b+c") == "path"


def test_the_values_of_a_condition_are_alternatives_and_conditions_hold_together():
    rule = Rule(priority=1, action=ANSWER, host_header=("a.example", "b.example"), path_pattern=("/x", "/y"), origin="both")
    assert chosen(rule, host=b"b.example", path=b"/x") == "both"
    assert chosen(rule, host=b"b.example", path=b"/z") == "default"
    assert chosen(rule, host=b"c.example", path=b"/x") == "default"


def test_a_header_matches_by_name_and_value_in_any_case_and_must_be_there():
    rule = Rule(priority=1, action=ANSWER, http_header=(("User-Agent", "*chrome*"), ("User-Agent", "curl/?*"), ("X-Beta", "yes")), origin="header")
    assert chosen(rule, fields={b"user-agent": b"Mozilla Chrome/1", b"x-beta": b"YES"}) == "header"
    assert chosen(rule, fields={b"user-agent": b"curl/8", b"x-beta": b"yes"}) == "header"
    assert chosen(rule, fields={b"user-agent": b"curl/8"}) == "default"


def test_a_method_matches_exactly():
    rule = Rule(priority=1, action=ANSWER, http_request_method=("POST", "PURGE"), origin="method")
    assert [chosen(rule, method=method) for method in (b"POST", b"PURGE", b"post", b"GET")] == ["method", "method", "default", "default"]


def test_a_query_matches_by_pair_or_by_any_value_in_any_case():
    rule = Rule(priority=1, action=ANSWER, query_string=(("version", "v1*"), ("", "*beta*")), origin="query")
    assert [chosen(rule, path=path) for path in (b"/?a=b&Version=V1.2", b"/?x=my-Beta-2", b"/?version=v2", b"/", b"/?a=v1")] == ["query", "query", "default", "default", "default"]


def test_a_source_is_the_peer_and_not_what_it_claims():
    rule = Rule(priority=1, action=ANSWER, source_ip=("192.0.2.0/24", "198.51.100.7/32"), origin="source")
    assert chosen(rule, client=b"192.0.2.99") == "source"
    assert chosen(rule, client=b"203.0.113.7", fields={b"x-forwarded-for": b"192.0.2.99"}) == "default"


def test_a_regular_expression_matches_the_whole_value():
    assert [chosen(Rule(priority=1, action=ANSWER, path_pattern_regex=("/v[0-9]+/a|/b",), origin="path"), path=path) for path in (b"/v12/a", b"/b", b"/v12/ab")] == ["path", "path", "default"]
    assert chosen(Rule(priority=1, action=ANSWER, host_header_regex=(r"(www|shop)\.example\.com",), origin="host"), host=b"shop.example.com") == "host"
    either = Rule(priority=1, action=ANSWER, http_header=(("X-Kind", "a*"),), http_header_regex=(("x-kind", "b{2}"),), origin="header")
    assert [chosen(either, fields={b"x-kind": value}) for value in (b"abc", b"bb", b"b")] == ["header", "header", "default"]


@pytest.mark.parametrize(
    ("path", "normal"),
    [(b"/a/../b", b"/b"), (b"/../../etc", b"/etc"), (b"/a/./b/.", b"/a/b/"), (b"/%7euser", b"/~user"), (b"/%2F%c3", b"/%2F%C3"), (b"/%41%2e%2e/x", b"/A../x"), (b"/.hidden", b"/.hidden"), (b"/a/%2e%2e/b", b"/b")],
)
def test_patterns_see_the_normalised_path(path: bytes, normal: bytes):
    assert normalise_path(path) == normal


@given(st.binary(max_size=60))
def test_normalising_twice_changes_nothing_more(path: bytes):
    once = normalise_path(b"/" + path)
    assert once.startswith(b"/")
    if b"%25" not in once:  # %25 is never decoded, so it cannot build new escapes
        assert normalise_path(once) == once


def test_a_redirect_to_https_keeps_host_path_and_query_and_writes_the_port():
    redirect = Redirect(status_code=301, protocol="HTTPS", host="#{host}", port="443", path="/#{path}", query="#{query}")
    assert location(redirect, protocol="http", host="shop.example.com", port=80, path="/a/b", query="c=d") == "https://shop.example.com:443/a/b?c=d"
    assert location(redirect, protocol="http", host="shop.example.com", port=80, path="/", query="") == "https://shop.example.com:443/"


def test_a_redirect_fills_every_placeholder():
    redirect = Redirect(status_code=302, protocol="#{protocol}", host="www.#{host}", port="#{port}", path="/new/#{path}", query="from=#{host}&#{query}")
    assert location(redirect, protocol="http", host="h", port=8080, path="/p", query="q=1") == "http://www.h:8080/new/p?from=h&q=1"


def test_what_a_client_sends_is_not_a_placeholder():
    redirect = Redirect(status_code=302, protocol="#{protocol}", host="#{host}", port="#{port}", path="/#{path}", query="#{query}")
    assert location(redirect, protocol="http", host="h", port=80, path="/#{query}", query="x") == "http://h:80/#{query}?x"
