"""Faults of routes: prefix lists, blackholes, more specific than local, gateway route tables, quotas."""

import pytest

from testbed.model import NetworkInterface, PrefixList, PrefixListEntry, Quotas, Route, RouteTable, Subnet
from testbed.resolve import resolve

from .small import small, told, topology

LIST = PrefixList(id="pl-1", region="eu-west-1", max_entries=3, entries=(PrefixListEntry(cidr="192.0.2.0/24"), PrefixListEntry(cidr="10.9.0.0/16")))


def table(*routes: Route, **fields: object) -> RouteTable:
    return RouteTable(id="rtb", vpc_id="vpc-1", routes=routes, **fields)


def edge(*routes: Route, **fields: object) -> RouteTable:
    return table(*routes, gateway_associations=("igw-1",), **fields)


def test_a_prefix_list_is_a_destination():
    resolve(topology(LIST, table(Route(destination_prefix_list_id="pl-1", nat_gateway_id="nat-1"))))


@pytest.mark.parametrize(
    ("route", "problem"),
    [
        (Route(nat_gateway_id="nat-1"), "the route has no destination"),
        (Route(destination_cidr_block="192.0.2.0/24", destination_prefix_list_id="pl-1", nat_gateway_id="nat-1"), "the route has two destinations"),
        (Route(destination_prefix_list_id="pl-x", nat_gateway_id="nat-1"), "destination_prefix_list_id 'pl-x' does not exist"),
        (Route(destination_cidr_block="169.254.169.0/24", nat_gateway_id="nat-1"), "the destination is within 169.254.168.0/22, which AWS keeps for its services"),
        (Route(destination_cidr_block="192.0.2.0/24", nat_gateway_id="nat-1", state="broken"), "state 'broken' is not one of the allowed values"),
    ],
)
def test_a_route_that_aws_refuses_is_told(route, problem):
    assert problem in [found for _, found in told(LIST, table(route))]


def test_a_wider_route_than_what_aws_keeps_is_accepted():
    resolve(topology(table(Route(destination_cidr_block="169.254.0.0/16", nat_gateway_id="nat-1"))))


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"max_entries": 1}, "2 entries, more than max_entries 1"),
        ({"entries": (PrefixListEntry(cidr="192.0.2.0/24"), PrefixListEntry(cidr="192.0.2.0/24"))}, "2 entries have the block 192.0.2.0/24"),
        ({"entries": (PrefixListEntry(cidr="ten"),)}, "cidr 'ten' is not an IPv4 CIDR block"),
        ({"region": "mars"}, "region 'mars' is not known"),
    ],
)
def test_a_spoiled_prefix_list_is_told(fields, problem):
    spoiled = PrefixList(**{"id": "pl-1", "region": "eu-west-1", "max_entries": 3, "entries": LIST.entries, **fields})
    assert told(spoiled) == [("pl-1", problem)]


def test_a_list_of_another_region_is_told():
    far = PrefixList(id="pl-1", region="eu-west-2", max_entries=1)
    assert told(far, table(Route(destination_prefix_list_id="pl-1", nat_gateway_id="nat-1"))) == [("rtb pl-1", "pl-1 is a prefix list of eu-west-2, but vpc-1 is in eu-west-1")]


def test_more_specific_than_local_must_be_a_whole_subnet_and_a_middlebox():
    """Misconception 26."""
    assert told(table(Route(destination_cidr_block="10.0.1.128/25", nat_gateway_id="nat-1"))) == [("rtb 10.0.1.128/25", "more specific than the local route, but not the block of a subnet")]
    assert told(table(Route(destination_cidr_block="10.0.1.0/24", gateway_id="igw-1"))) == [("rtb 10.0.1.0/24", "more specific than the local route, but its target is an internet gateway")]
    resolve(topology(table(Route(destination_cidr_block="10.0.1.0/24", network_interface_id="eni-second"))))


def test_it_holds_for_every_block_of_the_vpc_and_for_the_entries_of_a_list():
    second = small("vpc-1", cidr_block_associations=("10.9.0.0/16",))
    assert told(second, table(Route(destination_cidr_block="10.9.1.0/24", nat_gateway_id="nat-1"))) == [("rtb 10.9.1.0/24", "more specific than the local route, but not the block of a subnet")]
    assert told(second, LIST, table(Route(destination_prefix_list_id="pl-1", nat_gateway_id="nat-1"))) == [("rtb pl-1 10.9.0.0/16", "has the local route's destination, by a prefix list")]
    whole = Subnet(id="sub-9", vpc_id="vpc-1", cidr_block="10.9.1.0/24", availability_zone="eu-west-1a")
    resolve(topology(second, whole, table(Route(destination_cidr_block="10.9.1.0/24", nat_gateway_id="nat-1"))))


def test_a_blackhole_keeps_the_id_of_what_is_gone():
    resolve(topology(table(Route(destination_cidr_block="0.0.0.0/0", nat_gateway_id="nat-gone", state="blackhole"))))
    assert told(table(Route(destination_cidr_block="0.0.0.0/0", nat_gateway_id="nat-gone"))) == [("rtb 0.0.0.0/0", "nat_gateway_id 'nat-gone' does not exist")]
    assert told(table(Route(destination_cidr_block="0.0.0.0/0", nat_gateway_id="nat-1", state="blackhole"))) == [("rtb 0.0.0.0/0", "the route is a blackhole, but its target nat-1 exists")]


def test_a_gateway_route_table_leads_whole_blocks_to_a_middlebox():
    resolve(topology(edge(Route(destination_cidr_block="10.0.1.0/24", network_interface_id="eni-second"), Route(destination_cidr_block="10.0.0.0/16", network_interface_id="eni-second"))))


@pytest.mark.parametrize(
    ("spoiled", "problem"),
    [
        (edge(Route(destination_cidr_block="10.0.1.0/24", nat_gateway_id="nat-1")), "a gateway route table cannot lead to nat-1"),
        (edge(Route(destination_cidr_block="192.0.2.0/24", network_interface_id="eni-second")), "the destination is neither a whole block of the VPC nor of a subnet"),
        (edge(Route(destination_prefix_list_id="pl-1", network_interface_id="eni-second")), "a gateway route table cannot have a prefix list as destination"),
        (edge(associations=("sub-b",)), "serves an internet gateway and subnets"),
        (RouteTable(id="rtb", vpc_id="vpc-2", gateway_associations=("igw-1",)), "associated with igw-1, the gateway of vpc-1"),
        (RouteTable(id="rtb", vpc_id="vpc-1", gateway_associations=("igw-x",)), "gateway_association 'igw-x' does not exist"),
    ],
)
def test_what_a_gateway_route_table_cannot_hold_is_told(spoiled, problem):
    assert problem in [found for _, found in told(LIST, spoiled)]


def test_a_gateway_with_two_tables_is_told():
    assert told(edge(), RouteTable(id="rtb-x", vpc_id="vpc-1", gateway_associations=("igw-1",))) == [("igw-1", "associated with two route tables, rtb and rtb-x")]


def test_a_prefix_list_counts_as_many_routes_as_it_may_have_entries():
    quotas = Quotas(routes_per_route_table=3)
    both = table(Route(destination_prefix_list_id="pl-1", nat_gateway_id="nat-1"), Route(destination_cidr_block="0.0.0.0/0", nat_gateway_id="nat-1"))
    assert told(LIST, both, quotas=quotas) == [("rtb", "4 routes, over the limit of 3")]


def test_more_tables_than_the_quota_are_told():
    assert told(table(), quotas=Quotas(route_tables_per_vpc=2)) == [("vpc-1", "3 route tables, over the limit of 2")]


def test_a_route_to_an_interface_that_is_attached_to_nothing_is_a_blackhole_by_itself():
    resolve(topology(NetworkInterface(id="eni-loose", subnet_id="sub-a"), table(Route(destination_cidr_block="0.0.0.0/0", network_interface_id="eni-loose", state="blackhole"))))
