"""What a Gateway Load Balancer becomes: a device that is there without its daemon, no connection tracking, one node for each endpoint."""

from dataclasses import replace

from services.common.config import decode
from services.gwlb.config import Config
from testbed.compile import compile_plan
from testbed.plan import diff
from testbed.resolve import resolve
from topologies.gwlb_inspection import gwlb_inspection

PLAN = compile_plan(resolve(gwlb_inspection()))


def config(node, plan=PLAN):
    return decode(next(service.config for service in plan.services if service.name == f"{node}.gwlb"), Config)


def test_an_endpoint_sends_everything_to_its_device_whether_or_not_a_daemon_has_it():
    node = PLAN.node("vpce-a")
    assert [(tun.name, tun.mtu_bytes) for tun in node.tuns] == [("gwlb", 8500)]
    assert node.keeps_ttl
    ways = {route.table: route.device for route in node.routes if route.table != 254}
    assert {rule.mark: ways[rule.table] for rule in node.rules} == {1: "gwlb", 2: "eth0"}


def test_neither_endpoint_nor_balancer_tracks_connections():
    for name in ("vpce-a", "gwlb-a"):
        ruleset = PLAN.node(name).ruleset
        assert ruleset is not None
        assert not [rule for table in ruleset.tables for chain in table.chains for rule in chain.rules if "ct " in rule.statement]


def test_a_node_serves_the_endpoints_of_its_zone_and_knows_all_appliances():
    for zone in "ab":
        told = config(f"gwlb-{zone}")
        assert [(endpoint.id, endpoint.namespace) for endpoint in told.endpoints] == [(f"vpce-{zone}", f"vpce-{zone}")]
        assert [(appliance.id, appliance.availability_zone) for appliance in told.appliances] == [("fw-a", "eu-west-1a"), ("fw-b", "eu-west-1b")]
        assert not told.cross_zone
        assert (told.health_check.protocol, told.health_check.port, told.health_check.interval_s) == ("TCP", 80, 10.0)
    numbers = [number for zone in "ab" for endpoint in config(f"gwlb-{zone}").endpoints for number in (endpoint.interface_number, endpoint.attachment_number)]
    assert len(set(numbers)) == 4


def test_another_appliance_is_a_new_configuration_of_a_running_daemon():
    before = gwlb_inspection()
    fewer = tuple(replace(resource, targets=("fw-a",)) if resource.id == "tg-fw" else resource for resource in before.resources)
    change = diff(PLAN, compile_plan(resolve(replace(before, resources=fewer))))
    assert {service.name for service in change.services_reloaded} == {"gwlb-a.gwlb", "gwlb-b.gwlb"}
    assert not change.nodes_changed


def test_an_endpoint_that_goes_takes_its_node_and_is_told_to_the_daemon():
    before = gwlb_inspection()
    gone = {"vpce-b", "rtb-app-b"}
    fewer = tuple(replace(r, routes=r.routes[:1]) if r.id == "rtb-edge" else r for r in before.resources if r.id not in gone)
    change = diff(PLAN, compile_plan(resolve(replace(before, resources=fewer))))
    assert [node.name for node in change.nodes_removed] == ["vpce-b"]
    assert [service.name for service in change.services_reloaded] == ["gwlb-b.gwlb"]
