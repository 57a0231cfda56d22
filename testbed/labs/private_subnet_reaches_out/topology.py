"""Two private subnets that fetch from the internet, and one that must not.

                                ┌─ public-a   nat-a         0/0 -> igw
                                ├─ public-b   nat-b         0/0 -> igw
    mirror ── internet ── igw ──┼─ private-a  app-a         0/0 -> nat-a
                                ├─ private-b  app-b         0/0 -> nat-b
                                └─ data       records       stays inside

The security groups are open on purpose: in this lab only routing decides. Edit, then: testbed apply
"""

from testbed.model import *

ANYWHERE = "0.0.0.0/0"


def topology() -> Topology:
    region, zone_a, zone_b, vpc = "eu-west-1", "eu-west-1a", "eu-west-1b", "vpc-lab"

    network = (
        Internet(),
        User(id="mirror", city="London"),
        Vpc(id=vpc, region=region, cidr_block="10.20.0.0/16"),
        InternetGateway(id="igw-lab", vpc_id=vpc),
        Subnet(id="public-a", vpc_id=vpc, cidr_block="10.20.0.0/24", availability_zone=zone_a),
        Subnet(id="public-b", vpc_id=vpc, cidr_block="10.20.1.0/24", availability_zone=zone_b),
        Subnet(id="private-a", vpc_id=vpc, cidr_block="10.20.10.0/24", availability_zone=zone_a),
        Subnet(id="private-b", vpc_id=vpc, cidr_block="10.20.11.0/24", availability_zone=zone_b),
        Subnet(id="data", vpc_id=vpc, cidr_block="10.20.20.0/24", availability_zone=zone_a),
    )

    nat_gateways = (
        ElasticIp(id="eip-nat-a", region=region),
        ElasticIp(id="eip-nat-b", region=region),
        NatGateway(id="nat-a", subnet_id="public-a", allocation_id="eip-nat-a"),
        NatGateway(id="nat-b", subnet_id="public-b", allocation_id="eip-nat-b"),
    )

    route_tables = (
        RouteTable(id="rtb-public", vpc_id=vpc, associations=("public-a", "public-b"), routes=(Route(destination_cidr_block=ANYWHERE, gateway_id="igw-lab"),)),
        RouteTable(id="rtb-private-a", vpc_id=vpc, associations=("private-a",), routes=(Route(destination_cidr_block=ANYWHERE, nat_gateway_id="nat-a"),)),
        RouteTable(id="rtb-private-b", vpc_id=vpc, associations=("private-b",), routes=(Route(destination_cidr_block=ANYWHERE, nat_gateway_id="nat-b"),)),
        RouteTable(id="rtb-data", vpc_id=vpc, associations=("data",), routes=()),
        RouteTable(id="rtb-main", vpc_id=vpc, main=True),
    )

    hosts = (
        SecurityGroup(id="sg-open", vpc_id=vpc, security_group_ingress=(SecurityGroupRule(ip_protocol="-1", cidr_ip=ANYWHERE),)),
        Instance(id="app-a", subnet_id="private-a", security_group_ids=("sg-open",)),
        Instance(id="app-b", subnet_id="private-b", security_group_ids=("sg-open",)),
        Instance(id="records", subnet_id="data", security_group_ids=("sg-open",)),
    )

    return Topology(name="private_subnet_reaches_out", resources=network + nat_gateways + route_tables + hosts)
