"""A transit gateway in the plan: no state, a look-up whatever the number of attachments, the documented order as metrics."""

from dataclasses import replace

from testbed.compile import compile_plan
from testbed.compile.transit_gateway import metric
from testbed.model import Topology
from testbed.model.transit_gateway_attachment import TransitGatewayRoutePriority
from testbed.plan import RouteType
from testbed.plan.nftables import render
from testbed.resolve import resolve
from tests.scenarios.hubs import HUB, attached, by_hub, inspection, spoke, two_regions
from topologies.tgw_hub import tgw_hub


def plan_of(topology):
    return compile_plan(resolve(topology))


def many(count):
    letters = [f"s{number}" for number in range(count)]
    quotas = replace(Topology(name="x").quotas, vpcs_per_region=count)
    spokes = tuple(resource for number, letter in enumerate(letters) for resource in (*spoke(letter, number, by_hub()), attached(letter)))
    return Topology(name="many", quotas=quotas, resources=(HUB, *spokes))


def test_it_keeps_no_state_and_translates_nothing():
    for topology in (tgw_hub(), inspection(appliance_mode=True), two_regions()):
        for node in plan_of(topology).nodes:
            if node.kind.value == "transit-gateway":
                words = render(node.ruleset).split()
                assert not {"ct", "dnat", "snat", "masquerade"} & set(words)


def test_attachments_add_no_rule():
    few, more = (plan_of(many(count)).node("tgw-hub") for count in (2, 40))
    assert few.rules == more.rules
    assert [chain for table in few.ruleset.tables for chain in table.chains] == [chain for table in more.ruleset.tables for chain in table.chains]


def test_a_route_leads_to_the_device_of_the_senders_zone():
    node = plan_of(tgw_hub()).node("tgw-hub")
    tables = {rule.mark: rule.table for rule in node.rules if rule.origin == "tgw-rtb-hub"}
    ways = {mark >> 12: {route.device for route in node.routes if route.table == table and str(route.destination) == "10.1.0.0/16"} for mark, table in tables.items()}
    assert ways == {0: {"a-attach-a-a"}, 1: {"a-attach-a-a"}, 2: {"a-attach-a-b"}}


def test_the_documented_order_is_the_kernels():
    metrics = [metric(priority) for priority in TransitGatewayRoutePriority]
    assert metrics == sorted(metrics)
    node = plan_of(tgw_hub()).node("tgw-hub")
    assert {(route.type, route.metric) for route in node.routes if route.origin.startswith("tgw-rtb-spokes 10.0.0.0/8")} == {(RouteType.BLACKHOLE, metric(TransitGatewayRoutePriority.STATIC))}


def test_a_subnet_in_a_zone_that_is_not_enabled_has_no_way_there():
    fabric = plan_of(tgw_hub()).node("vpc-spoke-a")
    table = next(rule.table for rule in fabric.rules if rule.origin == "rtb-a" and rule.mark >> 12 == 3)
    assert [(route.type, route.origin) for route in fabric.routes if route.table == table and route.destination.prefixlen == 0] == [
        (RouteType.BLACKHOLE, "rtb-a 0.0.0.0/0 -> tgw-hub (attach-a has no subnet in zone c)")
    ]


def test_what_arrives_is_not_sent_to_what_serves_the_vpc_alone():
    topology = inspection()
    wrong = next(each for each in topology.resources if each.id == "rtb-in-a")
    changed = replace(wrong, routes=(by_hub(destination="0.0.0.0/0"),))
    fabric = plan_of(replace(topology, resources=(*(each for each in topology.resources if each is not wrong), changed))).node("vpc-inspect")
    table = next(rule.table for rule in fabric.rules if rule.origin == "rtb-in-a" and rule.mark >> 17)
    assert {route.type for route in fabric.routes if route.table == table and route.destination.prefixlen == 0} == {RouteType.BLACKHOLE}
