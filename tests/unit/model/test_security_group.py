"""What security groups say about the first packet of a flow."""

from ipaddress import IPv4Address

import pytest

from testbed.model import Flow, Packet, Protocol, SecurityGroup, SecurityGroupRule, Verdict
from testbed.model.security_group import evaluate

CLIENT, SERVER = IPv4Address("10.0.0.4"), IPv4Address("10.0.10.4")
SYN = Packet(source=CLIENT, destination=SERVER, protocol=Protocol.TCP, source_port=40000, destination_port=80)
PING = Packet(source=CLIENT, destination=SERVER, protocol=Protocol.ICMP, icmp_type=8, icmp_code=0)
MEMBERS = {"sg-alb": frozenset((CLIENT,))}


def group(*ingress: SecurityGroupRule, group_id: str = "sg-web", egress: tuple[SecurityGroupRule, ...] | None = None) -> SecurityGroup:
    return SecurityGroup(id=group_id, vpc_id="vpc", security_group_ingress=ingress, security_group_egress=egress)


def allows(rule: SecurityGroupRule, packet: Packet, flow: Flow = Flow.INGRESS) -> bool:
    return rule.matches(packet, flow, MEMBERS)


def test_a_new_group_lets_nothing_in_and_everything_out():
    new = group()
    assert evaluate((new,), SYN, Flow.INGRESS, {}).verdict is Verdict.DENY
    assert evaluate((new,), SYN, Flow.EGRESS, {}).verdict is Verdict.ALLOW


def test_a_group_with_no_outbound_rule_at_all_initiates_nothing():
    assert evaluate((group(egress=()),), SYN, Flow.EGRESS, {}).verdict is Verdict.DENY


def test_the_rule_that_allows_is_named_by_its_index():
    ssh = SecurityGroupRule(ip_protocol="tcp", from_port=22, to_port=22, cidr_ip="0.0.0.0/0")
    http = SecurityGroupRule(ip_protocol="tcp", from_port=80, to_port=80, cidr_ip="0.0.0.0/0")
    assert evaluate((group(ssh, http),), SYN, Flow.INGRESS, {}).origin == "sg-web#ingress[1]"


def test_the_groups_of_an_interface_are_one_union():
    http = SecurityGroupRule(ip_protocol="tcp", from_port=80, to_port=80, cidr_ip="0.0.0.0/0")
    assert evaluate((group(), group(http, group_id="sg-extra")), SYN, Flow.INGRESS, {}).origin == "sg-extra#ingress[0]"


def test_a_refusal_names_all_groups():
    assert evaluate((group(), group(group_id="sg-extra")), SYN, Flow.INGRESS, {}).origin == "sg-web,sg-extra#ingress no rule"


def test_an_interface_without_groups_refuses():
    assert evaluate((), SYN, Flow.INGRESS, {}).verdict is Verdict.DENY


def test_a_reference_means_the_private_addresses_of_the_groups_members():
    rule = SecurityGroupRule(ip_protocol="tcp", from_port=80, to_port=80, security_group_id="sg-alb")
    assert allows(rule, SYN)
    assert not rule.matches(SYN, Flow.INGRESS, {"sg-alb": frozenset((IPv4Address("198.51.100.12"),))})
    assert not rule.matches(SYN, Flow.INGRESS, {})


def test_the_far_side_is_the_source_inward_and_the_destination_outward():
    rule = SecurityGroupRule(ip_protocol="-1", cidr_ip="10.0.10.0/24")
    assert allows(rule, SYN, Flow.EGRESS)
    assert not allows(rule, SYN, Flow.INGRESS)


@pytest.mark.parametrize("protocol", ["tcp", "6", "-1"])
def test_a_protocol_goes_by_name_number_or_minus_one_for_all(protocol):
    assert allows(SecurityGroupRule(ip_protocol=protocol, cidr_ip="0.0.0.0/0"), SYN)


@pytest.mark.parametrize("protocol", ["udp", "17", "icmp", "50"])
def test_another_protocol_does_not_match(protocol):
    assert not allows(SecurityGroupRule(ip_protocol=protocol, cidr_ip="0.0.0.0/0"), SYN)


@pytest.mark.parametrize(("first", "last", "expected"), [(80, 80, True), (79, 81, True), (81, 90, False), (0, 79, False), (None, None, True)])
def test_a_port_range_includes_both_ends_and_none_means_all(first, last, expected):
    assert allows(SecurityGroupRule(ip_protocol="tcp", from_port=first, to_port=last, cidr_ip="0.0.0.0/0"), SYN) is expected


@pytest.mark.parametrize(("icmp_type", "code", "expected"), [(8, 0, True), (8, -1, True), (-1, -1, True), (None, None, True), (0, -1, False), (8, 1, False)])
def test_for_icmp_the_ports_are_type_and_code(icmp_type, code, expected):
    assert allows(SecurityGroupRule(ip_protocol="icmp", from_port=icmp_type, to_port=code, cidr_ip="0.0.0.0/0"), PING) is expected


def test_ports_do_not_count_where_all_protocols_are_allowed():
    assert allows(SecurityGroupRule(ip_protocol="-1", from_port=1, to_port=1, cidr_ip="0.0.0.0/0"), SYN)
