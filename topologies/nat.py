"""How private hosts reach out: a NAT gateway, a private one, and the ways in which neither is what people think.

    server (London)                       ┌─ public      web (Elastic IP), no-address   0/0 -> igw-demo
    client (Frankfurt) ── internet ── igw ┤              nat, nat-small
                                          ├─ private     app-1, app-2                   0/0 -> nat
                                          ├─ busy        crowd        (20 connections)  0/0 -> nat-small
                                          └─ isolated    hidden  (private NAT gateway)  0/0 -> nat-private ─> igw drops it

Timers run 100 times as fast: a connection is idle after 3.5 s instead of 350. `nat-small` has room for 20 connections to one destination
instead of 55,000, so that a class can see ErrorPortAllocation.

Try: ``testbed up nat``, ``testbed exec crowd -- …``, ``testbed metrics nat-small``, ``testbed capture nat -w - | tcpdump -r -``.
"""

from testbed.mn import mininet_topos
from testbed.model import *

ANYWHERE = "0.0.0.0/0"
EVERYTHING = (SecurityGroupRule(ip_protocol="-1", cidr_ip=ANYWHERE),)


def nat() -> Topology:
    """One VPC with three NAT gateways, and two people on the internet."""
    region, zone = "eu-west-1", "eu-west-1a"
    vpc = "vpc-demo"

    def subnet(name: str, number: int) -> Subnet:
        return Subnet(id=name, vpc_id=vpc, cidr_block=f"10.0.{number}.0/24", availability_zone=zone)

    def table(name: str, **target: str) -> RouteTable:
        return RouteTable(id=f"rtb-{name}", vpc_id=vpc, associations=(name,), routes=(Route(destination_cidr_block=ANYWHERE, **target),))

    def host(name: str, home: str) -> Instance:
        return Instance(id=name, subnet_id=home, security_group_ids=("sg-open",))

    network = (
        Internet(),
        User(id="server", city="London"),
        User(id="client", city="Frankfurt"),
        Vpc(id=vpc, region=region, cidr_block="10.0.0.0/16"),
        InternetGateway(id="igw-demo", vpc_id=vpc),
        subnet("public", 0),
        subnet("private", 1),
        subnet("busy", 2),
        subnet("isolated", 3),
        table("public", gateway_id="igw-demo"),
        table("private", nat_gateway_id="nat-demo"),
        table("busy", nat_gateway_id="nat-small"),
        table("isolated", nat_gateway_id="nat-private"),
    )

    gateways = (
        ElasticIp(id="eip-nat", region=region),
        ElasticIp(id="eip-small", region=region),
        NatGateway(id="nat-demo", subnet_id="public", allocation_id="eip-nat"),
        NatGateway(id="nat-small", subnet_id="public", allocation_id="eip-small", connections_per_destination=20),
        NatGateway(id="nat-private", subnet_id="public", connectivity_type="private"),
    )

    hosts = (
        SecurityGroup(id="sg-open", vpc_id=vpc, security_group_ingress=EVERYTHING),
        ElasticIp(id="eip-web", region=region, instance_id="web"),
        host("web", "public"),
        host("no-address", "public"),
        host("app-1", "private"),
        host("app-2", "private"),
        host("crowd", "busy"),
        host("hidden", "isolated"),
    )

    return Topology(name="nat", time_scale=100.0, resources=network + gateways + hosts)


topos = mininet_topos(nat)
