"""Explain: the AWS rule that decided, what would let a packet pass, and the model's agreement, for every way in which packets get lost."""

import time
from dataclasses import replace

import pytest

from testbed.model import Instance, NetworkInterface, Route, RouteTable
from tests.scenarios.shop import with_resources
from tests.scenarios.small_vpc import small_vpc

PATIENCE_S = 20.0


def explained():
    topology = small_vpc(
        Instance(id="check-1", subnet_id="subnet-web", security_group_ids=("sg-out",)),
        NetworkInterface(id="eni-gone", subnet_id="subnet-web"),
        name="explained",
    )
    more = (Route(destination_cidr_block="203.0.113.0/24", network_interface_id="eni-gone"), Route(destination_cidr_block="192.0.2.128/25", instance_id="check-1"))
    table = next(table for table in topology.of(RouteTable) if table.id == "rtb-public")
    return with_resources(topology, replace(table, routes=table.routes + more))


pytestmark = [pytest.mark.packets, pytest.mark.topology.with_args(explained)]


def lines(explanation, leg="request"):
    return [words for hop in explanation.hops if hop.leg == leg for words in hop.said]


def test_a_passing_probe_names_every_rule_in_awss_order(lab):
    told = lab.explain("web-1", "out-1", protocol="tcp", port=80)
    assert told.passed and told.agrees
    assert [words.split()[0] for words in lines(told) if not words.endswith("not tracked")] == ["sg-web#egress[0]", "acl-default-vpc-s#100", "rtb-web", "sg-out#ingress[0]"]
    assert "sg-out#ingress[0] all traffic from 0.0.0.0/0 accept" in lines(told)


def test_a_reply_that_the_network_acl_drops_is_the_ephemeral_port_classic(lab):
    """Trap 1: an inbound rule for the service is not enough."""
    told = lab.explain("web-1", "app-1", protocol="tcp", port=81)
    assert not told.passed and told.arrived and told.agrees
    assert told.cause_origin == "acl-app#*"
    assert "stateless" in told.cause and "ephemeral" in told.cause
    assert told.remedy == "add to acl-app an outbound rule that allows tcp for ports 1024-65535 to 10.9.1.0/24"
    assert "sg-app#ingress[2] tcp/80-81 from sg-web accept" in lines(told)
    assert lines(told, "reply")[-1].endswith("drop")


def test_a_missing_group_rule_is_named_with_the_rule_that_would_do(lab):
    told = lab.explain("web-1", "app-1", port=22)
    assert told.cause_origin == "sg-app#ingress no rule" and told.agrees
    assert told.remedy == "add to sg-app an ingress rule tcp 22 from sg-web"


def test_translations_are_shown_on_the_way_out_and_back(lab):
    told = lab.explain("web-1", "client", port=8080)
    assert told.passed and told.agrees
    translated = [(hop.leg, hop.node) for hop in told.hops if hop.became]
    assert translated == [("request", "nat-1"), ("request", "igw-s"), ("reply", "igw-s"), ("reply", "nat-1")]
    assert "rtb-web 0.0.0.0/0 -> nat-1" in lines(told) and "rtb-public 0.0.0.0/0 -> igw-s" in lines(told)
    public = next(str(i.public_address) for i in lab.resolved.interfaces if i.id == "eni-nat-1")
    assert any(hop.node == "igw-s" and hop.became.startswith(f"{public}:") for hop in told.hops)


def test_a_public_subnet_without_a_public_address_is_not_the_internet(lab):
    """Trap 7."""
    told = lab.explain("bare-1", "client", port=80)
    assert not told.passed and told.agrees
    assert "no public address" in told.cause and "Elastic IP" in told.remedy


def test_a_subnet_without_a_route_is_told_as_such(lab):
    told = lab.explain("app-1", "client", port=80)
    assert not told.passed and told.agrees
    assert "rtb-app: no route to" in told.cause


def test_a_route_whose_target_is_gone_is_a_blackhole(lab):
    told = lab.explain("out-1", "203.0.113.7", port=80)
    assert not told.passed and told.agrees
    assert "rtb-public 203.0.113.0/24" in told.cause and "exist" in told.remedy


def test_the_source_destination_check_is_named(lab):
    told = lab.explain("out-1", "192.0.2.200", port=80)
    assert not told.passed and told.agrees
    assert "source/destination check" in told.cause and told.remedy == "set source_dest_check=False on eni-check-1"


def test_an_address_that_nobody_has_is_told_as_such(lab):
    told = lab.explain("web-1", "10.9.2.77", protocol="icmp")
    assert not told.passed and told.agrees
    assert "10.9.2.77" in told.cause


def test_a_private_address_from_outside_is_answered_with_the_public_one(lab):
    told = lab.explain("client", "out-1", port=80)
    public = next(str(i.public_address) for i in lab.resolved.interfaces if i.id == "eni-out-1")
    assert not told.passed and told.agrees and told.remedy == f"use its public address {public}"
    assert lab.explain("client", public, port=80).passed


def test_a_ping_is_followed_through_translations_too(lab):
    told = lab.explain("web-1", "client", protocol="icmp")
    assert told.passed and told.agrees and [hop.node for hop in told.hops if hop.became] == ["nat-1", "igw-s", "igw-s", "nat-1"]


def test_a_drop_that_is_seen_is_not_waited_for(lab):
    began = time.monotonic()
    lab.explain("web-1", "app-1", port=23, timeout_s=PATIENCE_S)
    assert time.monotonic() - began < PATIENCE_S
