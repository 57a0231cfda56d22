"""What `resolve` chooses for the web application: pinned, since students, captures and golden plans see it."""

from dataclasses import replace
from ipaddress import IPv4Address
from random import Random

import pytest

from testbed.resolve import Resolved, resolve
from testbed.resolve.resolved import TargetKind
from tests.addresses import private
from topologies.web_app import web_app


@pytest.fixture(scope="module")
def resolved() -> Resolved:
    return resolve(web_app())


def test_every_interface_has_its_node_its_addresses_and_the_reason_of_its_public_one(resolved):
    assert [(i.id, i.node, i.device, str(i.address), str(i.public_address), i.public_origin) for i in resolved.interfaces] == [
        ("eni-alb-shop-a", "alb-shop-a", "eth0", "10.0.0.181", "198.19.12.23", "auto-assigned"),
        ("eni-alb-shop-b", "alb-shop-b", "eth0", "10.0.1.26", "198.19.12.61", "auto-assigned"),
        ("eni-nat-a", "nat-a", "eth0", "10.0.0.146", "198.19.12.50", "eip-nat-a"),
        ("eni-nat-b", "nat-b", "eth0", "10.0.1.179", "198.19.12.154", "eip-nat-b"),
        ("eni-shop-db", "shop-db", "eth0", "10.0.20.146", "None", ""),
        ("eni-web-a", "web-a", "eth0", "10.0.10.252", "None", ""),
        ("eni-web-b", "web-b", "eth0", "10.0.11.67", "None", ""),
    ]


def test_a_mac_address_holds_the_vpc_and_the_address(resolved):
    (interface,) = resolved.interfaces_of("web-a")
    assert interface.mac == f"02:01:{interface.address.packed.hex(':')}"


def test_every_subnet_has_its_table_and_its_acl(resolved):
    assert [(s.subnet.id, s.route_table, s.network_acl) for s in resolved.subnets] == [
        ("database-a", "rtb-database", "acl-database"),
        ("database-b", "rtb-database", "acl-database"),
        ("private-a", "rtb-private-a", "acl-default-vpc-shop"),
        ("private-b", "rtb-private-b", "acl-default-vpc-shop"),
        ("public-a", "rtb-public", "acl-default-vpc-shop"),
        ("public-b", "rtb-public", "acl-default-vpc-shop"),
    ]


def test_routes_are_named_as_a_person_would(resolved):
    assert [route.origin for table in resolved.route_tables for route in table.routes] == [
        "rtb-database 10.0.0.0/16 -> local",
        "rtb-private-a 0.0.0.0/0 -> nat-a",
        "rtb-private-a 10.0.0.0/16 -> local",
        "rtb-private-b 0.0.0.0/0 -> nat-b",
        "rtb-private-b 10.0.0.0/16 -> local",
        "rtb-public 0.0.0.0/0 -> igw-shop",
        "rtb-public 10.0.0.0/16 -> local",
    ]


def test_routes_lead_to_what_they_name(resolved):
    (default, local) = next(table.routes for table in resolved.route_tables if table.id == "rtb-private-a")
    assert (default.target_kind, default.target) == (TargetKind.NAT_GATEWAY, "nat-a")
    assert (local.target_kind, local.target) == (TargetKind.LOCAL, "vpc-shop")


def test_members_are_the_private_addresses_of_a_groups_interfaces(resolved):
    assert {group: [str(address) for address in addresses] for group, addresses in resolved.members} == {
        "sg-alb": [private(resolved, "alb-shop-a"), private(resolved, "alb-shop-b")],
        "sg-db": [private(resolved, "shop-db")],
        "sg-default-vpc-shop": [],
        "sg-web": [private(resolved, "web-a"), private(resolved, "web-b")],
    }


def test_the_vpc_has_its_resolver_at_base_plus_two_and_its_gateway(resolved):
    (vpc,) = resolved.vpcs
    assert (str(vpc.resolver), vpc.internet_gateway, vpc.zone_numbers) == ("10.0.0.2", "igw-shop", (("eu-west-1a", 1), ("eu-west-1b", 2)))


def test_cities_are_numbered_as_in_the_catalogue(resolved):
    assert [(c.node, c.resolver_node, str(c.network), str(c.router), str(c.resolver)) for c in resolved.cities] == [
        ("city-dublin", "resolver-dublin", "198.18.4.0/24", "198.18.4.1", "198.18.4.2"),
        ("city-frankfurt", "resolver-frankfurt", "198.18.5.0/24", "198.18.5.1", "198.18.5.2"),
        ("city-london", "resolver-london", "198.18.7.0/24", "198.18.7.1", "198.18.7.2"),
        ("city-new-york", "resolver-new-york", "198.18.13.0/24", "198.18.13.1", "198.18.13.2"),
    ]


def test_users_edges_and_regions_have_public_addresses(resolved):
    assert [(u.node, str(u.address)) for u in resolved.users] == [("client", "198.18.7.10"), ("client-frankfurt", "198.18.5.10"), ("client-newyork", "198.18.13.10")]
    assert [(e.node, e.pop, str(e.address)) for e in resolved.edges] == [
        ("edge-fra", "FRA50-C1", "203.0.113.16"),
        ("edge-jfk", "JFK50-C1", "203.0.113.20"),
        ("edge-lhr", "LHR50-C1", "203.0.113.23"),
    ]
    assert [(r.node, str(r.address), str(r.public_pool)) for r in resolved.regions] == [("services-eu-west-1", "198.19.12.1", "198.19.12.0/24")]


def test_names_that_aws_makes_have_its_form(resolved):
    assert resolved.load_balancer_names == (("alb-shop", "alb-shop-4300793602.eu-west-1.elb.amazonaws.com"),)
    assert resolved.distribution_names == (("cdn-shop", "dmswin3k4wj56n.cloudfront.net"),)
    assert [(d.endpoint, d.interface) for d in resolved.databases] == [("shop-db.sl5a3rnkl65g.eu-west-1.rds.amazonaws.com", "eni-shop-db")]


def test_the_order_of_writing_changes_nothing(resolved):
    resources = list(web_app().resources)
    Random(7).shuffle(resources)
    shuffled = replace(web_app(), resources=tuple(resources))
    assert replace(resolve(shuffled), topology=resolved.topology) == resolved


def test_no_two_interfaces_share_an_address(resolved):
    addresses: list[IPv4Address | None] = [i.address for i in resolved.interfaces] + [i.public_address for i in resolved.interfaces if i.public_address]
    assert len(set(addresses)) == len(addresses)
