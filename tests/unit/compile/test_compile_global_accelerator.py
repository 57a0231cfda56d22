"""Global Accelerator in the plan: what edges announce and to whom they send, what exits translate, and whose replies come back by them."""

from dataclasses import replace
from ipaddress import IPv4Network

import pytest

from services.bgp.config import Config as Speaker
from services.common.config import decode
from services.global_accelerator.config import Config
from testbed.compile import compile_plan
from testbed.model import EndpointConfiguration, Internet, PublicVirtualInterface
from testbed.plan.diff import diff
from testbed.resolve import resolve
from tests.scenarios.accelerated import accelerated
from topologies.global_accelerator import global_accelerator

RESOLVED = resolve(accelerated())
PLAN = compile_plan(RESOLVED)
STATIC = {str(address) for address in RESOLVED.accelerators[0].addresses}


def table(plan, node, name):
    return next(each for each in plan.node(node).ruleset.tables if each.name == name)


def chain(plan, node, name, table_name="global_accelerator"):
    return " ; ".join(rule.statement for each in table(plan, node, table_name).chains if each.name == name for rule in each.rules)


def elements(plan, node, name, table_name="global_accelerator"):
    return dict(next(each.elements for each in table(plan, node, table_name).maps if each.name == name))


def told(plan, service, kind):
    return decode(next(each.config for each in plan.services if each.name == service), kind)


def changed(topology=None, **changes):
    before = topology or accelerated()
    resources = tuple(replace(each, **changes[each.id.replace("-", "_")]) if each.id.replace("-", "_") in changes else each for each in before.resources)
    return compile_plan(resolve(replace(before, resources=resources)))


def slots(plan, edge, listener):
    """The endpoints of a listener's slots, by name."""
    names = {str(way.inside): way.endpoint for way in RESOLVED.accelerated_ways}
    return {names[address] for address in elements(plan, edge, f"slots.{listener}").values()}


def test_every_edge_announces_both_addresses_to_its_city_and_learns_nothing():
    for edge in RESOLVED.accelerator_edges:
        config = told(PLAN, f"{edge.node}.bgp", Speaker)
        assert {str(each.prefix.network_address) for each in config.originated} == STATIC
        (neighbour,) = config.neighbours
        assert (neighbour.propagates_to, neighbour.accept.prefixes) == ((), ())


def test_a_city_prefers_its_own_edge_then_the_nearest_city_with_one_and_passes_on_only_its_own():
    config = told(PLAN, "city-dublin.bgp", Speaker)
    preferences = {each.name: each.accept.local_preference for each in config.neighbours}
    assert max(preferences, key=preferences.__getitem__) == "city-london"
    assert all(each.associated is None for each in config.neighbours), "it has no edge to tell of"
    london = told(PLAN, "city-london.bgp", Speaker)
    own = next(each for each in london.neighbours if each.name == "ga-edge-lhr")
    assert own.accept.local_preference > max(each.accept.local_preference for each in london.neighbours if each is not own)
    assert {each.advertise.communities for each in london.neighbours if each is not own} == {((65535, 65281),)}


def test_cities_without_an_edge_have_no_session_with_each_other():
    names = {each.name for each in told(PLAN, "city-dublin.bgp", Speaker).neighbours}
    assert names == {"city-london", "city-new-york", "city-tokyo"}


def test_without_an_accelerator_there_is_neither_a_speaker_nor_an_edge_of_it():
    without = replace(accelerated(), resources=tuple(each for each in accelerated().resources if not each.id.startswith(("ga", "listener-", "group-"))))
    plan = compile_plan(resolve(without))
    assert not [service.name for service in plan.services if service.kind in ("bgp", "global_accelerator")]
    assert not [node.name for node in plan.nodes if node.name.startswith("ga-")]


def test_a_disabled_accelerator_is_not_announced_and_takes_no_packet():
    plan = changed(ga={"enabled": False})
    assert told(plan, "ga-edge-lhr.bgp", Speaker).originated == ()
    assert elements(plan, "ga-edge-lhr", "listeners") == {}
    assert "ga-edge-lhr.global_accelerator" not in {service.name for service in plan.services}


def test_ports_are_ranges_and_protocols_apart():
    keys = elements(PLAN, "ga-edge-lhr", "listeners")
    for address in STATIC:
        assert keys[f"{address} . tcp . 80-81"] == "goto listener.listener_http"
        assert keys[f"{address} . udp . 53"] == "goto listener.listener_game"


def test_affinity_hashes_addresses_alone():
    assert "jhash ip saddr . ip daddr mod" in chain(PLAN, "ga-edge-lhr", "listener.listener_sticky")
    assert "jhash ip saddr . ip daddr . tcp sport . tcp dport mod" in chain(PLAN, "ga-edge-lhr", "listener.listener_http")


@pytest.mark.parametrize(("edge", "endpoints"), [("ga-edge-lhr", {"web-eu", "web-eu2"}), ("ga-edge-jfk", {"web-us"}), ("ga-edge-nrt", {"web-eu", "web-eu2"})])
def test_each_edge_sends_to_the_region_nearest_to_itself(edge, endpoints):
    assert slots(PLAN, edge, "listener_http") == endpoints


def test_the_daemon_is_told_groups_by_distance_and_how_to_ask():
    listeners = {listener.id: listener for listener in told(PLAN, "ga-edge-jfk.global_accelerator", Config).listeners}
    groups = listeners["listener-http"].groups
    assert [group.region for group in groups] == ["us-east-1", "eu-west-1"]
    check = groups[0].health_check
    assert (check.protocol, check.port, check.interval_s, check.healthy_threshold, check.unhealthy_threshold) == ("TCP", 7, 10.0, 3, 3)


def test_without_a_port_of_its_own_the_check_asks_the_listeners_first():
    plan = changed(group_http_us={"health_check_port": None})
    (group,) = (group for listener in told(plan, "ga-edge-jfk.global_accelerator", Config).listeners for group in listener.groups if group.id == "group-http-us")
    assert group.health_check.port == 80


def test_a_balancer_tells_of_itself_zone_by_zone():
    plan = compile_plan(resolve(global_accelerator()))
    config = told(plan, "ga-edge-lhr.global_accelerator", Config)
    (ways,) = (endpoint.ways for listener in config.listeners for group in listener.groups for endpoint in group.endpoints if endpoint.id == "alb-eu")
    assert [way.health_file.rpartition("/")[2] for way in ways] == ["alb-eu-a", "alb-eu-b"]
    after = next(service.after for service in plan.services if service.name == "ga-edge-lhr.global_accelerator")
    assert {"alb-eu-a.alb", "alb-us-b.alb"} <= set(after)


def test_an_exit_into_a_vpc_keeps_the_client_and_one_to_public_addresses_hides_it():
    assert not [each for each in table(PLAN, "ga-vpc-eu", "accelerator_exit").chains if "postrouting" in each.hook]
    own = next(exit.address for exit in RESOLVED.accelerator_exits if exit.node == "ga-eu-west-1")
    assert f"snat ip to {own}:1024-65535" in chain(PLAN, "ga-eu-west-1", "from_exit", "accelerator_exit")
    inside = {way.endpoint: str(way.inside) for way in RESOLVED.accelerated_ways if way.exit == "ga-vpc-us"}
    assert elements(PLAN, "ga-vpc-us", "endpoints", "accelerator_exit")[inside["web-us"]] == "10.0.1.10"
    assert set(inside) == {"nlb-us", "web-us"}, "nlb-plain has no security group"


def test_replies_go_back_to_the_edge_of_their_flow():
    node = PLAN.node("ga-vpc-eu")
    for edge in RESOLVED.accelerator_edges:
        (rule,) = (rule for rule in node.rules if rule.mark == edge.number)
        (route,) = (route for route in node.routes if route.table == rule.table)
        assert route.device in {end.name for link in PLAN.links if edge.node in (link.a.node, link.b.node) for end in (link.a, link.b) if end.node == node.name}


def test_in_the_fabric_replies_leave_by_the_exit_and_its_flows_are_always_tracked():
    fabric = table(PLAN, "vpc-eu", "fabric")
    assert '"e-ga-vpc-eu"' in {element for each in fabric.sets if each.name == "always_tracked" for element in each.elements}
    assert '"e-ga-vpc-eu"' in {key for each in fabric.maps if each.name == "return_arrivals" for key, _ in each.elements}
    assert IPv4Network("0.0.0.0/0") in {route.destination for route in PLAN.node("vpc-eu").routes if route.device == "e-ga-vpc-eu"}


def test_idle_flows_are_forgotten_after_340_and_30_seconds():
    plan = compile_plan(resolve(accelerated(time_scale=1.0)))
    for node in ("ga-edge-lhr", "ga-vpc-eu", "ga-eu-west-1"):
        sysctls = dict(plan.node(node).sysctls)
        assert (sysctls["netfilter/nf_conntrack_tcp_timeout_established"], sysctls["netfilter/nf_conntrack_udp_timeout"]) == ("340", "30")


def test_the_public_internet_makes_detours_and_awss_network_makes_none():
    straight = changed(internet={"detour": 1.0, "jitter_ms": 5})

    def delay(plan, one, other):
        return next(link.wire.delay_ms for link in plan.links if {link.a.node, link.b.node} == {one, other})

    assert delay(PLAN, "city-dublin", "city-tokyo") == pytest.approx(1.5 * delay(straight, "city-dublin", "city-tokyo"), abs=0.01)
    assert delay(PLAN, "ga-edge-nrt", "ga-vpc-eu") == delay(straight, "ga-edge-nrt", "ga-vpc-eu") == delay(straight, "city-dublin", "city-tokyo")


def test_a_change_of_weights_touches_no_node_but_the_edges_that_send_there():
    heavier = tuple(EndpointConfiguration(endpoint_id=name, weight=weight) for name, weight in (("web-eu", 255), ("web-eu2", 1)))
    after = changed(group_http_eu={"endpoint_configurations": heavier})
    change = diff(PLAN, after)
    assert {node for node in (each.name for each in after.nodes) if PLAN.node(node) != after.node(node)} == {"ga-edge-lhr", "ga-edge-nrt"}
    assert change


def test_a_city_with_a_direct_connect_session_has_one_speaker_for_both():
    from topologies.direct_connect import direct_connect

    fibre = tuple(each for each in direct_connect().resources if each.id in ("hq", "dxcon-a"))
    public = PublicVirtualInterface(id="dxvif-public", connection_id="dxcon-a", vlan=201, asn=65000)
    resources = tuple(replace(each, edge_locations=("LHR",)) if isinstance(each, Internet) else each for each in accelerated().resources)
    plan = compile_plan(resolve(replace(accelerated(), resources=(*resources, *fibre, public))))
    config = told(plan, "city-dublin.bgp", Speaker)
    assert {table.name for table in config.tables} == {"aws", "anycast"}
    assert {each.propagates_to for each in config.neighbours if each.propagates_to} == {("aws",), ("anycast",)}
