"""A VPC for experiments with single packets: three subnets, no daemons but what the scenario adds.

    web-1 (subnet-web, sg-web) ─▶ app-1, app-2 (subnet-app, sg-app) ;  out-1 (subnet-public, public address, sg-out) ;  bare-1 (subnet-public, none)
    client (Paris) on the internet; nat-1 serves subnet-web
"""

from __future__ import annotations

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

REGION = "eu-west-1"
VPC = "vpc-s"


def small_vpc(*more: Resource, name: str = "small", time_scale: float = 1.0) -> Topology:
    """The VPC, with more resources."""
    anywhere = SecurityGroupRule(ip_protocol="-1", cidr_ip="0.0.0.0/0")
    return Topology(
        name=name,
        time_scale=time_scale,
        resources=(
            Internet(),
            User(id="client", city="Paris"),
            Vpc(id=VPC, region=REGION, cidr_block="10.9.0.0/16"),
            InternetGateway(id="igw-s", vpc_id=VPC),
            Subnet(id="subnet-web", vpc_id=VPC, cidr_block="10.9.1.0/24", availability_zone=f"{REGION}a"),
            Subnet(id="subnet-app", vpc_id=VPC, cidr_block="10.9.2.0/24", availability_zone=f"{REGION}b"),
            Subnet(id="subnet-public", vpc_id=VPC, cidr_block="10.9.3.0/24", availability_zone=f"{REGION}a"),
            ElasticIp(id="eip-nat", region=REGION),
            ElasticIp(id="eip-out", region=REGION, instance_id="out-1"),
            NatGateway(id="nat-1", subnet_id="subnet-public", allocation_id="eip-nat"),
            RouteTable(id="rtb-web", vpc_id=VPC, associations=("subnet-web",), routes=(Route(destination_cidr_block="0.0.0.0/0", nat_gateway_id="nat-1"),)),
            RouteTable(id="rtb-app", vpc_id=VPC, associations=("subnet-app",)),
            RouteTable(id="rtb-public", vpc_id=VPC, associations=("subnet-public",), routes=(Route(destination_cidr_block="0.0.0.0/0", gateway_id="igw-s"),)),
            SecurityGroup(id="sg-web", vpc_id=VPC),
            SecurityGroup(
                id="sg-app", vpc_id=VPC,
                security_group_ingress=(
                    SecurityGroupRule(ip_protocol="tcp", from_port=443, to_port=443, cidr_ip="192.0.2.0/24"),
                    SecurityGroupRule(ip_protocol="icmp", from_port=-1, to_port=-1, cidr_ip="0.0.0.0/0"),
                    SecurityGroupRule(ip_protocol="tcp", from_port=80, to_port=81, security_group_id="sg-web"),
                ),
            ),
            SecurityGroup(id="sg-out", vpc_id=VPC, security_group_ingress=(anywhere,)),
            # in: everything; out: everything but the ephemeral ports of replies from port 81, and no ICMP at all
            NetworkAcl(
                id="acl-app", vpc_id=VPC, associations=("subnet-app",),
                entries=(
                    NetworkAclEntry(rule_number=100, direction=Direction.INBOUND, rule_action=Verdict.ALLOW, cidr_block="0.0.0.0/0"),
                    NetworkAclEntry(rule_number=100, direction=Direction.OUTBOUND, rule_action=Verdict.ALLOW, protocol=Protocol.TCP, cidr_block="10.9.1.0/24", port_range=PortRange(first=80, last=80)),
                ),
            ),
            Instance(id="web-1", subnet_id="subnet-web", security_group_ids=("sg-web",)),
            Instance(id="app-1", subnet_id="subnet-app", security_group_ids=("sg-app",)),
            Instance(id="app-2", subnet_id="subnet-app", security_group_ids=("sg-app",)),
            Instance(id="out-1", subnet_id="subnet-public", security_group_ids=("sg-out",)),
            Instance(id="bare-1", subnet_id="subnet-public", security_group_ids=("sg-out",)),
            *more,
        ),
    )
