"""Faults of network firewalls, policies and rule groups: each is named with its remedy."""

from dataclasses import replace

import pytest

from testbed.model import (
    FirewallPolicy,
    ModelError,
    NetworkFirewall,
    PortRange,
    Protocol,
    Route,
    RuleGroup,
    RuleGroupReference,
    RulesSourceList,
    StatefulRule,
    StatelessRule,
    Subnet,
)
from testbed.resolve import resolve
from topologies.inspection_vpc import network_firewall

REGION = "eu-west-1"


def said(*changed, without=()):
    """The faults of the topology with resources put in place of those with their ids, or added."""
    topology = network_firewall()
    ids = {each.id for each in changed} | set(without)
    with pytest.raises(ModelError) as raised:
        resolve(replace(topology, resources=(*(each for each in topology.resources if each.id not in ids), *changed)))
    return {(fault.resource, fault.problem) for fault in raised.value.faults}


def stateful(**fields):
    return RuleGroup(id="rg", type="STATEFUL", **fields)


def policy(*groups, **fields):
    return FirewallPolicy(id="policy", stateful_rule_group_references=tuple(RuleGroupReference(resource_arn=group) for group in groups), **fields)


def test_a_topology_without_faults_has_none():
    assert resolve(network_firewall()).interfaces_of("nfw")


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        (NetworkFirewall(id="nfw", vpc_id="vpc-inspection", subnet_mappings=("inspection-fw-a", "inspection-fw-b"), firewall_policy_arn="polcy"), ("nfw", "firewall_policy_arn 'polcy' does not exist")),
        (NetworkFirewall(id="nfw", vpc_id="vpc-inspection", subnet_mappings=("inspection-fw-a", "inspection-tgw-a", "inspection-fw-b"), firewall_policy_arn="policy"), ("nfw", "inspection-fw-a and inspection-tgw-a are both in eu-west-1a")),
        (NetworkFirewall(id="nfw", vpc_id="vpc-inspection", subnet_mappings=("inspection-fw-a", "inspection-fw-b", "app-a"), firewall_policy_arn="policy"), ("nfw", "app-a is a subnet of vpc-app, not of vpc-inspection")),
        (NetworkFirewall(id="nfw", vpc_id="vpc-inspection", subnet_mappings=("inspection-fw-a",), firewall_policy_arn="policy"), ("rtb-inspection-tgw-b 0.0.0.0/0", "vpc_endpoint_id 'vpce-nfw-b' does not exist")),
        (policy("rg-telnet"), ("policy", "rg-telnet is a STATELESS group among the stateful ones")),
        (policy(rule_order="STRICT_ORDER", stateful_default_actions=("aws:drop_strict", "aws:drop_established")), ("policy", "both drop actions in stateful_default_actions")),
        (policy(stateful_default_actions=("aws:drop_strict",)), ("policy", "stateful_default_actions without strict order")),
        (policy("rg-signatures", rule_order="STRICT_ORDER"), ("policy", "rg-signatures is for DEFAULT_ACTION_ORDER, the policy for STRICT_ORDER")),
        (policy("rg-signatures", rule_order="STRICT_ORDER"), ("policy", "rg-signatures has no priority")),
        (stateful(rules_string="drop tcp any any"), ("rg", "'drop tcp any any' is no Suricata rule")),
        (stateful(rules_string="drop tcp $HOME any -> any any (sid:1;)"), ("rg#1", "$HOME is not defined")),
        (stateful(rules_string="drop tcp 10.0.0.0/33 any -> any any (sid:1;)"), ("rg#1", "'10.0.0.0/33' is not an IPv4 CIDR block")),
        (stateful(stateful_rules=(StatefulRule(action="deny", protocol="tcp", rule_options="sid:1;"),)), ("rg#1", "action 'deny' is not one of the allowed values")),
        (stateful(rules_source_list=RulesSourceList(targets=())), ("rg", "the list of domains names none, or no protocol to look at")),
        (stateful(rules_string="drop tcp any any -> any 1 (sid:1;)\ndrop tcp any any -> any 2 (sid:1;)"), ("rg#1", "2 rules have this sid")),
        (stateful(), ("rg", "a STATEFUL group with 0 sources of rules, or of the other type")),
        (RuleGroup(id="rg", type="STATELESS", stateless_rules=(StatelessRule(priority=1, action="aws:drop", destination_ports=(PortRange(first=1, last=2),)),)), ("rg#1", "has ports, and protocols that have none")),
        (RuleGroup(id="rg", type="STATELESS", stateless_rules=(StatelessRule(priority=0, action="drop", protocols=(Protocol.TCP,)),)), ("rg#0", "action 'drop' is not one of the allowed values")),
        (Subnet(id="inspection-fw-b", vpc_id="vpc-inspection", cidr_block="10.9.1.0/24", availability_zone=f"{REGION}a"), ("nfw", "inspection-fw-a and inspection-fw-b are both in eu-west-1a")),
    ],
)  # fmt: skip
def test_a_fault_is_named(changed, fault):
    assert fault in said(changed)


def test_a_route_to_an_endpoint_of_another_vpc_is_one():
    table = next(each for each in network_firewall().resources if each.id == "rtb-app")
    route = Route(destination_cidr_block="0.0.0.0/0", vpc_endpoint_id="vpce-nfw-a")
    assert ("rtb-app 0.0.0.0/0", "target vpce-nfw-a is in vpc-inspection, not in vpc-app") in said(replace(table, routes=(route,)))


def test_rules_of_one_policy_may_not_share_a_sid():
    other = stateful(rules_string="drop tcp any any -> any 9 (sid:1;)")
    assert ("policy", "rg-signatures and rg both have a rule with sid 1") in said(other, policy("rg-signatures", "rg"))
