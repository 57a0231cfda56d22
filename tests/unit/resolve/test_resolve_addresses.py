"""How addresses are chosen, and what serves a subnet of which nothing is written."""

from ipaddress import IPv4Address
from itertools import combinations

import pytest

from testbed.model import ElasticIp, Instance, NetworkInterface, Route, RouteTable, Subnet, Topology
from testbed.resolve import Resolved, resolve
from testbed.resolve.resolved import ResolvedInterface, TargetKind

from .small import small, topology


def interface(resolved: Resolved, interface_id: str) -> ResolvedInterface:
    (found,) = (i for i in resolved.interfaces if i.id == interface_id)
    return found


def addresses(resolved: Resolved) -> dict[str, tuple[IPv4Address, IPv4Address | None]]:
    """Private and public address of every interface, by its id."""
    return {i.id: (i.address, i.public_address) for i in resolved.interfaces}


def in_tiny_subnet(*names: str, **explicit: str) -> list[IPv4Address]:
    """The addresses of instances with these names in a subnet of eleven usable addresses, in order of the names."""
    subnet = Subnet(id="tiny", vpc_id="vpc-1", cidr_block="10.0.9.0/28", availability_zone="eu-west-1a")
    resolved = resolve(topology(subnet, *(Instance(id=name, subnet_id="tiny", private_ip_address=explicit.get(name)) for name in names)))
    return [interface(resolved, f"eni-{name}").address for name in names]


NAMES = tuple(f"i{number:02}" for number in range(11))
FIRST_USABLE, LAST_USABLE = IPv4Address("10.0.9.4"), IPv4Address("10.0.9.14")
COLLIDING = next((one, other) for one, other in combinations((*NAMES, "i11"), 2) if in_tiny_subnet(one) == in_tiny_subnet(other))
"""Of twelve names for eleven addresses, two want the same one."""


def test_an_address_depends_on_its_interfaces_id_and_on_nothing_else():
    resolved = resolve(Topology(name="x", resources=(small("vpc-1"), small("sub-b"), Instance(id="web-7", subnet_id="sub-b"))))
    assert str(interface(resolved, "eni-web-7").address) == "10.0.1.119"


@pytest.mark.parametrize("name", ["aaa", "web-0", "zzz"])
def test_a_new_interface_leaves_the_addresses_of_the_others_alone(name):
    before = addresses(resolve(topology()))
    after = addresses(resolve(topology(Instance(id=name, subnet_id="sub-a", associate_public_ip_address=True), ElasticIp(id=f"eip-{name}", region="eu-west-1"))))
    assert before.items() < after.items()


def test_a_removed_interface_leaves_the_addresses_of_the_others_alone():
    before = addresses(resolve(topology()))
    after = addresses(resolve(topology(without=("eni-second",))))
    assert after == {name: both for name, both in before.items() if name != "eni-second"}


def test_an_explicit_address_wins_over_the_one_that_an_id_hashes_to():
    (wanted,) = in_tiny_subnet("i00")
    i00, z = in_tiny_subnet("i00", "z", z=str(wanted))
    assert z == wanted
    assert i00 == (wanted + 1 if wanted != LAST_USABLE else FIRST_USABLE)


def test_of_two_that_hash_to_one_address_the_later_id_takes_the_next_free_one():
    (wanted,) = in_tiny_subnet(COLLIDING[0])
    assert in_tiny_subnet(*COLLIDING) == [wanted, wanted + 1 if wanted != LAST_USABLE else FIRST_USABLE]


def test_a_full_subnet_uses_every_address_but_the_five_reserved():
    assert sorted(in_tiny_subnet(*NAMES)) == [FIRST_USABLE + number for number in range(11)]


def test_a_full_pool_of_public_addresses_is_used_to_the_last():
    instances = tuple(Instance(id=f"i{number}", subnet_id="sub-b", associate_public_ip_address=True) for number in range(242))
    resolved = resolve(topology(*instances))
    public = sorted(i.public_address for i in resolved.interfaces if i.public_address is not None)
    assert [str(address) for address in public] == [f"198.19.12.{number}" for number in range(10, 255)]


def test_interfaces_of_overlapping_vpcs_have_different_macs():
    resolved = resolve(topology(small("web", private_ip_address="10.0.0.9"), small("other", private_ip_address="10.0.0.9")))
    assert (interface(resolved, "eni-web").mac, interface(resolved, "eni-other").mac) == ("02:01:0a:00:00:09", "02:02:0a:00:00:09")


def test_further_interfaces_of_an_instance_are_numbered_by_id():
    resolved = resolve(topology(NetworkInterface(id="eni-first", subnet_id="sub-a", instance_id="web")))
    assert [(i.id, i.device) for i in resolved.interfaces if i.node == "web"] == [("eni-first", "eth1"), ("eni-second", "eth2"), ("eni-web", "eth0")]


def test_a_detached_interface_keeps_its_address_but_is_nowhere():
    wanted = interface(resolve(topology()), "eni-alb-b").address
    resolved = resolve(topology(NetworkInterface(id="eni-0", subnet_id="sub-b", private_ip_address=wanted)))
    assert "eni-0" not in [i.id for i in resolved.interfaces]
    assert interface(resolved, "eni-alb-b").address == wanted + 1


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
    wanted = interface(resolve(topology()), "eni-alb-a").public_address
    assert wanted is not None
    resolved = resolve(topology(small("eip-nat", public_ip=str(wanted))))
    assert interface(resolved, "eni-nat-1").public_address == wanted
    assert interface(resolved, "eni-alb-a").public_address == wanted + 1


def test_a_second_region_has_a_pool_of_its_own():
    resolved = resolve(topology(ElasticIp(id="eip-us", region="us-east-1")))
    assert [(r.id, str(r.public_pool)) for r in resolved.regions] == [("eu-west-1", "198.19.12.0/24"), ("us-east-1", "198.19.16.0/24")]


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
