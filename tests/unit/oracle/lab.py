"""One VPC with two subnets, a gateway and a NAT gateway, open where a test does not close it; and probes in few words."""

from __future__ import annotations

from ipaddress import IPv4Address

from testbed.model import (
    Direction,
    ElasticIp,
    Instance,
    Internet,
    InternetGateway,
    NatGateway,
    NetworkAcl,
    NetworkAclEntry,
    PortRange,
    Protocol,
    Resource,
    Route,
    RouteTable,
    SecurityGroup,
    SecurityGroupRule,
    Subnet,
    Topology,
    User,
    Verdict,
    Vpc,
)
from testbed.oracle import Oracle, Probe, Walk
from testbed.resolve import Resolved, resolve
from tests import addresses

OPEN = SecurityGroupRule(ip_protocol="-1", cidr_ip="0.0.0.0/0")
USER = "198.18.14.10"
"""The first user of Paris."""

LAB: tuple[Resource, ...] = (
    Internet(),
    User(id="user", city="Paris"),
    Vpc(id="vpc", region="eu-west-1", cidr_block="10.0.0.0/16"),
    Subnet(id="public", vpc_id="vpc", cidr_block="10.0.0.0/24", availability_zone="eu-west-1a"),
    Subnet(id="private", vpc_id="vpc", cidr_block="10.0.1.0/24", availability_zone="eu-west-1a"),
    InternetGateway(id="igw", vpc_id="vpc"),
    ElasticIp(id="eip-nat", region="eu-west-1"),
    NatGateway(id="nat", subnet_id="public", allocation_id="eip-nat", private_ip_address="10.0.0.200"),
    RouteTable(id="rtb-public", vpc_id="vpc", associations=("public",), routes=(Route(destination_cidr_block="0.0.0.0/0", gateway_id="igw"),)),
    RouteTable(id="rtb-private", vpc_id="vpc", associations=("private",), routes=(Route(destination_cidr_block="0.0.0.0/0", nat_gateway_id="nat"),)),
    SecurityGroup(id="sg-open", vpc_id="vpc", security_group_ingress=(OPEN,)),
    Instance(id="front", subnet_id="public", private_ip_address="10.0.0.10", security_group_ids=("sg-open",), associate_public_ip_address=True),
    Instance(id="plain", subnet_id="public", private_ip_address="10.0.0.11", security_group_ids=("sg-open",)),
    Instance(id="back", subnet_id="private", private_ip_address="10.0.1.10", security_group_ids=("sg-open",)),
)
FRONT, PLAIN, BACK = "10.0.0.10", "10.0.0.11", "10.0.1.10"


def resolved(*changed: Resource, without: tuple[str, ...] = ()) -> Resolved:
    """LAB with some resources put in place of those with their ids, or added."""
    ids = {resource.id for resource in changed} | set(without)
    return resolve(Topology(name="lab", resources=(*(resource for resource in LAB if resource.id not in ids), *changed)))


def lab(*changed: Resource, without: tuple[str, ...] = ()) -> Oracle:
    """The oracle of LAB so changed."""
    return Oracle(resolved(*changed, without=without))


NAT_PUBLIC, FRONT_PUBLIC = addresses.public(resolved(), "nat"), addresses.public(resolved(), "front")
"""The same in every change of LAB: an address stays when others come and go."""


def tcp(oracle: Oracle, source: str, destination: str, port: int = 80) -> Walk:
    return oracle.walk(Probe(source=source, destination=IPv4Address(destination), protocol=Protocol.TCP, destination_port=port, source_port=50000))


def udp(oracle: Oracle, source: str, destination: str, port: int = 53) -> Walk:
    return oracle.walk(Probe(source=source, destination=IPv4Address(destination), protocol=Protocol.UDP, destination_port=port, source_port=50000))


def ping(oracle: Oracle, source: str, destination: str) -> Walk:
    return oracle.walk(Probe(source=source, destination=IPv4Address(destination), protocol=Protocol.ICMP))


def verdict(walk: Walk) -> tuple[str, str, str]:
    """Outcome, leg and origin of a walk."""
    return walk.outcome.value, walk.leg.value, walk.origin


def origins(walk: Walk) -> list[str]:
    """The reasons along the request."""
    return [hop.origin for hop in walk.request.hops]


def allow(number: int, direction: Direction, first: int, last: int, protocol: Protocol = Protocol.TCP) -> NetworkAclEntry:
    """An ACL entry that opens ports to everybody."""
    return NetworkAclEntry(rule_number=number, direction=direction, rule_action=Verdict.ALLOW, cidr_block="0.0.0.0/0", protocol=protocol, port_range=PortRange(first=first, last=last))


def acl(subnet: str, *entries: NetworkAclEntry) -> NetworkAcl:
    return NetworkAcl(id="acl", vpc_id="vpc", associations=(subnet,), entries=entries)
