"""Which listener rule a request meets, and where a redirect leads."""

from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.alb.config import Action, FixedResponse, Redirect, Rule
from services.alb.redirect import location
from services.alb.rule import Asked, RuleSet, alternatives, normalise_path

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


# -- fuzzing: against a reading of the documents that shares nothing with the code

PATTERN = st.text(alphabet="aA/*?.[(%", max_size=8)
VALUE = st.text(alphabet="aA/.[(%b", max_size=10)


def is_like(pattern: str, value: str) -> bool:
    """Wildcards by recursion."""
    if not pattern:
        return not value
    if pattern[0] == "*":
        return is_like(pattern[1:], value) or bool(value and is_like(pattern, value[1:]))
    return bool(value) and pattern[0] in ("?", value[0]) and is_like(pattern[1:], value[1:])


@given(PATTERN, VALUE)
def test_wildcards_mean_what_they_say(pattern: str, value: str):
    assert bool(alternatives((pattern,), ignore_case=False).fullmatch(value.encode())) == is_like(pattern, value)
    assert bool(alternatives((pattern,), ignore_case=True).fullmatch(value.encode())) == is_like(pattern.lower(), value.lower())


@st.composite
def rules(draw: st.DrawFn, priority: int) -> Rule:
    return Rule(
        priority=priority,
        action=ANSWER,
        host_header=tuple(draw(st.lists(PATTERN, max_size=2))),
        http_header=tuple(draw(st.lists(st.tuples(st.sampled_from(["X-a", "x-A", "X-b"]), PATTERN), max_size=2))),
        http_request_method=tuple(draw(st.lists(st.sampled_from(["GET", "get", "POST"]), max_size=2))),
        query_string=tuple(draw(st.lists(st.tuples(st.sampled_from(["", "k", "K"]), PATTERN), max_size=2))),
        source_ip=tuple(draw(st.lists(st.sampled_from(["203.0.113.0/24", "10.0.0.0/8", "0.0.0.0/0"]), max_size=2))),
        origin=str(priority),
    )


def holds(rule: Rule, host: str, query: str, fields: dict[str, str], method: str, client: str) -> bool:
    """The rule's conditions by the documents, one sentence each."""
    pairs = [(key.lower(), value.lower()) for key, _, value in (pair.partition("=") for pair in query.split("&"))]
    names = {name.lower() for name, _ in rule.http_header}
    return (
        (not rule.host_header or any(is_like(pattern.lower(), host.lower()) for pattern in rule.host_header))
        and all(name in fields and any(is_like(pattern.lower(), fields[name].lower()) for own, pattern in rule.http_header if own.lower() == name) for name in names)
        and (not rule.http_request_method or method in rule.http_request_method)
        and (not rule.query_string or any(is_like(pattern.lower(), value) for wanted, pattern in rule.query_string for key, value in pairs if wanted in ("",) or wanted.lower() == key))
        and (not rule.source_ip or any(IPv4Address(client) in IPv4Network(block) for block in rule.source_ip))
    )


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.tuples(*(rules(number) for number in (1, 2, 3))), VALUE, VALUE, st.dictionaries(st.sampled_from(["x-a", "x-b"]), VALUE), st.sampled_from(["GET", "get", "POST", "PUT"]), st.sampled_from(["203.0.113.7", "10.1.1.1", "192.0.2.1"]))
def test_the_first_rule_that_holds_decides_whatever_is_asked(three: tuple[Rule, ...], host: str, value: str, fields: dict[str, str], method: str, client: str):
    query = f"k={value}&z=b"
    default = Rule(priority=0, action=ANSWER, origin="default")
    asked = Asked(method=method.encode(), host=host.encode(), target=f"/?{query}".encode(), fields={name.encode(): text.encode() for name, text in fields.items()}, client=client.encode())
    expected = next((rule.origin for rule in three if holds(rule, host, query, fields, method, client)), "default")
    assert RuleSet((default, *reversed(three))).select(asked).origin == expected


@given(st.binary(max_size=80), st.binary(max_size=30))
def test_no_bytes_upset_the_choice(target: bytes, host: bytes):
    anything = Rule(priority=1, action=ANSWER, path_pattern=("/*/../?",), host_header=("*.*",), query_string=(("k", "*"),), origin="1")
    assert RuleSet((Rule(priority=0, action=ANSWER, origin="default"), anything)).select(Asked(host=host, target=b"/" + target, fields={})).origin in ("1", "default")
