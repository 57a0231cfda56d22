"""Stateful and stateless: what a security group remembers, what a network ACL never does, and what neither of them filters.

    client (London) ── internet ── igw ─┬─ public   bastion, web, neighbour       acl: everything
                                        └─ private  app                           acl-private

    sg-web    in   tcp 80 from 0.0.0.0/0          not tracked: removing the rule cuts at once
                   tcp 22 from the bastion        tracked: removing the rule leaves sessions alone
                   udp 5000 from the bastion      tracked, though nobody answers
    sg-app    in   tcp 8080, udp 8080, ping from members of sg-web

Timers run 60 times as fast: an interface forgets an idle UDP flow after half a second instead of 30 (the kernel counts whole ones),
an idle TCP connection after 6 s instead of 350; the bastion's own interface after one second.

Try: ``testbed up sg_vs_nacl``, ``testbed exec bastion -- ssh web``, take a rule out of this file, ``testbed apply sg_vs_nacl``.
"""

from testbed.mn import mininet_topos
from testbed.model import *

ANYWHERE = "0.0.0.0/0"
BASTION, WEB, NEIGHBOUR, APP = "10.0.0.10", "10.0.0.20", "10.0.0.30", "10.0.1.40"
SSH, HTTP, SYSLOG, SERVICE = 22, 80, 5000, 8080


def sg_vs_nacl() -> Topology:
    """One VPC with two subnets, four hosts, and somebody on the internet."""
    region, vpc = "eu-west-1", "vpc-lab"

    def rule(protocol: str, port: int | None, **far_side: str) -> SecurityGroupRule:
        return SecurityGroupRule(ip_protocol=protocol, from_port=port, to_port=port, **far_side)

    def entry(number: int, direction: Direction, cidr_block: str, **what: object) -> NetworkAclEntry:
        return NetworkAclEntry(rule_number=number, direction=direction, rule_action=Verdict.ALLOW, cidr_block=cidr_block, **what)

    network = (
        Internet(),
        User(id="client", city="London"),
        Vpc(id=vpc, region=region, cidr_block="10.0.0.0/16"),
        InternetGateway(id="igw-lab", vpc_id=vpc),
        Subnet(id="public", vpc_id=vpc, cidr_block="10.0.0.0/24", availability_zone="eu-west-1a"),
        Subnet(id="private", vpc_id=vpc, cidr_block="10.0.1.0/24", availability_zone="eu-west-1a"),
        RouteTable(id="rtb-public", vpc_id=vpc, associations=("public",), routes=(Route(destination_cidr_block=ANYWHERE, gateway_id="igw-lab"),)),
        NetworkAcl(
            id="acl-private",
            vpc_id=vpc,
            associations=("private",),
            entries=tuple(entry(100, direction, "10.0.0.0/16") for direction in Direction),
        ),
    )

    groups = (
        SecurityGroup(id="sg-bastion", vpc_id=vpc, security_group_ingress=()),
        SecurityGroup(
            id="sg-web",
            vpc_id=vpc,
            security_group_ingress=(
                rule("tcp", HTTP, cidr_ip=ANYWHERE),
                rule("tcp", SSH, cidr_ip=f"{BASTION}/32"),
                rule("udp", SYSLOG, cidr_ip=f"{BASTION}/32"),
                rule("icmp", -1, cidr_ip="10.0.0.0/16"),
            ),
        ),
        SecurityGroup(id="sg-neighbour", vpc_id=vpc, security_group_ingress=()),
        SecurityGroup(
            id="sg-app",
            vpc_id=vpc,
            security_group_ingress=(
                rule("tcp", SERVICE, security_group_id="sg-web"),
                rule("udp", SERVICE, security_group_id="sg-web"),
                rule("icmp", -1, security_group_id="sg-web"),
            ),
        ),
    )

    hosts = (
        Instance(
            id="bastion",
            subnet_id="public",
            private_ip_address=BASTION,
            security_group_ids=("sg-bastion",),
            connection_tracking_specification=ConnectionTrackingSpecification(tcp_established_timeout_s=60),
        ),
        Instance(id="web", subnet_id="public", private_ip_address=WEB, security_group_ids=("sg-web",), associate_public_ip_address=True),
        Instance(id="neighbour", subnet_id="public", private_ip_address=NEIGHBOUR, security_group_ids=("sg-neighbour",)),
        Instance(id="app", subnet_id="private", private_ip_address=APP, security_group_ids=("sg-app",)),
    )

    return Topology(name="sg-vs-nacl", time_scale=60.0, resources=network + groups + hosts)


topos = mininet_topos(sg_vs_nacl)
