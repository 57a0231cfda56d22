"""Route tables: which route wins, what a middlebox sees, and what dies with its target (facts: section 1.5; traps 7 and 26 of README.md)."""

from dataclasses import replace

import pytest
from scapy.layers.inet import ICMP, IP

from testbed.model import (
    ElasticIp,
    Instance,
    Internet,
    InternetGateway,
    ModelError,
    NatGateway,
    PrefixList,
    PrefixListEntry,
    Protocol,
    Route,
    RouteTable,
    SecurityGroup,
    SecurityGroupRule,
    Subnet,
    Topology,
    User,
    Vpc,
)
from testbed.observe.probe import Answer
from testbed.oracle import Probe

pytestmark = pytest.mark.packets

SILENCE_S = 0.3
REGION, ZONE = "eu-west-1", "eu-west-1a"
ANYWHERE, USERS = "0.0.0.0/0", "198.18.0.0/15"
OPEN = (SecurityGroupRule(ip_protocol="-1", cidr_ip=ANYWHERE),)


def subnet(name: str, block: str) -> Subnet:
    return Subnet(id=name, vpc_id="vpc", cidr_block=block, availability_zone=ZONE)


def host(name: str, in_subnet: str, **fields: object) -> Instance:
    return Instance(id=name, subnet_id=in_subnet, security_group_ids=("sg",), **fields)


def table(name: str, *routes: Route, **fields: object) -> RouteTable:
    return RouteTable(id=name, vpc_id="vpc", routes=routes, **fields)


def to(destination: str, **target: str) -> Route:
    return Route(destination_cidr_block=destination, **target)


def middlebox() -> Topology:
    """Whatever enters by the internet gateway for the servers, or passes between clients and servers, goes through `box`, both ways."""
    return Topology(
        name="middlebox",
        resources=(
            Internet(), User(id="client", city="Dublin"),
            Vpc(id="vpc", region=REGION, cidr_block="10.0.0.0/16", cidr_block_associations=("100.64.0.0/16",)),
            SecurityGroup(id="sg", vpc_id="vpc", security_group_ingress=OPEN),
            InternetGateway(id="igw", vpc_id="vpc"),
            subnet("servers", "10.0.1.0/24"), subnet("clients", "10.0.2.0/24"), subnet("boxes", "10.0.3.0/24"), subnet("second", "100.64.1.0/24"),
            host("server", "servers", associate_public_ip_address=True), host("neighbour", "servers"),
            host("inside", "clients"), host("hidden", "clients", associate_public_ip_address=False),
            host("box", "boxes", source_dest_check=False, associate_public_ip_address=True), host("aside", "second"),
            table("rtb-servers", to("10.0.1.0/24", instance_id="box"), to("10.0.2.0/24", instance_id="box"), to(ANYWHERE, instance_id="box"), associations=("servers",)),
            table("rtb-clients", to("10.0.1.0/24", instance_id="box"), to(ANYWHERE, gateway_id="igw"), associations=("clients",)),
            table("rtb-boxes", to(ANYWHERE, gateway_id="igw"), associations=("boxes",)),
            table("rtb-edge", to("10.0.1.0/24", instance_id="box"), gateway_associations=("igw",)),
        ),
    )  # fmt: skip


def choices() -> Topology:
    """Equal and overlapping routes of all kinds to the internet, and a NAT gateway that will be deleted."""
    users = PrefixListEntry(cidr=USERS)
    return Topology(
        name="choices",
        resources=(
            Internet(), User(id="client", city="Dublin"),
            Vpc(id="vpc", region=REGION, cidr_block="10.0.0.0/16"),
            SecurityGroup(id="sg", vpc_id="vpc", security_group_ingress=OPEN),
            InternetGateway(id="igw", vpc_id="vpc"), ElasticIp(id="eip", region=REGION), NatGateway(id="nat", subnet_id="public", allocation_id="eip"),
            PrefixList(id="pl-users", region=REGION, max_entries=4, entries=(users,)),
            PrefixList(id="pl-narrow", region=REGION, max_entries=4, entries=(PrefixListEntry(cidr="198.18.0.0/16"),)),
            subnet("public", "10.0.0.0/24"), subnet("static-first", "10.0.1.0/24"), subnet("longest-first", "10.0.2.0/24"), subnet("list-only", "10.0.3.0/24"),
            host("front", "public", associate_public_ip_address=False),
            host("a", "static-first"), host("b", "longest-first"), host("c", "list-only"),
            table("rtb-public", to(ANYWHERE, gateway_id="igw"), associations=("public",)),
            table("rtb-static", to(USERS, nat_gateway_id="nat"), Route(destination_prefix_list_id="pl-users", nat_gateway_id="nat-gone", state="blackhole"), associations=("static-first",)),
            table("rtb-longest", to(USERS, nat_gateway_id="nat"), Route(destination_prefix_list_id="pl-narrow", nat_gateway_id="nat-gone", state="blackhole"), associations=("longest-first",)),
            table("rtb-list", Route(destination_prefix_list_id="pl-users", nat_gateway_id="nat"), associations=("list-only",)),
        ),
    )  # fmt: skip


def hears(lab, source, destination, answered, **where):
    """A ping is answered, or not; the oracle agrees."""
    address = where.get("address", lab[destination].address)
    found = lab[source].ping(address, timeout_s=1.0 if answered else SILENCE_S).answer
    walk = lab.oracle.walk(Probe(source=source, destination=address, protocol=Protocol.ICMP))
    assert (found is Answer.ANSWERED, walk.outcome.value == "delivered") == (answered, answered), (found, walk.origin)
    return walk


def passed(lab, node, packets):
    """The ICMP types that a node's own interface received."""
    return [packet[ICMP].type for packet in packets if packet.sniffed_on.startswith(f"{node}/") and packet.haslayer(ICMP)]


@pytest.mark.topology.with_args(middlebox)
class TestMiddlebox:
    def test_a_whole_subnet_may_be_routed_through_a_middlebox_both_ways(self, lab):
        with lab.capture("box", "server", filter="icmp") as capture:
            hears(lab, "inside", "server", True)
        assert sorted(passed(lab, "box", capture.packets)) == [0, 0, 8, 8], "in and out, there and back"
        assert {packet[IP].ttl for packet in capture.packets if packet.sniffed_on == "server/eth0" and packet[ICMP].type == 8} == {63}, "one hop"

    def test_it_does_not_detour_what_stays_in_that_subnet(self, lab):
        with lab.capture("box", filter="icmp") as capture:
            hears(lab, "neighbour", "server", True)
        assert capture.packets == []

    @pytest.mark.parametrize("block", ["10.0.1.128/25", "10.0.0.0/20"])
    def test_trap_26_a_route_may_always_be_more_specific_than_local(self, lab, block):
        """Belief: any longer prefix than the VPC's own beats the local route.

        Truth: only the whole block of a subnet may, and only towards a middlebox, a NAT gateway or an endpoint of a Gateway Load Balancer (row 26).
        """
        topology = middlebox()
        wanted = tuple(replace(each, routes=(*each.routes, to(block, instance_id="box"))) if each.id == "rtb-clients" else each for each in topology.resources)
        with pytest.raises(ModelError, match="not the block of a subnet"):
            lab.change(replace(topology, resources=wanted))
        with lab.capture("box/eth0", filter="icmp and dst host 10.0.1.200") as capture:
            lab["inside"].ping("10.0.1.200", timeout_s=SILENCE_S)
        assert [packet[IP].dst for packet in capture.packets][:1] == ["10.0.1.200"], "the route for the whole 10.0.1.0/24 is in force, and goes on being so"

    def test_the_gateway_route_table_sends_what_enters_through_the_middlebox(self, lab):
        (public,) = (interface.public_address for interface in lab.resolved.interfaces if interface.node == "server")
        with lab.capture("box", filter="icmp") as capture:
            walk = hears(lab, "client", "server", True, address=public)
        assert sorted(passed(lab, "box", capture.packets)) == [0, 0, 8, 8]
        assert "rtb-edge 10.0.1.0/24 -> box" in [hop.origin for hop in walk.request.hops]

    def test_other_subnets_are_entered_by_the_edge_tables_local_route(self, lab):
        (public,) = (interface.public_address for interface in lab.resolved.interfaces if interface.node == "box")
        walk = hears(lab, "client", "box", True, address=public)
        assert "rtb-edge 10.0.0.0/16 -> local" in [hop.origin for hop in walk.request.hops]

    def test_a_second_block_is_as_local_as_the_first(self, lab):
        walk = hears(lab, "inside", "aside", True)
        assert "rtb-clients 100.64.0.0/16 -> local" in [hop.origin for hop in walk.request.hops]

    def test_a_route_to_the_internet_without_a_public_address_leads_no_further_than_the_gateway(self, lab):
        """Misconception 7."""
        with lab.capture("igw", filter="icmp") as capture:
            assert "has no public address" in hears(lab, "hidden", "client", False).origin
        assert {packet.sniffed_on for packet in capture.packets} == {"igw/vpc"}

    def test_a_middlebox_without_a_public_address_gets_nothing_from_the_internet_gateway(self, lab):
        topology = middlebox()
        (public,) = (interface.public_address for interface in lab.resolved.interfaces if interface.node == "server")
        hidden = tuple(replace(each, associate_public_ip_address=False) if each.id == "box" else each for each in topology.resources)
        lab.change(replace(topology, resources=hidden))
        try:
            with lab.capture("box", filter="icmp") as capture:
                assert hears(lab, "client", "server", False, address=public).origin == "rtb-edge 10.0.1.0/24 -> box (blackhole)"
            assert capture.packets == []
        finally:
            lab.change(topology)


@pytest.mark.topology.with_args(choices)
class TestChoices:
    def test_a_static_route_comes_before_a_prefix_list_with_the_same_block(self, lab):
        hears(lab, "a", "client", True)

    def test_but_a_longer_prefix_of_a_list_comes_before_both(self, lab):
        assert hears(lab, "b", "client", False).origin == "rtb-longest pl-narrow 198.18.0.0/16 -> nat-gone (blackhole)"

    def test_a_prefix_list_routes_by_itself(self, lab):
        hears(lab, "c", "client", True)

    def test_a_deleted_target_leaves_a_blackhole_that_keeps_packets_from_shorter_routes(self, lab):
        topology = choices()
        gone = {"nat", "eip"}
        kept = tuple(each for each in topology.resources if each.id not in gone)
        by_nat = {"rtb-static", "rtb-longest", "rtb-list"}
        dead = tuple(
            replace(each, routes=(*(replace(route, state="blackhole") for route in each.routes), to(ANYWHERE, gateway_id="igw"))) if each.id in by_nat else each for each in kept
        )
        lab.change(replace(topology, resources=dead))
        try:
            with lab.capture("igw", filter="icmp") as capture:
                assert hears(lab, "a", "client", False).origin == "rtb-static 198.18.0.0/15 -> nat (blackhole)"
            assert capture.packets == [], "the default route was there, and had no say"
        finally:
            lab.change(topology)
        hears(lab, "a", "client", True)
