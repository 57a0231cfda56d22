"""NAT gateways by themselves: what they need, and what they translate."""

from ipaddress import IPv4Address

import pytest

from testbed.model import NatGateway, Packet, Protocol
from testbed.model.nat_gateway import evaluate

NAT = NatGateway(id="nat", subnet_id="public", allocation_id="eip")


def packet(protocol):
    return Packet(source=IPv4Address("10.0.0.1"), destination=IPv4Address("192.0.2.1"), protocol=Protocol(protocol))


def problems(**fields):
    return [fault.problem for fault in NatGateway(id="nat", subnet_id="public", **fields).faults()]


def test_a_public_gateway_needs_an_elastic_ip_and_a_private_one_has_none():
    assert problems() == ["a public NAT gateway needs an Elastic IP address"]
    assert problems(allocation_id="eip") == []
    assert problems(connectivity_type="private") == []
    assert problems(connectivity_type="private", allocation_id="eip") == ["an Elastic IP address cannot be associated with a private NAT gateway"]
    assert problems(connectivity_type="none", allocation_id="eip") == ["connectivity_type 'none' is not one of the allowed values"]


def test_it_has_eight_addresses_at_most():
    assert problems(allocation_id="eip", secondary_allocation_ids=tuple(f"eip-{n}" for n in range(7))) == []
    assert problems(allocation_id="eip", secondary_allocation_ids=tuple(f"eip-{n}" for n in range(8))) == ["9 addresses"]
    assert problems(connectivity_type="private", secondary_private_ip_addresses=("10.0.0.5", "10.0.0.6")) == []
    assert problems(allocation_id="eip", secondary_private_ip_addresses=("10.0.0.5",)) == ["a secondary private address without an Elastic IP"]


def test_the_number_of_connections_can_be_lowered_and_not_raised():
    assert problems(allocation_id="eip", connections_per_destination=1) == []
    assert problems(allocation_id="eip", connections_per_destination=55_001) == ["connections_per_destination 55001 is out of bounds"]


@pytest.mark.parametrize("protocol", [1, 6, 17])
def test_tcp_udp_and_icmp_are_translated(protocol):
    assert evaluate(NAT, packet(protocol), is_fragment=False) is None


@pytest.mark.parametrize("protocol", [4, 47, 50])
def test_nothing_else_is(protocol):
    assert evaluate(NAT, packet(protocol), is_fragment=False) == "nat translates TCP, UDP and ICMP only"


def test_fragments_of_udp_are_forwarded_and_others_dropped():
    assert evaluate(NAT, packet(17), is_fragment=True) is None
    assert [evaluate(NAT, packet(protocol), is_fragment=True) for protocol in (1, 6)] == ["nat drops fragments of TCP and ICMP"] * 2
