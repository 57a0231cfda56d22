"""The oracle over VPC peerings: see topologies/peering.py."""

from ipaddress import IPv4Address

import pytest

from testbed.model import Protocol
from testbed.oracle import Oracle, Probe
from testbed.oracle.walk import Stage
from testbed.resolve import resolve
from topologies.peering import peering

RESOLVED = resolve(peering())
ORACLE = Oracle(RESOLVED)
ADDRESSES = {interface.node: interface.address for interface in RESOLVED.interfaces} | {"client": RESOLVED.users[0].address, "resolver of A": IPv4Address("10.0.0.2")}


def walk(source, destination, protocol=Protocol.ICMP):
    return ORACLE.walk(Probe(source=source, destination=ADDRESSES[destination], protocol=protocol, destination_port=80, source_port=40000))


@pytest.mark.parametrize(
    ("source", "destination", "outcome", "leg", "origin"),
    [
        ("a", "b", "delivered", "reply", "sg-a#egress[0] (tracked)"),
        ("b", "a", "delivered", "reply", "sg-b#egress[0] (tracked)"),
        ("b", "c", "dropped", "request", "pcx-ab: leads to interfaces of vpc-a only, none of which has"),
        ("b", "client", "dropped", "request", "pcx-ab: leads to interfaces of vpc-a only, none of which has"),
        ("b", "resolver of A", "dropped", "request", "pcx-ab: leads to interfaces of vpc-a only, none of which has 10.0.0.2"),
        ("b", "nat-a", "dropped", "request", "nat-a: accepts nothing that was not asked for from inside"),
        ("c-2", "a", "dropped", "request", "rtb-c-2: no route to"),
        ("a", "c-2", "delivered", "reply", "sg-a#egress[0] (tracked)"),
    ],
)
def test_who_reaches_whom(source, destination, outcome, leg, origin):
    found = walk(source, destination)
    assert (found.outcome, found.leg) == (outcome, leg)
    assert found.origin.startswith(origin)


def test_the_reply_to_a_nat_gateway_asks_no_route_table_of_the_peer():
    reply = walk("a", "c-2").reply
    assert [hop.origin for hop in reply.hops if hop.stage in (Stage.ROUTE, Stage.PEERING)] == ["pcx-ac return to sender", "rtb-public-a 10.0.0.0/16 -> local"]


def test_a_group_of_the_peer_stands_for_its_members():
    assert walk("b", "a", Protocol.TCP).outcome == "delivered"
    assert walk("b-other", "a", Protocol.TCP).origin == "sg-a#ingress no rule"
