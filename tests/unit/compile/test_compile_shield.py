"""What becomes of Shield: tables at the border, SYN cookies at the edge, rate rules in daemons, and nothing in the fabric."""

from dataclasses import replace

import pytest

from services.alb.config import Config as AlbConfig
from services.cloudfront.config import Config as EdgeConfig
from services.common.config import LearntRateRule, decode
from testbed.compile import compile_plan
from testbed.model import Accelerator, Internet, ShieldProtection
from testbed.plan import NodeKind, Plan
from testbed.resolve import resolve
from topologies.global_accelerator import global_accelerator
from topologies.load_balancers import load_balancers
from topologies.shield import shield

PLAN = compile_plan(resolve(shield()))


def without(topology):
    return replace(topology, resources=tuple(replace(each, shield_standard=False) if isinstance(each, Internet) else each for each in topology.resources))


def table(plan: Plan, node: str):
    ruleset = plan.node(node).ruleset
    return next((each for each in ruleset.tables if each.name == "shield"), None) if ruleset else None


def config(plan: Plan, service: str, kind):
    return decode(next(each.config for each in plan.services if each.name == service), kind)


def test_it_stands_at_edges_and_internet_gateways_and_nowhere_else():
    guarded = {node.kind for node in PLAN.nodes if table(PLAN, node.name)}
    assert guarded == {NodeKind.EDGE_LOCATION, NodeKind.INTERNET_GATEWAY}


@pytest.mark.parametrize("kind", [NodeKind.FABRIC, NodeKind.INSTANCE, NodeKind.CITY])
def test_what_is_inside_is_the_same_with_shield_and_without(kind):
    bare = compile_plan(resolve(without(shield())))
    assert [node for node in bare.nodes if node.kind is kind] == [node for node in PLAN.nodes if node.kind is kind]


def test_the_edge_tracks_no_connection_and_sends_a_cookie_for_every_syn():
    assert dict(PLAN.node("edge-lhr").sysctls)["ipv4/tcp_syncookies"] == "2"
    assert not any("ct " in rule.statement for chain in table(PLAN, "edge-lhr").chains for rule in chain.rules)


def test_the_gateway_judges_before_a_flow_is_noted_and_what_is_known_first():
    chains = {chain.name: chain for chain in table(PLAN, "igw-shop").chains}
    assert "prerouting priority mangle" in chains["gateway"].hook
    assert [rule.statement for rule in chains["gateway"].rules[:2]] == ['iifname != "internet" accept', "ct state established,related accept"]
    for chain in chains.values():
        assert all(rule.origin.startswith("Shield Standard (") for rule in chain.rules if rule.statement.endswith("drop"))


def test_what_is_protected_by_advanced_is_mitigated_at_half():
    (advanced,) = (each for each in table(PLAN, "igw-shop").sets if each.name == "advanced")
    assert advanced.elements == ("198.19.12.50",)
    rates = [rule.statement for chain in table(PLAN, "igw-shop").chains if chain.name == "syn" for rule in chain.rules[:2]]
    assert "ip daddr @advanced" in rates[0] and "over 500/second" in rates[0]
    assert "ip daddr != @advanced" in rates[1] and "over 1000/second" in rates[1]


def test_switched_off_by_a_teacher_nothing_of_it_is_left():
    bare = compile_plan(resolve(without(shield())))
    assert not any(table(bare, node.name) for node in bare.nodes)
    assert dict(bare.node("edge-lhr").sysctls)["ipv4/tcp_syncookies"] == "0"


def test_the_edge_is_told_of_a_distributions_rate_rule():
    (distribution,) = config(PLAN, "edge-lhr.cloudfront", EdgeConfig).distributions
    assert distribution.rate_rule == LearntRateRule(origin="protect-cdn", action="Block", health_based=True)


def test_a_balancers_nodes_are_told_of_theirs_and_all_its_addresses_are_covered():
    topology = load_balancers()
    protection = ShieldProtection(id="protect-alb", resource_arn="alb-paths", application_layer_automatic_response="Count")
    resolved = resolve(replace(topology, resources=(*topology.resources, protection)))
    plan = compile_plan(resolved)
    assert config(plan, "alb-paths-a.alb", AlbConfig).rate_rule == LearntRateRule(origin="protect-alb", action="Count")
    assert config(compile_plan(resolve(topology)), "alb-paths-a.alb", AlbConfig).rate_rule is None
    public = {str(interface.public_address) for interface in resolved.interfaces_of("alb-paths")}
    gateway = next(node.name for node in plan.nodes if node.kind is NodeKind.INTERNET_GATEWAY)
    assert {element for each in table(plan, gateway).sets if each.name == "advanced" for element in each.elements} == public


def test_an_accelerator_is_protected_where_its_addresses_are():
    topology = global_accelerator()
    accelerator = topology.of(Accelerator)[0]
    resolved = resolve(replace(topology, resources=(*topology.resources, ShieldProtection(id="protect-ga", resource_arn=accelerator.id))))
    plan = compile_plan(resolved)
    edges = [node.name for node in plan.nodes if node.kind is NodeKind.EDGE_LOCATION and node.name.startswith("ga-edge")]
    assert edges
    addresses = next(each.addresses for each in resolved.accelerators if each.id == accelerator.id)
    for name in edges:
        (advanced,) = (each for each in table(plan, name).sets if each.name == "advanced")
        assert set(advanced.elements) == set(map(str, addresses))
