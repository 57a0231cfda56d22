"""A source address that is not the sender's own: what it reaches, and who is answered."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from testbed.model import Instance, Protocol, SecurityGroup, SecurityGroupRule
from testbed.oracle import Oracle, Outcome, Probe, Stage, Walk

from .lab import BACK, FRONT, LAB, PLAIN, USER, lab

CHECK = "eni-front source/destination check"
APPLIANCE = replace(next(resource for resource in LAB if isinstance(resource, Instance) and resource.id == "front"), source_dest_check=False)


def forged(oracle: Oracle, claimed: str, destination: str, port: int = 80) -> Walk:
    """A datagram of `front` under another's address."""
    return oracle.walk(Probe(source="front", destination=IPv4Address(destination), protocol=Protocol.UDP, destination_port=port, claimed_source=IPv4Address(claimed)))


@pytest.mark.parametrize("claimed", [PLAIN, BACK, USER, "10.0.0.1", "192.0.2.1"])
@pytest.mark.parametrize("destination", [PLAIN, BACK, USER, "10.0.1.77"])
def test_it_ends_at_the_senders_interface_before_anything_else_is_asked(claimed: str, destination: str) -> None:
    walk = forged(lab(), claimed, destination)
    assert [(hop.stage, hop.origin) for hop in walk.request.hops] == [(Stage.INTERFACE, CHECK)]


@pytest.mark.parametrize(("address", "port"), [("10.0.0.2", 53), ("169.254.169.253", 53), ("169.254.169.123", 123)])
def test_not_even_the_resolver_and_the_time_hear_it(address: str, port: int) -> None:
    assert forged(lab(), PLAIN, address, port).origin == CHECK


def test_ones_own_address_is_no_forgery() -> None:
    assert forged(lab(), FRONT, BACK).outcome is Outcome.DELIVERED


def test_without_the_check_it_is_judged_by_what_it_claims() -> None:
    named = SecurityGroup(id="sg-open", vpc_id="vpc", security_group_ingress=(SecurityGroupRule(ip_protocol="udp", from_port=0, to_port=65535, cidr_ip=f"{PLAIN}/32"),))
    oracle = lab(APPLIANCE, named)
    assert forged(oracle, PLAIN, BACK).request.outcome is Outcome.DELIVERED
    assert forged(oracle, "10.0.0.77", BACK).origin == "sg-open#ingress no rule"


def test_and_the_answer_goes_to_whom_it_claims_to_be() -> None:
    walk = forged(lab(APPLIANCE), PLAIN, BACK)
    assert walk.request.outcome is Outcome.DELIVERED
    assert walk.outcome is Outcome.DROPPED
    assert walk.leg == "reply"


def test_the_internet_gateway_knows_no_public_address_of_a_stranger() -> None:
    assert forged(lab(APPLIANCE), "192.0.2.1", USER).origin == "igw: 192.0.2.1 has no public address"
