"""The internet and its names, as web_app gets them."""

from ipaddress import ip_address, ip_network

import pytest

from services.common.config import decode
from services.dns.config import Config, Zone
from testbed.compile import compile_plan
from testbed.model import HostedZone, Internet, InternetGateway, Topology, User, Vpc
from testbed.plan import NodeKind, Plan
from testbed.resolve import resolve
from topologies.web_app import web_app

RESOLVED = resolve(web_app())
PLAN = compile_plan(RESOLVED)
ANYCAST = ip_network("192.0.2.53/32")


def zones(plan: Plan, service: str) -> dict[str, Zone]:
    (config,) = (decode(s.config, Config) for s in plan.services if s.name == service)
    return {zone.name: zone for authority in config.authorities for zone in authority.zones}


@pytest.mark.parametrize(("city", "device"), [("city-london", "h-edge-lhr"), ("city-new-york", "h-edge-jfk"), ("city-dublin", "london")])
def test_an_anycast_address_leads_to_the_citys_own_edge_location_or_else_to_the_nearest(city, device):
    (route,) = (r for r in PLAN.node(city).routes if r.destination == ANYCAST)
    assert route.device == device


def test_each_wire_is_as_long_as_half_a_round_trip_of_light():
    (wire,) = (link.wire for link in PLAN.links if {link.a.node, link.b.node} == {"city-london", "city-new-york"})
    assert wire.delay_ms == pytest.approx(27.85, abs=0.1)


def test_adding_a_city_renumbers_no_wire():
    def wires(topology: Topology) -> dict[tuple[str, ...], object]:
        return {link.key: (link.a.addresses, link.b.addresses) for link in compile_plan(resolve(topology)).links if link.wire is not None}

    before = wires(Topology(name="x", resources=(User(id="u", city="London"), User(id="v", city="Tokyo"))))
    after = wires(Topology(name="x", resources=(User(id="u", city="London"), User(id="v", city="Tokyo"), User(id="w", city="Madrid"))))
    assert before.items() <= after.items()


def test_the_apex_alias_is_answered_with_every_edge_location_and_its_place():
    (record,) = (r for r in zones(PLAN, "edge-lhr.dns")["shop.example.com"].records if r.type == "A" and r.name == "shop.example.com")
    assert {placed.value for placed in record.nearest} == {str(edge.address) for edge in RESOLVED.edges}
    assert record.ttl == 60


def test_an_alias_to_a_balancer_is_the_public_addresses_of_its_nodes():
    (record,) = (r for r in zones(PLAN, "edge-lhr.dns")["shop.example.com"].records if r.name == "origin.shop.example.com")
    public = {i.public_address for i in resolve(web_app()).interfaces_of("alb-shop")}
    assert {ip_address(value) for value in (each.value for each in record.failover)} == public


def test_the_root_delegates_every_top_level_that_is_needed_and_the_top_level_every_hosted_zone():
    found = zones(PLAN, "name-servers.dns")
    assert {r.name for r in found[""].records} == {"", "com", "net", "org", "uk"}
    assert {"shop.example.com", "amazonaws.com"} <= {r.name for r in found["com"].records}


def test_a_zone_below_another_hosted_zone_is_left_for_its_parent_to_delegate():
    parent, child = HostedZone(id="z1", name="example.com"), HostedZone(id="z2", name="shop.example.com")
    plan = compile_plan(resolve(Topology(name="x", resources=(Internet(edge_locations=("LHR",)), parent, child))))
    names = {r.name for r in zones(plan, "name-servers.dns")["com"].records}
    assert "example.com" in names
    assert "shop.example.com" not in names


def test_a_vpc_without_users_or_subnets_still_compiles():
    plan = compile_plan(resolve(Topology(name="x", resources=(Vpc(id="vpc-x", region="eu-west-1", cidr_block="10.0.0.0/16"), InternetGateway(id="igw-x", vpc_id="vpc-x")))))
    assert {node.kind for node in plan.nodes} >= {NodeKind.FABRIC, NodeKind.INTERNET_GATEWAY, NodeKind.CITY, NodeKind.SERVICES_PLANE}


def test_a_vpc_without_dns_support_has_no_resolver():
    plan = compile_plan(resolve(Topology(name="x", resources=(Vpc(id="vpc-x", region="eu-west-1", cidr_block="10.0.0.0/16", enable_dns_support=False),))))
    assert ip_address("10.0.0.2") not in {address.ip for address in plan.node("vpc-x").loopback}
    assert [s.name for s in plan.services if s.kind == "dns" and s.node != "name-servers"] == []
