"""How addresses are chosen, and what serves a subnet of which nothing is written."""

from testbed.model import ElasticIp, Instance, NetworkInterface, Route, RouteTable, Subnet
from testbed.resolve import Resolved, resolve
from testbed.resolve.resolved import ResolvedInterface, TargetKind

from .small import small, topology


def interface(resolved: Resolved, interface_id: str) -> ResolvedInterface:
    (found,) = (i for i in resolved.interfaces if i.id == interface_id)
    return found


def test_free_addresses_leave_out_the_explicit_ones():
    resolved = resolve(topology(Instance(id="a", subnet_id="sub-b"), Instance(id="z", subnet_id="sub-b", private_ip_address="10.0.1.4"), small("alb", subnets=("sub-a", "sub-b"))))
    assert str(interface(resolved, "eni-z").address) == "10.0.1.4"
    assert [str(interface(resolved, i).address) for i in ("eni-a", "eni-alb-b")] == ["10.0.1.5", "10.0.1.6"]


def test_interfaces_of_overlapping_vpcs_have_different_macs():
    resolved = resolve(topology(small("web", private_ip_address="10.0.0.9"), small("other", private_ip_address="10.0.0.9")))
    assert (interface(resolved, "eni-web").mac, interface(resolved, "eni-other").mac) == ("02:01:0a:00:00:09", "02:02:0a:00:00:09")


def test_further_interfaces_of_an_instance_are_numbered_by_id():
    resolved = resolve(topology(NetworkInterface(id="eni-first", subnet_id="sub-a", instance_id="web")))
    assert [(i.id, i.device) for i in resolved.interfaces if i.node == "web"] == [("eni-first", "eth1"), ("eni-second", "eth2"), ("eni-web", "eth0")]


def test_a_detached_interface_keeps_its_address_but_is_nowhere():
    resolved = resolve(topology(NetworkInterface(id="eni-0", subnet_id="sub-b", private_ip_address="10.0.1.4")))
    assert "eni-0" not in [i.id for i in resolved.interfaces]
    assert str(interface(resolved, "eni-alb-b").address) == "10.0.1.5"


def test_a_route_to_a_detached_interface_is_a_blackhole():
    table = RouteTable(id="rtb-2", vpc_id="vpc-1", main=True, routes=(Route(destination_cidr_block="0.0.0.0/0", network_interface_id="eni-0"),))
    resolved = resolve(topology(table, NetworkInterface(id="eni-0", subnet_id="sub-b")))
    (found,) = (t for t in resolved.route_tables if t.id == "rtb-2")
    assert (found.routes[0].target_kind, found.routes[0].target) == (TargetKind.BLACKHOLE, "eni-0")


def test_an_elastic_ip_takes_the_place_of_an_automatic_address():
    resolved = resolve(topology(small("web", associate_public_ip_address=True), ElasticIp(id="eip-web", region="eu-west-1", instance_id="web")))
    assert interface(resolved, "eni-web").public_origin == "eip-web"


def test_an_instance_in_a_subnet_that_maps_public_addresses_gets_one_unless_it_declines():
    subnet = Subnet(id="sub-a", vpc_id="vpc-1", cidr_block="10.0.0.0/24", availability_zone="eu-west-1a", map_public_ip_on_launch=True)
    assert interface(resolve(topology(subnet)), "eni-web").public_origin == "auto-assigned"
    assert interface(resolve(topology(subnet, small("web", associate_public_ip_address=False))), "eni-web").public_address is None


def test_an_explicit_public_address_is_kept_free_of_others():
    resolved = resolve(topology(small("eip-nat", public_ip="198.51.100.10")))
    assert str(interface(resolved, "eni-nat-1").public_address) == "198.51.100.10"
    assert str(interface(resolved, "eni-alb-a").public_address) == "198.51.100.11"


def test_a_second_region_has_a_pool_of_its_own():
    resolved = resolve(topology(ElasticIp(id="eip-us", region="us-east-1")))
    assert [(r.id, str(r.public_pool)) for r in resolved.regions] == [("eu-west-1", "198.51.100.0/24"), ("us-east-1", "198.19.1.0/24")]


def test_a_vpc_without_tables_acls_and_groups_has_those_that_aws_makes():
    resolved = resolve(topology())
    (subnet,) = (s for s in resolved.subnets if s.subnet.id == "sub-other")
    assert (subnet.route_table, subnet.network_acl) == ("rtb-main-vpc-2", "acl-default-vpc-2")
    assert interface(resolved, "eni-other").security_groups == ("sg-default-vpc-2",)


def test_the_default_acl_names_the_subnets_that_have_no_other():
    (acl,) = (a for a in resolve(topology()).network_acls if a.id == "acl-default-vpc-1")
    assert acl.associations == ("sub-b",)


def test_a_database_lives_in_the_zone_that_it_names():
    assert interface(resolve(topology(small("db", availability_zone="eu-west-1b"))), "eni-db").subnet == "sub-b"
    assert interface(resolve(topology()), "eni-db").subnet == "sub-a"


def test_a_nat_gateway_has_no_group_and_no_source_destination_check():
    nat = interface(resolve(topology()), "eni-nat-1")
    assert (nat.security_groups, nat.source_dest_check) == ((), False)


def test_table_numbers_are_unique_within_a_vpc_and_begin_at_one():
    tables = [(t.id, t.number) for t in resolve(topology()).route_tables]
    assert tables == [("rtb-1", 1), ("rtb-2", 2), ("rtb-main-vpc-2", 1)]
