"""Network Load Balancers in the plan: maps and chains of a node, its replies' way back, and whom the target's groups admit."""

from dataclasses import replace

import pytest

from services.common.config import decode
from services.nlb.config import Config
from testbed.compile import compile_plan
from testbed.plan.diff import diff
from testbed.plan.marks import FIRST_RETURN_TABLE, ROUTE_TABLE_MASK
from testbed.resolve import resolve
from tests.scenarios.balanced import HTTP, balanced, checked

RESOLVED = resolve(balanced())
PLAN = compile_plan(RESOLVED)


def table(plan, node, name="network_load_balancer"):
    return next(each for each in plan.node(node).ruleset.tables if each.name == name)


def chain(plan, node, name):
    return " ; ".join(rule.statement for each in table(plan, node).chains if each.name == name for rule in each.rules)


def slots(plan, node, group):
    return [value for each in table(plan, node).maps if each.name == f"slots.{group}" for _, value in each.elements]


def with_changed(name, topology=None, **fields):
    before = topology or balanced()
    return compile_plan(resolve(replace(before, resources=tuple(replace(each, **fields) if each.id == name else each for each in before.resources))))


def test_a_node_has_the_targets_of_its_zone_and_with_cross_zone_all():
    assert set(slots(PLAN, "nlb-kept-a", "tg_kept")) == {"10.0.11.10 . 8080"}
    assert set(slots(PLAN, "nlb-kept-b", "tg_kept")) == {"10.0.12.11 . 8080", "10.0.12.12 . 8080"}
    across = with_changed("tg-kept", load_balancing_cross_zone_enabled=True)
    assert len(set(slots(across, "nlb-kept-a", "tg_kept"))) == 3


def test_a_flow_is_hidden_only_where_the_group_says_so():
    assert "ct mark set" not in chain(PLAN, "nlb-kept-a", "listener.nlb_kept_80.tcp")
    assert "ct mark set 0x1" in chain(PLAN, "nlb-hidden-a", "listener.nlb_hidden_80.tcp")


def test_tcp_and_udp_have_a_chain_each():
    assert "tcp sequence" in chain(PLAN, "nlb-kept-a", "listener.nlb_kept_53.tcp")
    assert "udp sport" in chain(PLAN, "nlb-kept-a", "listener.nlb_kept_53.udp")


def test_a_sticky_group_looks_at_the_source_alone():
    sticky = with_changed("tg-kept", stickiness_enabled=True, stickiness_type="source_ip")
    assert "jhash ip saddr mod" in chain(sticky, "nlb-kept-a", "listener.nlb_kept_80.tcp")


def test_replies_return_to_nodes_that_keep_clients_and_to_no_others():
    (routes, rules) = ([r for r in PLAN.node("vpc-b").routes if "address kept" in r.origin], [r for r in PLAN.node("vpc-b").rules if "address kept" in r.origin])
    nodes = {i.address for i in RESOLVED.interfaces if i.owner in ("nlb-kept", "nlb-grouped", "nlb-one")}
    assert {route.via for route in routes} == nodes
    assert all(FIRST_RETURN_TABLE <= rule.mark <= ROUTE_TABLE_MASK for rule in rules)


def test_a_listeners_own_idle_timeout_is_scaled():
    plan = compile_plan(resolve(checked()))
    (timeout,) = table(plan, "nlb-a", "idle_timeouts").timeouts
    assert timeout.policy == (("established", 1),), "60 s, fifty times as fast"
    assert dict(plan.node("nlb-a").sysctls)["netfilter/nf_conntrack_tcp_timeout_established"] == "7"


def test_the_daemon_has_the_maps_of_the_table():
    (service,) = (each for each in PLAN.services if each.name == "nlb-kept-a.nlb")
    config = decode(service.config, Config)
    assert {group.map for group in config.target_groups} | {"listeners"} == {each.name for each in table(PLAN, "nlb-kept-a").maps}
    assert {group.slots for group in config.target_groups} == {len(slots(PLAN, "nlb-kept-a", "tg_kept"))}


@pytest.mark.parametrize("targets", [("t-a", "t-b1"), ("t-a",), ()])
def test_a_live_change_of_targets_edits_slots_and_reloads_the_daemon(targets):
    change = diff(PLAN, with_changed("tg-kept", targets=targets))
    assert {service.name for service in change.services_reloaded} <= {"nlb-kept-a.nlb", "nlb-kept-b.nlb"}
    assert change.services_restarted == ()
    assert {node.name for node in change.nodes_changed} <= {"nlb-kept-a", "nlb-kept-b"}
    assert all(node.tables is None for node in change.nodes_changed), "no table is replaced"


def test_targets_groups_meet_the_balancers_clients_in_a_chain_of_their_own():
    behind = [each for each in table(PLAN, "vpc-b", "fabric").chains if ".behind." in each.name]
    assert {each.name for each in behind if "sg_nlb" in each.name} == {"union.ingress.sg_closed.behind.sg_nlb"}
    assert HTTP == 80
