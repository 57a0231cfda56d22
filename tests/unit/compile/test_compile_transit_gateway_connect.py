"""Connect peers in the plan: who is let in, which table an outer address has, what the speakers are told."""

import json
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

from services.bgp.config import Config
from services.bgp.render import bird_configuration
from services.common.config import decode
from testbed.compile import compile_plan
from testbed.plan import MAIN_TABLE
from testbed.plan.nftables import render
from testbed.resolve import resolve
from tests.scenarios.connects import over_direct_connect
from topologies.sd_wan import sd_wan


def plan_of(topology):
    return compile_plan(resolve(topology))


def speaker_of(plan, node):
    return decode(next(service.config for service in plan.services if (service.node, service.kind) == (node, "bgp")), Config)


def test_gre_is_let_in_by_device_and_both_outer_addresses():
    peers = [line for line in render(plan_of(sd_wan()).node("tgw").ruleset).splitlines() if "172.31.255.1" in line and "accept" in line]
    assert len(peers) == 2, "from either zone of the transport"
    assert all("10.9.1.10 . 172.31.255.1 : accept" in line and "a-attach-" in line for line in peers)


def test_an_outer_address_has_a_table_of_its_own_that_leads_into_the_appliances_zone():
    plan = plan_of(sd_wan())
    node = plan.node("tgw")
    ends = {end.name: other.name for link in plan.links for end, other in ((link.a, link.b), (link.b, link.a)) if end.node == "tgw"}
    for address, peer in (("172.31.255.1", "10.9.1.10"), ("172.31.255.2", "10.9.2.10")):
        (rule,) = (rule for rule in node.rules if rule.source == IPv4Network(address))
        assert (rule.table, rule.mask) == (int(IPv4Address(address)), 0)
        (route,) = (route for route in node.routes if route.table == rule.table and route.destination == IPv4Network(peer))
        assert route.device in ends
    assert len({route.device for route in node.routes if route.table > 1 << 30 and route.device}) == 2, "a zone each"


def test_over_direct_connect_bgp_fills_the_outer_table():
    speaker = speaker_of(plan_of(over_direct_connect()), "tgw-hub")
    (outer,) = (table for table in speaker.tables if table.name == "outer-172.31.255.1")
    assert outer.kernel == int(IPv4Address("172.31.255.1"))
    assert [neighbour.name for neighbour in speaker.neighbours if outer.name in neighbour.propagates_to] == ["dxgw-london"]


def test_two_sessions_of_one_peer_can_be_told_apart_by_bird():
    mine = [neighbour for neighbour in speaker_of(plan_of(sd_wan()), "tgw").neighbours if neighbour.name.startswith("peer-a")]
    assert [(neighbour.local_address, neighbour.device) for neighbour in mine] == [(IPv4Address("169.254.6.2"), "c-peer-a"), (IPv4Address("169.254.6.3"), None)]


def test_over_ibgp_a_route_without_an_as_path_is_refused():
    topology = sd_wan()
    internal = replace(topology, resources=tuple(replace(each, bgp_asn=None) if each.id == "peer-a" else each for each in topology.resources))
    text = bird_configuration(speaker_of(plan_of(internal), "tgw"))
    refusing = [block.split("'")[1] for block in text.split("protocol bgp ")[1:] if "if bgp_path.len = 0 then reject;" in block]
    assert refusing == ["peer-a-1", "peer-a-2"]


def test_an_appliances_routes_go_to_its_main_table():
    (table,) = speaker_of(plan_of(sd_wan()), "sdwan-a").tables
    assert table.kernel == MAIN_TABLE


def test_without_peers_a_transit_gateway_has_none_of_it():
    topology = sd_wan()
    without = replace(topology, resources=tuple(each for each in topology.resources if not each.id.startswith("peer-")))
    plan = plan_of(without)
    assert "gre" not in {service.kind for service in plan.services}
    assert "connect_peers" not in json.dumps(render(plan.node("tgw").ruleset))
    assert plan.node("sdwan-a").tuns == ()
