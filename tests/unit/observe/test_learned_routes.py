"""Routes that BGP brought, named like those of the plan."""

from __future__ import annotations

from ipaddress import IPv4Network

from testbed.compile import compile_plan
from testbed.observe.learned_routes import learned_routes
from testbed.resolve import resolve
from topologies.hybrid import hybrid

PLAN = compile_plan(resolve(hybrid()))


def test_a_route_of_a_table_has_its_name_and_leads_to_an_attachment():
    (route,) = learned_routes(PLAN.node("tgw-ireland"), PLAN, [{"dst": "192.168.0.0/24", "dev": "a-dxga-ireland", "table": "10001", "metric": 400}])
    assert (route.destination, route.table, route.metric) == (IPv4Network("192.168.0.0/24"), 10001, 400)
    assert route.origin == "tgw-rtb-ireland 192.168.0.0/24 -> dxga-ireland (BGP)"


def test_of_several_next_hops_the_first_stands_for_all():
    (route,) = learned_routes(PLAN.node("tgw-ireland"), PLAN, [{"dst": "default", "table": "10001", "nexthops": [{"dev": "t-vpn-hq-1"}, {"dev": "t-vpn-hq-2"}]}])
    assert (route.device, route.origin) == ("t-vpn-hq-1", "tgw-rtb-ireland 0.0.0.0/0 -> vpn-hq (BGP)")


def test_the_main_table_is_the_nodes_own():
    (route,) = learned_routes(PLAN.node("router-hq"), PLAN, [{"dst": "10.1.0.0/16", "dev": "dxcon-hq.200"}])
    assert route.origin == "router-hq 10.1.0.0/16 -> dxvif-hq (BGP)"
