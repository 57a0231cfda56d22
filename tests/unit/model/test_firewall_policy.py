"""Both engines of a network firewall, as far as addresses, ports and protocol decide."""

from ipaddress import IPv4Address

import pytest

from testbed.model import FirewallPolicy, Packet, PortRange, Protocol, RuleGroup, RuleGroupReference, RulesSourceList, StatefulRule, StatelessRule, Verdict
from testbed.model.firewall_policy import RuleOf, evaluate_stateful, evaluate_stateless
from testbed.model.rule_group import STRICT_ORDER
from testbed.model.stateful_rule import expand, parse

SYN = Packet(source=IPv4Address("10.1.0.4"), destination=IPv4Address("192.0.2.1"), protocol=Protocol.TCP, source_port=40000, destination_port=443)
PING = Packet(source=SYN.source, destination=SYN.destination, protocol=Protocol.ICMP, icmp_type=8, icmp_code=0)
VARIABLES = {"HOME_NET": ("10.0.0.0/8", "!10.9.0.0/16"), "WEB": ("80", "443")}


def rule(action, options="sid:1;", **fields):
    return StatefulRule(action=action, **{"protocol": "tcp", **fields}, rule_options=options)


def said(*rules, order="DEFAULT_ACTION_ORDER", defaults=(), packet=SYN, is_reply=False):
    policy = FirewallPolicy(id="policy", rule_order=order, stateful_default_actions=defaults)
    numbered = tuple(RuleOf(group="rg", rule=each, variables=VARIABLES) for each in rules)
    return evaluate_stateful(policy, numbered, packet, is_reply=is_reply)


@pytest.mark.parametrize(
    ("fields", "takes"),
    [
        ({}, True),
        ({"source": "10.0.0.0/8"}, True),
        ({"source": "!10.0.0.0/8"}, False),
        ({"source": "$HOME_NET"}, True),
        ({"source": "[10.1.0.0/16,!10.1.0.4]"}, False),
        ({"source": "![10.9.0.0/16,[10.1.0.4]]"}, False),
        ({"destination_port": "443"}, True),
        ({"destination_port": "$WEB"}, True),
        ({"destination_port": "[1:442,444:]"}, False),
        ({"destination_port": "!443"}, False),
        ({"destination_port": "400:"}, True),
        ({"source_port": ":39999"}, False),
        ({"source": "192.0.2.1", "direction": "<>"}, True),
        ({"source": "192.0.2.1"}, False),
        ({"protocol": "udp"}, False),
        ({"protocol": "ip"}, True),
    ],
)
def test_a_header_takes_what_suricata_would_take(fields, takes):
    assert rule("drop", **fields).matches(SYN, VARIABLES, is_reply=False) is takes


def test_direction_of_a_flow_is_looked_at_where_it_is_named():
    to_client = rule("drop", 'msg:"x"; flow:to_client; sid:1;')
    assert not to_client.needs_engine
    assert (to_client.matches(SYN, {}, is_reply=False), to_client.matches(SYN, {}, is_reply=True)) == (False, True)


@pytest.mark.parametrize("options", ['content:"x"; sid:1;', "flow:established; sid:1;", "dsize:>3; sid:1;"])
def test_what_looks_deeper_is_the_engines_own(options):
    assert rule("drop", options).needs_engine


def test_by_action_a_pass_beats_a_drop_that_is_written_first():
    decision = said(rule("drop", "sid:1;"), rule("pass", "sid:2;"))
    assert (decision.verdict, decision.origin, decision.passes_flow) == (Verdict.ALLOW, "rg#2", True)


def test_in_strict_order_the_first_that_takes_it_decides():
    decision = said(rule("alert", "sid:3;"), rule("drop", "sid:1;"), rule("pass", "sid:2;"), order=STRICT_ORDER)
    assert (decision.verdict, decision.origin) == (Verdict.DENY, "rg#1")


def test_without_a_rule_it_passes_by_action_and_meets_the_defaults_in_strict_order():
    assert said(rule("drop", destination_port="25")).origin == "policy: no rule drops it"
    strict = said(order=STRICT_ORDER, defaults=("aws:drop_strict",))
    assert (strict.verdict, strict.origin) == (Verdict.DENY, "policy aws:drop_strict")


def test_drop_established_lets_the_handshake_pass_and_is_asked_later():
    decision = said(order=STRICT_ORDER, defaults=("aws:drop_established",))
    assert (decision.verdict, decision.asked) == (Verdict.ALLOW, ("policy aws:drop_established",))
    assert said(order=STRICT_ORDER, defaults=("aws:drop_established",), packet=PING, is_reply=True).verdict is Verdict.DENY


def test_a_list_of_domains_is_asked_about_what_home_sends_outside():
    group = RuleGroup(id="rg", type="STATEFUL", rules_source_list=RulesSourceList(targets=(".example.com",)))
    home, elsewhere = group.variables(("10.0.0.0/8",)), group.variables(("172.16.0.0/12",))
    policy = FirewallPolicy(id="policy")
    for variables, asked in ((home, ("rg",)), (elsewhere, ())):
        rules = tuple(RuleOf(group="rg", rule=each, variables=variables) for each in group.rules())
        assert evaluate_stateful(policy, rules, SYN, is_reply=False).asked == asked


def test_a_list_of_domains_is_short_for_the_rules_that_aws_documents():
    group = RuleGroup(id="rg", type="STATEFUL", rules_source_list=RulesSourceList(targets=(".example.com",), target_types=("TLS_SNI",)))
    allowed, dropped = group.rules()
    assert allowed.text().startswith('pass tls $HOME_NET any -> $EXTERNAL_NET any (ssl_state:client_hello; tls.sni; dotprefix; content:".example.com"; nocase; endswith; ')
    assert dropped.text().startswith('drop tls $HOME_NET any -> $EXTERNAL_NET any (ssl_state:client_hello; msg:"not matching any TLS allowlisted FQDNs"; ')
    denied = RulesSourceList(targets=("example.com",), target_types=("HTTP_HOST",), generated_rules_type="DENYLIST").rules(1)
    assert [each.action for each in denied] == ["drop"]


def test_a_rule_string_is_read_and_written_back():
    text = 'drop tcp $HOME_NET any -> any [80,443] (msg:"a; \\"b\\""; sid:7; rev:2;)'
    found = parse(text)
    assert found is not None
    assert (found.sid, found.text()) == (7, text)
    assert parse("drop tcp any any") is None
    assert expand("!$WEB", VARIABLES) == "![80,443]"


STATELESS = RuleGroup(
    id="rg",
    type="STATELESS",
    stateless_rules=(
        StatelessRule(priority=20, action="aws:pass", protocols=(Protocol.TCP,), destination_ports=(PortRange(first=443, last=443),)),
        StatelessRule(priority=10, action="aws:drop", sources=("10.2.0.0/16",)),
    ),
)
POLICY = FirewallPolicy(id="policy", stateless_default_actions="aws:forward_to_sfe", stateless_fragment_default_actions="aws:drop", stateless_rule_group_references=(RuleGroupReference(resource_arn="rg", priority=1),))


@pytest.mark.parametrize(
    ("packet", "is_fragment", "said"),
    [
        (SYN, False, ("aws:pass", "rg#20")),
        (Packet(source=IPv4Address("10.2.0.1"), destination=SYN.destination, protocol=Protocol.TCP, source_port=1, destination_port=443), False, ("aws:drop", "rg#10")),
        (PING, False, ("aws:forward_to_sfe", "policy stateless default")),
        (PING, True, ("aws:drop", "policy stateless fragment default")),
    ],
)
def test_stateless_rules_go_by_priority_then_the_defaults(packet, is_fragment, said):
    assert evaluate_stateless(POLICY, (STATELESS,), packet, is_fragment=is_fragment) == said
