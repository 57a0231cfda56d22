"""A web server and its database, each in a subnet with a network ACL of its own.

    client ── internet ── igw ─┬─ front    web    acl-front
                               ├─ data     db     acl-data
                               └─ office   desk   the default ACL, which allows everything

In this lab the security groups belong to another team: leave them as they are. Edit the network ACLs, then: testbed apply
"""

from testbed.model import *

HTTPS, SSH = 443, 22
DATABASE = 5432
ANYWHERE = "0.0.0.0/0"
EPHEMERAL = PortRange(first=1024, last=65535)


def inbound(number: int, cidr: str, ports: PortRange) -> NetworkAclEntry:
    return NetworkAclEntry(rule_number=number, direction=Direction.INBOUND, rule_action=Verdict.ALLOW, protocol=Protocol.TCP, cidr_block=cidr, port_range=ports)


def outbound(number: int, cidr: str, ports: PortRange) -> NetworkAclEntry:
    return NetworkAclEntry(rule_number=number, direction=Direction.OUTBOUND, rule_action=Verdict.ALLOW, protocol=Protocol.TCP, cidr_block=cidr, port_range=ports)


def topology() -> Topology:
    region, zone, vpc = "eu-west-1", "eu-west-1a", "vpc-shop"

    network = (
        Internet(),
        User(id="client", city="London"),
        Vpc(id=vpc, region=region, cidr_block="10.20.0.0/16"),
        InternetGateway(id="igw-shop", vpc_id=vpc),
        Subnet(id="front", vpc_id=vpc, cidr_block="10.20.1.0/24", availability_zone=zone),
        Subnet(id="data", vpc_id=vpc, cidr_block="10.20.2.0/24", availability_zone=zone),
        Subnet(id="office", vpc_id=vpc, cidr_block="10.20.3.0/24", availability_zone=zone),
        RouteTable(id="rtb-front", vpc_id=vpc, associations=("front",), routes=(Route(destination_cidr_block=ANYWHERE, gateway_id="igw-shop"),)),
        RouteTable(id="rtb-main", vpc_id=vpc, main=True),
    )

    network_acls = (
        NetworkAcl(
            id="acl-front",
            vpc_id=vpc,
            associations=("front",),
            entries=(
                inbound(100, ANYWHERE, PortRange(first=HTTPS, last=HTTPS)),
                inbound(110, "10.20.2.0/24", EPHEMERAL),
                outbound(100, ANYWHERE, EPHEMERAL),
            ),
        ),
        NetworkAcl(
            id="acl-data",
            vpc_id=vpc,
            associations=("data",),
            entries=(
                inbound(100, "10.20.1.0/24", PortRange(first=DATABASE, last=DATABASE)),
                outbound(100, "10.20.1.0/24", EPHEMERAL),
            ),
        ),
    )

    security_groups = (  # another team's
        SecurityGroup(
            id="sg-web",
            vpc_id=vpc,
            security_group_ingress=(
                SecurityGroupRule(ip_protocol="tcp", from_port=HTTPS, to_port=HTTPS, cidr_ip=ANYWHERE),
                SecurityGroupRule(ip_protocol="tcp", from_port=SSH, to_port=SSH, cidr_ip=ANYWHERE),
            ),
        ),
        SecurityGroup(id="sg-db", vpc_id=vpc, security_group_ingress=(SecurityGroupRule(ip_protocol="tcp", from_port=DATABASE, to_port=DATABASE, cidr_ip="10.20.0.0/16"),)),
        SecurityGroup(id="sg-desk", vpc_id=vpc),
    )

    hosts = (
        ElasticIp(id="eip-web", region=region, instance_id="web"),
        Instance(id="web", subnet_id="front", security_group_ids=("sg-web",)),
        Instance(id="db", subnet_id="data", security_group_ids=("sg-db",)),
        Instance(id="desk", subnet_id="office", security_group_ids=("sg-desk",)),
    )

    return Topology(name="stateful_and_stateless", resources=network + network_acls + security_groups + hosts)
