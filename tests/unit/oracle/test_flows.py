"""What an interface knows of a flow: across a change of rules, across time, and through instances that forward."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from testbed.model import (
    ConnectionTrackingSpecification,
    ElasticIp,
    Instance,
    IpForwarding,
    NetworkInterface,
    Protocol,
    Route,
    RouteTable,
    SecurityGroup,
    SecurityGroupRule,
    Subnet,
)
from testbed.oracle import Memory, Oracle, Probe
from tests.unit.oracle.lab import BACK, OPEN, USER, lab, origins, ping, resolved, tcp

PORT = 8080
MIDDLE = Subnet(id="middle", vpc_id="vpc", cidr_block="10.0.2.0/24", availability_zone="eu-west-1a")
"""Where an appliance stands: its own table must not lead back to it."""
PROBE = Probe(source="front", destination=IPv4Address(BACK), protocol=Protocol.TCP, destination_port=PORT, source_port=50000)


def back(*ingress: SecurityGroupRule, egress: tuple[SecurityGroupRule, ...] | None = None, **fields: object) -> Oracle:
    """The laboratory where `back` has a group of its own."""
    held = SecurityGroup(id="sg-back", vpc_id="vpc", security_group_ingress=ingress, security_group_egress=egress)
    return lab(held, Instance(id="back", subnet_id="private", private_ip_address=BACK, security_group_ids=("sg-back",), **fields))  # type: ignore[arg-type]


def rule(cidr_ip: str, protocol: str = "tcp", first: int | None = PORT, last: int | None = PORT) -> SecurityGroupRule:
    return SecurityGroupRule(ip_protocol=protocol, from_port=first, to_port=last, cidr_ip=cidr_ip)


def survives(before: Oracle, after: Oracle, probe: Probe = PROBE, idle_s: float = 0) -> bool:
    """Whether a flow that began by one topology's rules goes on by another's."""
    memory = Memory()
    assert before.walk(probe, memory).outcome.value == "delivered"
    memory.elapse(idle_s)
    return after.walk(probe, memory).outcome.value == "delivered"


@pytest.mark.parametrize(
    ("ingress", "egress", "tracked"),
    [
        (rule("10.0.0.0/16"), None, True),
        (rule("0.0.0.0/0"), None, False),
        (rule("0.0.0.0/0", "-1", None, None), None, False),
        (rule("0.0.0.0/0"), (rule("0.0.0.0/0", "tcp", 0, 65535),), False),
        (rule("0.0.0.0/0"), (rule("0.0.0.0/0", "tcp", 1, 65535),), True),
        (rule("0.0.0.0/0"), (rule("0.0.0.0/0", "udp", 0, 65535),), True),
        (rule("0.0.0.0/0"), (rule("10.0.0.0/8", "-1", None, None),), True),
        (rule("0.0.0.0/0"), (), True),
    ],
)
def test_a_flow_is_tracked_unless_everybody_may_begin_it_and_be_answered_on_all_ports(ingress: SecurityGroupRule, egress: tuple[SecurityGroupRule, ...] | None, tracked: bool) -> None:
    assert survives(back(ingress, egress=egress), back(egress=egress)) == tracked


def test_icmp_and_other_protocols_are_always_tracked() -> None:
    for protocol in (Protocol.ICMP, Protocol(50)):
        probe = Probe(source="front", destination=IPv4Address(BACK), protocol=protocol)
        assert survives(back(OPEN), back(), probe)


def test_a_reply_that_its_own_rules_allow_does_not_keep_an_untracked_flow_alive() -> None:
    memory = Memory()
    for _ in range(3):
        back(OPEN).walk(PROBE, memory)
    assert [back().walk(PROBE, memory).outcome.value for _ in range(3)] == ["dropped"] * 3


@pytest.mark.parametrize(("protocol", "idle_s", "alive"), [(Protocol.TCP, 349, True), (Protocol.TCP, 350, False), (Protocol.UDP, 29, True), (Protocol.UDP, 30, False), (Protocol(47), 599, True), (Protocol(47), 600, False)])
def test_idle_flows_are_forgotten(protocol: Protocol, idle_s: int, alive: bool) -> None:
    probe = replace(PROBE, protocol=protocol)
    by_address = SecurityGroupRule(ip_protocol="-1", cidr_ip="10.0.0.0/16")
    assert survives(back(by_address), back(), probe, idle_s) == alive


def test_a_udp_stream_lives_longer_than_one_exchange() -> None:
    probe, memory, by_address = replace(PROBE, protocol=Protocol.UDP), Memory(), SecurityGroupRule(ip_protocol="-1", cidr_ip="10.0.0.0/16")
    for _ in range(2):
        back(by_address).walk(probe, memory)
    memory.elapse(179)
    assert back().walk(probe, memory).outcome.value == "delivered"


def test_each_interface_has_its_own_timeouts() -> None:
    short = ConnectionTrackingSpecification(tcp_established_timeout_s=60)
    by_address = SecurityGroupRule(ip_protocol="-1", cidr_ip="10.0.0.0/16")
    assert not survives(back(by_address, connection_tracking_specification=short), back(connection_tracking_specification=short), idle_s=60)


def test_a_middlebox_is_judged_inward_and_outward_and_sees_the_reply() -> None:
    there = RouteTable(id="rtb-public", vpc_id="vpc", associations=("public",), routes=(Route(destination_cidr_block="10.0.1.0/24", instance_id="box"),))
    again = RouteTable(id="rtb-private", vpc_id="vpc", associations=("private",), routes=(Route(destination_cidr_block="10.0.0.0/24", instance_id="box"),))
    box = Instance(id="box", subnet_id="middle", private_ip_address="10.0.2.50", security_group_ids=("sg-box",), source_dest_check=False, user_data=IpForwarding())
    open_box = SecurityGroup(id="sg-box", vpc_id="vpc", security_group_ingress=(OPEN,))
    walk = tcp(lab(MIDDLE, there, again, box, open_box), "front", BACK)
    assert walk.outcome.value == "delivered"
    assert [hop.origin for hop in walk.request.hops if hop.where == "eni-box"] == ["sg-box#ingress[0]", "sg-box#egress[0]"]
    assert walk.reply is not None and "box forwards" in [hop.origin for hop in walk.reply.hops]
    mute = replace(open_box, security_group_egress=())
    assert tcp(lab(MIDDLE, there, again, box, mute), "front", BACK).origin == "sg-box#egress no rule"
    checked = replace(box, source_dest_check=True)
    assert tcp(lab(MIDDLE, there, again, checked, open_box), "front", BACK).origin == "eni-box source/destination check"


def test_a_reference_to_a_group_ends_at_a_middlebox() -> None:
    there = RouteTable(id="rtb-public", vpc_id="vpc", associations=("public",), routes=(Route(destination_cidr_block="10.0.1.0/24", instance_id="plain"),))
    plain = Instance(id="plain", subnet_id="middle", private_ip_address="10.0.2.11", security_group_ids=("sg-open",), source_dest_check=False)
    by_group = SecurityGroup(id="sg-back", vpc_id="vpc", security_group_ingress=(SecurityGroupRule(ip_protocol="-1", security_group_id="sg-open"),))
    guarded = Instance(id="back", subnet_id="private", private_ip_address=BACK, security_group_ids=("sg-back",))
    assert tcp(lab(by_group, guarded), "front", BACK).outcome.value == "delivered"
    assert tcp(lab(MIDDLE, by_group, guarded, there, plain), "front", BACK).origin == "sg-back#ingress no rule"


def test_a_nat_instance_puts_its_own_address_on_and_takes_it_off() -> None:
    private = RouteTable(id="rtb-private", vpc_id="vpc", associations=("private",), routes=(Route(destination_cidr_block="0.0.0.0/0", instance_id="box"),))
    box = Instance(id="box", subnet_id="public", private_ip_address="10.0.0.50", security_group_ids=("sg-open",), source_dest_check=False, user_data=IpForwarding(masquerade=True))
    walk = ping(lab(private, box, ElasticIp(id="eip-box", region="eu-west-1", instance_id="box")), "back", USER)
    assert walk.outcome.value == "delivered"
    assert [hop.translated.source for hop in walk.request.hops if hop.where == "box" and hop.translated] == [IPv4Address("10.0.0.50")]


def test_a_nat_instance_leaves_an_echo_alone_whose_question_it_has_not_seen() -> None:
    """The reply alone goes by way of it: its connection tracking takes such a packet for no flow, and forwards it as it is."""
    there = RouteTable(id="rtb-private", vpc_id="vpc", associations=("private",), routes=(Route(destination_cidr_block="10.0.0.0/24", instance_id="box"),))
    again = RouteTable(id="rtb-middle", vpc_id="vpc", associations=("middle",))
    box = Instance(id="box", subnet_id="middle", private_ip_address="10.0.2.50", security_group_ids=("sg-open",), source_dest_check=False, user_data=IpForwarding(masquerade=True))
    walk = ping(lab(MIDDLE, there, again, box), "front", BACK)
    assert walk.outcome.value == "delivered" and walk.reply is not None
    assert [hop.translated for hop in walk.reply.hops if hop.where == "box"] == [None]


def test_a_secondary_address_is_a_place_with_its_own_elastic_ip() -> None:
    multi = Instance(id="front", subnet_id="public", private_ip_address="10.0.0.10", secondary_private_ip_addresses=("10.0.0.60",), security_group_ids=("sg-open",))
    elastic = ElasticIp(id="eip-2", region="eu-west-1", instance_id="front", private_ip_address="10.0.0.60")
    changed = resolved(multi, elastic)
    public = next(each.public_address for interface in changed.interfaces for each in interface.mapped if each.public_origin == "eip-2")
    oracle = Oracle(changed)
    assert public is not None
    assert ping(oracle, "user", str(public)).request.hops[-1].packet.destination == IPv4Address("10.0.0.60")
    out = oracle.walk(Probe(source=IPv4Address("10.0.0.60"), destination=IPv4Address(USER), protocol=Protocol.ICMP))
    assert [hop.translated.source for hop in out.request.hops if hop.translated] == [public]
    assert "no public address" in oracle.walk(Probe(source=IPv4Address("10.0.0.10"), destination=IPv4Address(USER), protocol=Protocol.ICMP)).origin


def test_each_interface_of_a_guest_answers_for_itself() -> None:
    second = NetworkInterface(id="eni-x", subnet_id="private", private_ip_address="10.0.1.60", instance_id="front", group_set=("sg-open",))
    walk = tcp(lab(second), "plain", "10.0.1.60")
    assert walk.outcome.value == "delivered"
    assert walk.reply is not None and walk.reply.hops[0].where == "eni-x"
    assert origins(walk)
