"""Resolver rules: which of rules and zones decides on a name, and what is asked of whom."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from services.dns.config import ForwardingRule
from services.dns.forwarding import Rules
from services.dns.message import Question, Rcode, Type, parse_name
from services.dns.recursion import Ask, Recursion, Reply

OFFICE, OTHER = IPv4Address("10.200.0.53"), IPv4Address("10.200.0.54")
CLIENT = IPv4Address("10.0.0.4")


def rule(domain: str, *targets: IPv4Address) -> ForwardingRule:
    return ForwardingRule(domain=domain, targets=targets)


@pytest.mark.parametrize(
    ("name", "targets"),
    [
        ("corp.example", (OFFICE,)),
        ("wiki.corp.example", (OFFICE,)),
        ("notcorp.example", ()),
        ("db.lab.corp.example", (OTHER,)),
        ("aws.corp.example", ()),
        ("web.aws.corp.example", ()),
        ("x.zone.corp.example", ()),
        ("both.example", (OTHER,)),
    ],
)
def test_the_longest_domain_decides_and_a_rule_beats_a_zone_of_its_name(name, targets):
    rules = Rules(
        (rule("corp.example", OFFICE), rule("lab.corp.example", OTHER), rule("aws.corp.example"), rule("both.example", OTHER)),
        (parse_name("zone.corp.example"), parse_name("both.example"), parse_name("example")),
    )
    found = rules.forwards(parse_name(name))
    assert (() if found is None else found.targets) == targets


def test_a_rule_for_the_root_takes_what_no_other_has():
    rules = Rules((rule("", OFFICE), rule("amazonaws.com")), ())
    assert rules.forwards(parse_name("example.org")) == rule("", OFFICE)
    assert rules.forwards(parse_name("s3.amazonaws.com")) is None


def test_targets_are_asked_in_turn_and_a_rule_without_an_answer_is_a_failure():
    recursion = Recursion((IPv4Address("192.0.2.1"),), lambda _: None, forwards=Rules((rule("corp.example", OFFICE, OTHER),), ()).forwards)
    resolution = recursion.resolve(Question(spelled=parse_name("wiki.corp.example"), type=Type.A), CLIENT, 0.0)
    asked: list[Ask] = [next(resolution)]
    with pytest.raises(StopIteration) as ended:
        while True:
            asked.append(resolution.send(Reply(response=None, now=0.0)))
    assert {ask.server for ask in asked} == {OFFICE, OTHER}
    assert all(ask.rule is not None and ask.subnet is None for ask in asked)
    assert ended.value.value.rcode == Rcode.SERVFAIL
