"""A table as it is in force, with the reason for each route."""

from ipaddress import IPv4Address

import pytest

from testbed.model import PrefixList, PrefixListEntry, Route, RouteTable, Subnet, Topology, Vpc
from testbed.oracle.routes_in_force import table_in_force

TOPOLOGY = Topology(
    name="x",
    resources=(
        Vpc(id="vpc", region="eu-west-1", cidr_block="10.0.0.0/16"),
        Subnet(id="sub", vpc_id="vpc", cidr_block="10.0.1.0/24", availability_zone="eu-west-1a"),
        Subnet(id="other", vpc_id="vpc", cidr_block="10.0.2.0/24", availability_zone="eu-west-1a"),
        PrefixList(id="pl", region="eu-west-1", max_entries=1, entries=(PrefixListEntry(cidr="192.0.2.0/24"),)),
        RouteTable(
            id="rtb",
            vpc_id="vpc",
            associations=("sub",),
            routes=(
                Route(destination_cidr_block="0.0.0.0/0", gateway_id="igw"),
                Route(destination_cidr_block="192.0.2.0/24", nat_gateway_id="nat", state="blackhole"),
                Route(destination_prefix_list_id="pl", nat_gateway_id="nat-2"),
            ),
        ),
    ),
)


def test_each_destination_has_one_route_and_a_reason():
    table = table_in_force("sub", TOPOLOGY)
    assert (table.table, table.subnets, table.main) == ("rtb", ("sub",), False)
    assert [(str(route.destination), route.target, route.state, route.why) for route in table.routes] == [
        ("192.0.2.0/24", "nat", "blackhole", "a static route comes before a prefix list, pl; /24 is longer than /0"),
        ("10.0.0.0/16", "local", "active", "every table has it; /16 is longer than /0"),
        ("0.0.0.0/0", "igw", "active", "the only route to it"),
    ]
    assert table.routes[0].beaten == ("rtb pl 192.0.2.0/24 -> nat-2", "rtb 0.0.0.0/0 -> igw")


def test_the_route_of_one_address():
    table = table_in_force("rtb", TOPOLOGY)
    assert [route and route.target for route in (table.taking(IPv4Address(a)) for a in ("192.0.2.9", "8.8.8.8", "169.254.169.254"))] == ["nat", "igw", None]


def test_a_subnet_without_a_table_has_the_vpcs_main_one():
    table = table_in_force("other", TOPOLOGY)
    assert (table.table, table.main, table.subnets) == ("rtb-main-vpc", True, ("other",))
    assert table_in_force("rtb-main-vpc", TOPOLOGY) == table


def test_anything_else_is_told():
    with pytest.raises(LookupError, match="vpc is neither a subnet nor a route table"):
        table_in_force("vpc", TOPOLOGY)
