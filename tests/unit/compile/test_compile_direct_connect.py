"""What Direct Connect becomes: fibres, VLANs on them, routers at locations, speakers."""

from dataclasses import replace
from ipaddress import IPv4Network

import pytest

from services.bgp.config import Config
from services.bgp.render import bird_configuration
from services.common.config import decode
from testbed.compile import compile_plan
from testbed.model import DirectConnectConnection
from testbed.plan import Plan
from testbed.resolve import resolve
from tests.unit.services.bird import checked_by_bird
from topologies.direct_connect import direct_connect


@pytest.fixture(scope="module")
def plan() -> Plan:
    return compile_plan(resolve(direct_connect()))


def link(plan: Plan, *nodes: str):
    return next(link for link in plan.links if {link.a.node, link.b.node} == set(nodes))


def speaker(plan: Plan, node: str) -> Config:
    return decode(next(service.config for service in plan.services if service.name == f"{node}.bgp"), Config)


def test_the_fibre_is_as_long_as_the_way_and_never_varies(plan):
    fibre = link(plan, "router-hq", "dxcon-a")
    assert fibre.wire is not None
    assert fibre.wire.delay_ms == pytest.approx(430 / 200, rel=0.01), "Paris to Amsterdam"
    assert (fibre.wire.jitter_ms, fibre.wire.loss_percent, fibre.wire.rate_mbit) == (0, 0, None)


def test_a_hosted_connection_is_policed_to_its_capacity():
    topology = direct_connect()
    hosted = replace(topology, resources=tuple(replace(each, hosted=True, bandwidth="50Mbps") if isinstance(each, DirectConnectConnection) else each for each in topology.resources))
    fibre = link(compile_plan(resolve(hosted)), "router-hq", "dxcon-a")
    assert fibre.wire is not None and fibre.wire.rate_mbit == 50


def test_a_virtual_interface_is_a_vlan_on_the_fibre(plan):
    vlan = link(plan, "router-hq", "vgw-a-amsterdam")
    fibre = link(plan, "router-hq", "dxcon-a")
    assert vlan.vlan is not None and (vlan.vlan.tag, vlan.vlan.trunk) == (101, fibre.key)
    assert vlan.parents == (("router-hq", "dxcon-a"), ("dxcon-a", "fibre"))
    assert (vlan.a.mtu_bytes, vlan.b.mtu_bytes) == (1500, 1500)


def test_aws_waits_for_the_sites_bfd_and_takes_a_hundred_prefixes(plan):
    amazon, site = speaker(plan, "vgw-a-amsterdam").neighbours[0], speaker(plan, "router-hq").neighbours[0]
    assert amazon.bfd is not None and amazon.bfd.passive and site.bfd is not None and not site.bfd.passive
    assert amazon.accept.limit == 100
    assert amazon.password == site.password
    assert (amazon.hold_s, amazon.keepalive_s) == (90, 30)


def test_the_site_announces_its_lan_and_nothing_that_it_has_learned(plan):
    (neighbour,) = speaker(plan, "router-hq").neighbours
    assert neighbour.advertise.prefixes is not None
    assert [prefix.prefix for prefix in neighbour.advertise.prefixes] == [IPv4Network("192.168.0.0/24")]
    assert not neighbour.advertise.learned


def test_what_the_gateway_learns_goes_to_the_route_tables_that_it_propagates_into(plan):
    fabric = speaker(plan, "vpc-a")
    assert [table.name.partition(".")[0] for table in fabric.tables] == ["rtb-a"]
    assert fabric.neighbours[0].accept.rejected[0].prefix == IPv4Network("10.0.0.0/16"), "never within the VPC's own blocks"


def test_every_speaker_is_taken_by_bird(plan, tmp_path):
    for service in plan.services:
        if service.kind == "bgp":
            checked_by_bird(bird_configuration(decode(service.config, Config), plan.time_scale), tmp_path)


def test_the_same_topology_gives_the_same_plan(plan):
    assert compile_plan(resolve(direct_connect())) == plan
