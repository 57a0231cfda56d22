"""The oracle on private ways: gateway endpoints, interface endpoints, PrivateLink."""

from ipaddress import IPv4Address

import pytest

from testbed.model import Protocol
from testbed.oracle import Leg, Oracle, Outcome, Probe, Stage
from testbed.resolve import resolve
from topologies.private_access import private_access

RESOLVED = resolve(private_access())
ORACLE = Oracle(RESOLVED)
ADDRESS = {interface.node: interface.address for interface in RESOLVED.interfaces}
S3 = next(service.addresses[0] for service in RESOLVED.regions[0].aws_services if service.name == "s3")
SQS_PUBLIC = next(service.addresses[0] for service in RESOLVED.regions[0].aws_services if service.name == "sqs")


def walk(source: str, destination: IPv4Address, port: int = 443, protocol: Protocol = Protocol.TCP):
    return ORACLE.walk(Probe(source=source, destination=destination, protocol=protocol, destination_port=port))


@pytest.mark.parametrize(
    ("source", "destination", "port", "outcome", "origin"),
    [
        ("app", S3, 443, Outcome.DELIVERED, ""),
        ("app", SQS_PUBLIC, 443, Outcome.DROPPED, "sg-app#egress no rule"),
        ("strict", S3, 443, Outcome.DROPPED, "sg-strict#egress no rule"),
        ("app", ADDRESS["vpce-sqs-a"], 443, Outcome.DELIVERED, ""),
        ("app", ADDRESS["vpce-sqs-b"], 443, Outcome.DELIVERED, ""),
        ("neighbour", ADDRESS["vpce-sqs-a"], 443, Outcome.DELIVERED, ""),
        ("neighbour", ADDRESS["vpce-sqs-a"], 22, Outcome.DROPPED, "sg-endpoints#ingress no rule"),
        ("neighbour", S3, 443, Outcome.DROPPED, "pcx-app-peer: leads to interfaces of vpc-app only"),
        ("outsider", S3, 443, Outcome.DELIVERED, ""),
        ("app", ADDRESS["vpce-orders-a"], 443, Outcome.DELIVERED, ""),
    ],
)
def test_a_walk(source, destination, port, outcome, origin):
    found = walk(source, destination, port)
    assert found.outcome is outcome, found.origin
    assert found.origin.startswith(origin)


def test_s3_sees_the_private_address_at_a_gateway_endpoint():
    hop = next(hop for hop in walk("app", S3).request.hops if hop.stage is Stage.VPC_ENDPOINT)
    assert (hop.where, hop.packet.source, hop.packet.destination, hop.translated) == ("vpce-s3", ADDRESS["app"], S3, None)


def test_the_provider_sees_its_balancers_node():
    found = walk("app", ADDRESS["vpce-orders-a"])
    hop = next(hop for hop in found.request.hops if hop.stage is Stage.LOAD_BALANCER)
    assert hop.translated is not None
    assert (hop.translated.source, hop.translated.destination, hop.translated.destination_port) == (ADDRESS["nlb-orders-a"], ADDRESS["orders"], 8443)
    assert found.leg is Leg.REPLY
    assert found.reply is not None and found.reply.hops[-1].packet.destination == ADDRESS["app"]


def test_nothing_comes_back_through_private_link():
    assert walk("orders", ADDRESS["vpce-orders-a"]).outcome is Outcome.DROPPED
    assert walk("orders", ADDRESS["nlb-orders-a"], 22).outcome is Outcome.DROPPED
