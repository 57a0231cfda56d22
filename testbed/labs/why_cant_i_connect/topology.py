"""A small company's network: five connections that its people need.

                                ┌─ front    web       acl-front    0/0 -> igw
    client ── internet ── igw ──┼─ admin    bastion                0/0 -> igw
                                ├─ egress   nat                    0/0 -> igw
                                ├─ private  app, jobs              0/0 -> nat
                                └─ data     db        acl-data

Edit, then: testbed apply
"""

from testbed.model import *

HTTPS, SSH, APPLICATION, DATABASE = 443, 22, 8080, 5432
ANYWHERE = "0.0.0.0/0"
EPHEMERAL = PortRange(first=1024, last=65535)


def port(number: int) -> PortRange:
    return PortRange(first=number, last=number)


def entry(number: int, direction: Direction, action: Verdict, cidr: str, ports: PortRange) -> NetworkAclEntry:
    return NetworkAclEntry(rule_number=number, direction=direction, rule_action=action, protocol=Protocol.TCP, cidr_block=cidr, port_range=ports)


def from_group(number: int, group: str) -> SecurityGroupRule:
    return SecurityGroupRule(ip_protocol="tcp", from_port=number, to_port=number, security_group_id=group)


def from_anywhere(number: int) -> SecurityGroupRule:
    return SecurityGroupRule(ip_protocol="tcp", from_port=number, to_port=number, cidr_ip=ANYWHERE)


def topology() -> Topology:
    region, zone, vpc = "eu-west-1", "eu-west-1a", "vpc-work"

    def subnet(name: str, number: int) -> Subnet:
        return Subnet(id=name, vpc_id=vpc, cidr_block=f"10.20.{number}.0/24", availability_zone=zone)

    network = (
        Internet(),
        User(id="client", city="London"),
        Vpc(id=vpc, region=region, cidr_block="10.20.0.0/16"),
        InternetGateway(id="igw-work", vpc_id=vpc),
        subnet("front", 1),
        subnet("admin", 2),
        subnet("egress", 3),
        subnet("private", 10),
        subnet("data", 20),
        ElasticIp(id="eip-nat", region=region),
        NatGateway(id="nat-work", subnet_id="egress", allocation_id="eip-nat"),
    )

    route_tables = (
        RouteTable(id="rtb-front", vpc_id=vpc, associations=("front", "egress"), routes=(Route(destination_cidr_block=ANYWHERE, gateway_id="igw-work"),)),
        RouteTable(id="rtb-admin", vpc_id=vpc, associations=("admin",), routes=(Route(destination_cidr_block=ANYWHERE, gateway_id="igw-work"),)),
        RouteTable(id="rtb-private", vpc_id=vpc, associations=("private",), routes=(Route(destination_cidr_block=ANYWHERE, nat_gateway_id="nat-work"),)),
        RouteTable(id="rtb-main", vpc_id=vpc, main=True),
    )

    network_acls = (
        NetworkAcl(
            id="acl-front",
            vpc_id=vpc,
            associations=("front",),
            entries=(
                entry(100, Direction.INBOUND, Verdict.ALLOW, ANYWHERE, port(HTTPS)),
                entry(110, Direction.INBOUND, Verdict.ALLOW, "10.20.0.0/16", EPHEMERAL),
                entry(100, Direction.OUTBOUND, Verdict.ALLOW, ANYWHERE, EPHEMERAL),
            ),
        ),
        NetworkAcl(
            id="acl-data",
            vpc_id=vpc,
            associations=("data",),
            entries=(
                entry(100, Direction.INBOUND, Verdict.ALLOW, "10.20.10.0/24", port(DATABASE)),
                entry(100, Direction.OUTBOUND, Verdict.ALLOW, "10.20.10.0/24", EPHEMERAL),
            ),
        ),
    )

    security_groups = (
        SecurityGroup(id="sg-web", vpc_id=vpc, security_group_ingress=(from_anywhere(HTTPS),)),
        SecurityGroup(id="sg-bastion", vpc_id=vpc, security_group_ingress=(from_anywhere(SSH),)),
        SecurityGroup(id="sg-app", vpc_id=vpc, security_group_ingress=(from_group(APPLICATION, "sg-web"),)),
        SecurityGroup(id="sg-db", vpc_id=vpc, security_group_ingress=(from_group(DATABASE, "sg-app"),)),
        SecurityGroup(id="sg-jobs", vpc_id=vpc),
    )

    hosts = (
        Instance(id="web", subnet_id="front", security_group_ids=("sg-web",), associate_public_ip_address=True),
        Instance(id="bastion", subnet_id="admin", security_group_ids=("sg-bastion",), associate_public_ip_address=True),
        Instance(id="app", subnet_id="private", security_group_ids=("sg-app",)),
        Instance(id="jobs", subnet_id="private", security_group_ids=("sg-jobs",)),
        Instance(id="db", subnet_id="data", security_group_ids=("sg-db",)),
    )

    return Topology(name="why_cant_i_connect", resources=network + route_tables + network_acls + security_groups + hosts)
