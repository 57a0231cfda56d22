"""Which route takes a packet, by the documents: longest prefix, then static, then prefix list; local for every block."""

from ipaddress import IPv4Address

import pytest

from testbed.model import PrefixList, PrefixListEntry, Route, RouteTable, Vpc
from testbed.oracle.route_selection import select

VPC = Vpc(id="vpc", region="eu-west-1", cidr_block="10.0.0.0/16", cidr_block_associations=("100.64.0.0/16",))


def prefix_list(name, *blocks):
    return PrefixList(id=name, region="eu-west-1", max_entries=10, entries=tuple(PrefixListEntry(cidr=block) for block in blocks))


LISTS = {each.id: each for each in (prefix_list("pl-1", "192.0.2.0/24", "198.51.100.0/24"), prefix_list("pl-2", "192.0.2.0/24", "192.0.2.128/25"))}


def selected(destination, *routes):
    found = select(RouteTable(id="rtb", vpc_id="vpc", routes=routes), VPC, IPv4Address(destination), LISTS)
    return None if found is None else found.origin


def to(destination, target):
    return Route(destination_cidr_block=destination, nat_gateway_id=target)


def by_list(name, target):
    return Route(destination_prefix_list_id=name, nat_gateway_id=target)


@pytest.mark.parametrize(("destination", "origin"), [("10.0.9.9", "rtb 10.0.0.0/16 -> local"), ("100.64.1.1", "rtb 100.64.0.0/16 -> local"), ("192.0.2.1", "rtb 0.0.0.0/0 -> nat")])
def test_every_block_of_the_vpc_is_local(destination, origin):
    assert selected(destination, to("0.0.0.0/0", "nat")) == origin


def test_the_longest_prefix_wins_whatever_brings_it():
    assert selected("192.0.2.200", to("192.0.2.0/24", "static"), by_list("pl-2", "listed")) == "rtb pl-2 192.0.2.128/25 -> listed"


def test_of_equal_prefixes_the_static_one_wins_in_any_order():
    routes = (by_list("pl-1", "listed"), to("192.0.2.0/24", "static"))
    assert selected("192.0.2.1", *routes) == selected("192.0.2.1", *reversed(routes)) == "rtb 192.0.2.0/24 -> static"


def test_of_two_lists_one_is_kept_always_the_same():
    routes = (by_list("pl-2", "two"), by_list("pl-1", "one"))
    assert selected("192.0.2.1", *routes) == selected("192.0.2.1", *reversed(routes)) == "rtb pl-1 192.0.2.0/24 -> one"


def test_a_route_for_a_block_of_the_vpc_replaces_its_local_route_alone():
    assert selected("10.0.9.9", to("10.0.0.0/16", "nat")) == "rtb 10.0.0.0/16 -> nat"
    assert selected("100.64.1.1", to("10.0.0.0/16", "nat")) == "rtb 100.64.0.0/16 -> local"


def test_more_specific_than_local_wins_by_its_length():
    assert selected("10.0.1.9", to("10.0.1.0/24", "nat")) == "rtb 10.0.1.0/24 -> nat"


def test_nothing_is_ever_forwarded_to_the_link_local_services():
    assert selected("169.254.169.254", to("0.0.0.0/0", "nat"), to("169.254.0.0/16", "nat")) is None
    assert selected("169.254.10.1", to("169.254.0.0/16", "nat")) == "rtb 169.254.0.0/16 -> nat"


def test_without_a_route_there_is_none():
    assert selected("192.0.2.1") is None
