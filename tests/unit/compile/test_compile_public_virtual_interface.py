"""A public virtual interface: a router of its own, the way to AWS's addresses, and who may use it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from testbed.compile import compile_plan
from testbed.model import CustomerDeviceSession, DirectConnectConnection, Internet, OnPremisesSite, PublicVirtualInterface, Subnet, Topology, Vpc
from testbed.model.errors import ModelError
from testbed.resolve import resolve
from topologies.hybrid import hybrid

SITE = OnPremisesSite(id="hq", city="Paris", cidr_block="192.168.0.0/24")
CONNECTION = DirectConnectConnection(id="dxcon", site_id="hq", location="London", region="eu-west-1")
PUBLIC = PublicVirtualInterface(id="dxvif", connection_id="dxcon", vlan=300, asn=65000)
VPC = (Vpc(id="vpc", region="eu-west-1", cidr_block="10.0.0.0/16"), Subnet(id="subnet", vpc_id="vpc", cidr_block="10.0.0.0/24", availability_zone="eu-west-1a"))
BASE = Topology(name="public", resources=(Internet(), *VPC, SITE, CONNECTION, PUBLIC))


def plan(interface: PublicVirtualInterface = PUBLIC):
    return compile_plan(resolve(replace(BASE, resources=(*BASE.resources[:-1], interface))))


def speaker(found, node: str):
    return json.loads(next(service.config for service in found.services if service.name == f"{node}.bgp"))


def rules(found, node: str) -> str:
    return "\n".join(rule.statement for table in found.node(node).ruleset.tables for chain in table.chains for rule in chain.rules)


def test_it_has_a_router_of_its_own_which_leads_to_awss_addresses_and_nowhere_else():
    routes = plan().node("dxvif-london").routes
    assert {str(route.destination) for route in routes if route.device} == {"198.19.12.0/24"}
    assert [str(route.destination) for route in routes if route.device is None] == ["0.0.0.0/0"]


def test_sources_that_the_site_does_not_announce_are_dropped():
    assert "ip saddr != { 198.18.14.254/32 } counter drop" in rules(plan(), "dxvif-london")


def test_the_site_hears_awss_prefixes_with_no_export_and_tells_its_public_address():
    aws = next(each for each in speaker(plan(), "dxvif-london")["neighbours"] if each["name"] == "dxvif")
    assert (aws["advertise"]["communities"], aws["advertise"]["learned"], aws["accept"]["limit"]) == ([[65535, 65281]], False, 1000)
    site = speaker(plan(), "router-hq")["neighbours"][0]
    assert (site["asn"], [each["prefix"] for each in site["advertise"]["prefixes"]], site["associated"]) == (7224, ["198.18.14.254/32"], "site-public")


def test_what_the_site_announces_beyond_the_filter_does_not_count():
    wide = replace(PUBLIC, customer_device=CustomerDeviceSession(prefixes=("198.18.14.254/32", "198.18.99.0/24")))
    assert "ip saddr != { 198.18.14.254/32 }" in rules(plan(wide), "dxvif-london")


def test_only_what_awss_addresses_send_asks_the_table_of_sites():
    (rule,) = plan().node("city-dublin").rules
    assert (str(rule.source), rule.table) == ("198.19.12.0/24", 7224)


def test_without_one_no_city_speaks_bgp():
    assert not any(service.name.startswith("city-") and service.kind == "bgp" for service in compile_plan(resolve(hybrid())).services)


@pytest.mark.parametrize(
    ("interface", "words"),
    [
        (replace(PUBLIC, mtu=9001), "mtu 9001 on a public virtual interface"),
        (replace(PUBLIC, route_filter_prefixes=("10.0.0.0/8",)), "route_filter_prefixes 10.0.0.0/8 is private"),
        (replace(PUBLIC, connection_id="nothing"), "'nothing' is no Direct Connect connection or LAG"),
    ],
)
def test_a_mistake_is_named(interface, words):
    with pytest.raises(ModelError) as error:
        plan(interface)
    assert words in str(error.value)
