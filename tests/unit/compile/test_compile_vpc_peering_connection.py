"""Peerings and route tables as the fabric gets them."""

from dataclasses import replace
from ipaddress import IPv4Network

import pytest

from testbed.compile import compile_plan, fabric, return_path
from testbed.model import RouteTable, Vpc, VpcPeeringConnection
from testbed.plan import RouteType
from testbed.plan.marks import FIRST_RETURN_TABLE, ROUTE_TABLE_MASK
from testbed.resolve import resolve
from topologies.peering import peering

PLAN = compile_plan(resolve(peering()))


def links(plan):
    return {link.origin: link for link in plan.links if link.origin.startswith("pcx")}


def test_a_peering_is_one_link_between_two_fabrics_and_no_node():
    link = links(PLAN)["pcx-ab"]
    assert (link.a.node, link.b.node, link.a.mtu_bytes, link.wire) == ("vpc-a", "vpc-b", 9001, None)
    assert "pcx-ab" not in {node.name for node in PLAN.nodes}


def test_nothing_is_routed_over_it_by_itself():
    (over,) = (route for route in PLAN.node("vpc-c").routes if route.device == "p-pcx-ac" and "return" not in route.origin)
    assert over.origin == "rtb-c 10.0.1.0/24 -> pcx-ac"


def test_between_regions_it_is_narrower_and_takes_time():
    topology = peering()
    far = tuple(replace(each, region="eu-central-1") if isinstance(each, Vpc) and each.id == "vpc-b" else each for each in topology.resources)
    moved = tuple(replace(each, availability_zone="eu-central-1a") if each.id == "subnet-b" else each for each in far)
    without_group = tuple(replace(each, security_group_ingress=()) if each.id == "sg-a" else each for each in moved)
    link = links(compile_plan(resolve(replace(topology, resources=without_group))))["pcx-ab"]
    assert link.a.mtu_bytes == 8500
    assert link.wire.delay_ms == pytest.approx(5.4, abs=0.3), "Dublin to Frankfurt"


def test_a_pending_peering_is_no_link_and_its_routes_are_blackholes():
    topology = peering()
    pending = tuple(replace(each, accepted=False) if isinstance(each, VpcPeeringConnection) else each for each in topology.resources)
    without_group = tuple(replace(each, security_group_ingress=()) if each.id == "sg-a" else each for each in pending)
    plan = compile_plan(resolve(replace(topology, resources=without_group)))
    assert links(plan) == {}
    assert {route.type for route in plan.node("vpc-b").routes if "pcx" in route.origin} == {RouteType.BLACKHOLE}


def test_the_return_table_of_a_peering_stays_when_others_come():
    """Connection marks of live flows hold its number."""
    topology = peering()
    more = (*topology.resources, RouteTable(id="rtb-0", vpc_id="vpc-c"), Vpc(id="vpc-d", region="eu-west-1", cidr_block="10.3.0.0/16"), VpcPeeringConnection(id="pcx-0", vpc_id="vpc-c", peer_vpc_id="vpc-d"))
    grown = replace(topology, resources=more)
    (connection,) = (each for each in topology.of(VpcPeeringConnection) if each.id == "pcx-ac")
    numbers = {return_path.kernel_table("vpc-c", connection.id, resolve(each)) - fabric.FIRST_TABLE for each in (topology, grown)}
    assert len(numbers) == 1
    assert FIRST_RETURN_TABLE <= numbers.pop() <= ROUTE_TABLE_MASK


def test_only_link_local_services_are_never_forwarded():
    thrown = {route.destination for route in PLAN.node("vpc-b").routes if route.type is RouteType.THROW}
    assert thrown == {IPv4Network("169.254.168.0/22"), IPv4Network("10.1.0.0/16")}
