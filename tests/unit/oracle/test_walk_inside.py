"""Packets between instances of one VPC: groups, ACLs, the subnet's border, local routes, and the fabric's own services."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from testbed.model import Direction, Instance, NetworkInterface, Protocol, Route, RouteTable, SecurityGroup, SecurityGroupRule, Subnet
from testbed.oracle import Outcome, Probe, Stage

from .lab import BACK, FRONT, LAB, OPEN, PLAIN, acl, allow, lab, origins, ping, tcp, udp, verdict

INBOUND, OUTBOUND = Direction.INBOUND, Direction.OUTBOUND
CLOSED = SecurityGroup(id="sg-closed", vpc_id="vpc", security_group_egress=())


def instance(name: str, *groups: str) -> Instance:
    (found,) = (resource for resource in LAB if resource.id == name)
    assert isinstance(found, Instance)
    return replace(found, security_group_ids=groups)


def test_a_packet_to_another_subnet_is_judged_in_awss_order():
    walk = tcp(lab(), "front", BACK)
    assert walk.outcome is Outcome.DELIVERED
    assert [(hop.stage, hop.where) for hop in walk.request.hops] == [
        (Stage.SECURITY_GROUP, "eni-front"),
        (Stage.NETWORK_ACL, "public"),
        (Stage.ROUTE, "rtb-public"),
        (Stage.NETWORK_ACL, "private"),
        (Stage.SECURITY_GROUP, "eni-back"),
    ]


def test_within_a_subnet_only_security_groups_judge():
    assert {hop.stage for hop in tcp(lab(acl("public")), "front", PLAIN).request.hops} == {Stage.SECURITY_GROUP}


def test_an_acl_that_denies_everything_does_not_part_neighbours():
    assert verdict(ping(lab(acl("public")), "front", PLAIN))[0] == "delivered"
    assert verdict(ping(lab(acl("public")), "front", BACK)) == ("dropped", "request", "acl#*")


def test_an_acl_without_ephemeral_ports_drops_the_reply():
    walk = tcp(lab(acl("private", allow(100, INBOUND, 80, 80), allow(100, OUTBOUND, 80, 80))), "front", BACK)
    assert verdict(walk) == ("dropped", "reply", "acl#*")
    assert walk.request.outcome is Outcome.DELIVERED


def test_an_acl_with_ephemeral_ports_lets_the_reply_go():
    assert verdict(tcp(lab(acl("private", allow(100, INBOUND, 80, 80), allow(100, OUTBOUND, 1024, 65535))), "front", BACK))[0] == "delivered"


def test_the_callers_own_acl_must_let_the_reply_in():
    assert verdict(tcp(lab(acl("public", allow(100, OUTBOUND, 80, 80), allow(100, INBOUND, 80, 80))), "front", BACK)) == ("dropped", "reply", "acl#*")


def test_a_security_group_lets_replies_pass_whatever_its_rules():
    quiet = SecurityGroup(id="sg-quiet", vpc_id="vpc", security_group_ingress=(OPEN,), security_group_egress=())
    walk = tcp(lab(quiet, instance("back", "sg-quiet")), "front", BACK)
    assert verdict(walk)[0] == "delivered"
    assert walk.reply is not None
    assert walk.reply.hops[0].origin == "sg-quiet#ingress[0] (tracked)"


def test_the_same_group_initiates_nothing():
    quiet = SecurityGroup(id="sg-quiet", vpc_id="vpc", security_group_ingress=(OPEN,), security_group_egress=())
    assert verdict(tcp(lab(quiet, instance("back", "sg-quiet")), "back", FRONT)) == ("dropped", "request", "sg-quiet#egress no rule")


def test_a_group_without_rules_refuses_a_new_flow():
    assert verdict(tcp(lab(CLOSED, instance("back", "sg-closed")), "front", BACK)) == ("dropped", "request", "sg-closed#ingress no rule")


def test_the_groups_of_an_interface_are_a_union():
    assert verdict(tcp(lab(CLOSED, instance("back", "sg-closed", "sg-open")), "front", BACK))[0] == "delivered"


def test_a_reference_admits_the_groups_members_and_nobody_else():
    rule = SecurityGroupRule(ip_protocol="tcp", from_port=80, to_port=80, security_group_id="sg-caller")
    groups = (SecurityGroup(id="sg-caller", vpc_id="vpc"), SecurityGroup(id="sg-back", vpc_id="vpc", security_group_ingress=(rule,)))
    oracle = lab(*groups, instance("back", "sg-back"), instance("front", "sg-caller"))
    assert origins(tcp(oracle, "front", BACK))[-1] == "sg-back#ingress[0]"
    assert verdict(tcp(oracle, "plain", BACK)) == ("dropped", "request", "sg-back#ingress no rule")
    assert verdict(tcp(oracle, "front", BACK, port=81)) == ("dropped", "request", "sg-back#ingress no rule")


def test_an_instance_without_groups_is_in_the_default_group():
    oracle = lab(instance("back"), instance("front"))
    assert verdict(tcp(oracle, "front", BACK))[0] == "delivered"
    assert verdict(tcp(oracle, "plain", BACK)) == ("dropped", "request", "sg-default-vpc#ingress no rule")


def test_an_address_that_nobody_has_is_silence():
    assert verdict(ping(lab(), "front", "10.0.1.99")) == ("dropped", "request", "vpc: no interface has 10.0.1.99")


def test_an_icmp_message_that_asks_for_nothing_has_no_reply():
    walk = lab().walk(Probe(source="front", destination=IPv4Address(BACK), protocol=Protocol.ICMP, icmp_type=3, icmp_code=4))
    assert (walk.reply, walk.outcome) == (None, Outcome.DELIVERED)


def test_the_resolver_answers_whatever_groups_and_acls_say():
    oracle = lab(CLOSED, instance("front", "sg-closed"), acl("public"))
    assert verdict(udp(oracle, "front", "10.0.0.2"))[0] == "delivered"
    assert verdict(udp(oracle, "front", "169.254.169.253"))[0] == "delivered"
    assert verdict(tcp(oracle, "front", "169.254.169.254"))[0] == "delivered"


def test_only_base_plus_two_of_the_vpc_is_a_resolver():
    assert verdict(udp(lab(), "back", "10.0.0.2"))[0] == "delivered"
    assert verdict(udp(lab(), "back", "10.0.1.2"))[0] == "dropped"


def test_a_vpc_without_dns_support_has_no_resolver():
    (vpc,) = (resource for resource in LAB if resource.id == "vpc")
    assert verdict(udp(lab(replace(vpc, enable_dns_support=False)), "front", "10.0.0.2"))[0] == "dropped"  # type: ignore[call-arg]


def test_link_local_addresses_are_never_forwarded_even_under_a_wide_route():
    assert verdict(tcp(lab(), "front", "169.254.170.2")) == ("dropped", "request", "rtb-public: no route to 169.254.170.2")


def test_a_subnet_without_a_table_of_its_own_uses_the_main_one():
    oracle = lab(RouteTable(id="rtb-main", vpc_id="vpc", main=True), Subnet(id="third", vpc_id="vpc", cidr_block="10.0.2.0/24", availability_zone="eu-west-1a"),
                 Instance(id="x", subnet_id="third", security_group_ids=("sg-open",)))  # fmt: skip
    assert "rtb-main 10.0.0.0/16 -> local" in origins(tcp(oracle, "x", BACK))


def test_a_more_specific_route_than_local_sends_a_subnets_traffic_to_an_appliance():
    table = RouteTable(id="rtb-public", vpc_id="vpc", associations=("public",), routes=(Route(destination_cidr_block="10.0.1.0/24", instance_id="plain"),))
    assert verdict(tcp(lab(table), "front", BACK)) == ("dropped", "request", "eni-plain source/destination check")


def test_an_appliance_in_a_subnet_whose_table_leads_back_to_it_loops():
    table = RouteTable(id="rtb-public", vpc_id="vpc", associations=("public",), routes=(Route(destination_cidr_block="10.0.1.0/24", instance_id="plain"),))
    assert verdict(tcp(lab(table, replace(instance("plain", "sg-open"), source_dest_check=False)), "front", BACK)) == ("dropped", "request", "plain: the TTL has run out")


def test_an_instance_without_the_check_forwards_and_the_reply_need_not_come_back_that_way():
    table = RouteTable(id="rtb-public", vpc_id="vpc", associations=("public",), routes=(Route(destination_cidr_block="10.0.1.0/24", instance_id="plain"),))
    middle = Subnet(id="middle", vpc_id="vpc", cidr_block="10.0.2.0/24", availability_zone="eu-west-1a")
    plain = replace(instance("plain", "sg-open"), subnet_id="middle", private_ip_address="10.0.2.11", source_dest_check=False)
    walk = tcp(lab(table, middle, plain), "front", BACK)
    assert walk.outcome.value == "delivered"
    assert "plain forwards" in origins(walk)


def test_a_route_to_a_detached_interface_is_a_blackhole():
    table = RouteTable(id="rtb-public", vpc_id="vpc", associations=("public",), routes=(Route(destination_cidr_block="0.0.0.0/0", network_interface_id="eni-x"),))
    oracle = lab(table, NetworkInterface(id="eni-x", subnet_id="private"))
    assert verdict(tcp(oracle, "front", "192.0.2.1")) == ("dropped", "request", "rtb-public 0.0.0.0/0 -> eni-x (blackhole)")


def test_a_guest_prefers_its_interface_in_the_destinations_subnet():
    oracle = lab(NetworkInterface(id="eni-x", subnet_id="private", instance_id="front", group_set=("sg-open",)))
    assert tcp(oracle, "front", BACK).request.hops[0].where == "eni-x"


def test_an_instances_own_address_needs_no_fabric():
    walk = tcp(lab(CLOSED, instance("front", "sg-closed")), "front", FRONT)
    assert (walk.outcome, [hop.stage for hop in walk.request.hops]) == (Outcome.DELIVERED, [Stage.HOST])


def test_a_source_that_is_no_node_is_an_error():
    with pytest.raises(LookupError, match="no node 'nobody'"):
        tcp(lab(), "nobody", BACK)
