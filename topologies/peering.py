"""VPC peering, and what it is not: B and C are both peered with A, and still cannot meet.

                pcx-ab                    pcx-ac
    vpc-b ═══════════════════ vpc-a ═══════════════════ vpc-c          eu-west-1
    10.1.0.0/16            10.0.0.0/16               10.2.0.0/16
      b                a   nat-a   igw-a                c

b has routes to C's range and to the internet over pcx-ab. Both packets reach A's side of the peering, and end there: peering is not transitive, and
no gateway of A serves a peer. c has no route back to A's public subnet, yet answers the NAT gateway there: it returns to sender.

Try: ``testbed up peering``, then ``testbed explain b a --proto icmp``, ``testbed explain b c --proto icmp``, ``testbed routes subnet-b``.
"""

from testbed.mn import mininet_topos
from testbed.model import *

REGION, ZONE = "eu-west-1", "eu-west-1a"


def peering() -> Topology:
    """Three VPCs, two peerings: A-B and A-C."""
    vpc_a = (
        Vpc(id="vpc-a", region=REGION, cidr_block="10.0.0.0/16"),
        Subnet(id="subnet-a", vpc_id="vpc-a", cidr_block="10.0.1.0/24", availability_zone=ZONE),
        Subnet(id="public-a", vpc_id="vpc-a", cidr_block="10.0.0.0/24", availability_zone=ZONE),
        InternetGateway(id="igw-a", vpc_id="vpc-a"),
        ElasticIp(id="eip-a", region=REGION),
        NatGateway(id="nat-a", subnet_id="public-a", allocation_id="eip-a"),
        RouteTable(
            id="rtb-public-a",
            vpc_id="vpc-a",
            associations=("public-a",),
            routes=(Route(destination_cidr_block="0.0.0.0/0", gateway_id="igw-a"), Route(destination_cidr_block="10.2.0.0/16", vpc_peering_connection_id="pcx-ac")),
        ),
        RouteTable(
            id="rtb-a",
            vpc_id="vpc-a",
            associations=("subnet-a",),
            routes=(
                Route(destination_cidr_block="10.1.0.0/16", vpc_peering_connection_id="pcx-ab"),
                Route(destination_cidr_block="10.2.1.0/24", vpc_peering_connection_id="pcx-ac"),
                Route(destination_cidr_block="0.0.0.0/0", nat_gateway_id="nat-a"),  # … and to the rest of C through the NAT gateway
            ),
        ),
    )
    vpc_b = (
        Vpc(id="vpc-b", region=REGION, cidr_block="10.1.0.0/16"),
        Subnet(id="subnet-b", vpc_id="vpc-b", cidr_block="10.1.1.0/24", availability_zone=ZONE),
        RouteTable(
            id="rtb-b",
            vpc_id="vpc-b",
            associations=("subnet-b",),
            routes=(
                Route(destination_cidr_block="10.0.0.0/16", vpc_peering_connection_id="pcx-ab"),
                Route(destination_cidr_block="10.2.0.0/16", vpc_peering_connection_id="pcx-ab"),  # a hope: peering is not transitive
                Route(destination_cidr_block="0.0.0.0/0", vpc_peering_connection_id="pcx-ab"),  # another: no edge-to-edge routing
            ),
        ),
    )
    vpc_c = (
        Vpc(id="vpc-c", region=REGION, cidr_block="10.2.0.0/16"),
        Subnet(id="subnet-c", vpc_id="vpc-c", cidr_block="10.2.1.0/24", availability_zone=ZONE),
        Subnet(id="subnet-c-2", vpc_id="vpc-c", cidr_block="10.2.2.0/24", availability_zone=ZONE),
        RouteTable(id="rtb-c", vpc_id="vpc-c", associations=("subnet-c",), routes=(Route(destination_cidr_block="10.0.1.0/24", vpc_peering_connection_id="pcx-ac"),)),
        RouteTable(id="rtb-c-2", vpc_id="vpc-c", associations=("subnet-c-2",)),  # no way out at all
    )
    peerings = (
        VpcPeeringConnection(id="pcx-ab", vpc_id="vpc-a", peer_vpc_id="vpc-b"),
        VpcPeeringConnection(id="pcx-ac", vpc_id="vpc-a", peer_vpc_id="vpc-c"),
    )
    everything = (SecurityGroupRule(ip_protocol="-1", cidr_ip="0.0.0.0/0"),)
    groups = (
        SecurityGroup(
            id="sg-a",
            vpc_id="vpc-a",
            security_group_ingress=(  # a group of a peered VPC stands for its members' private addresses
                SecurityGroupRule(ip_protocol="tcp", from_port=80, to_port=80, security_group_id="sg-b"),
                SecurityGroupRule(ip_protocol="icmp", cidr_ip="10.0.0.0/8"),
            ),
        ),
        SecurityGroup(id="sg-b", vpc_id="vpc-b", security_group_ingress=everything),
        SecurityGroup(id="sg-b-other", vpc_id="vpc-b", security_group_ingress=everything),
        SecurityGroup(id="sg-c", vpc_id="vpc-c", security_group_ingress=everything),
    )
    hosts = (
        User(id="client", city="London"),
        Instance(id="a", subnet_id="subnet-a", security_group_ids=("sg-a",)),
        Instance(id="b", subnet_id="subnet-b", security_group_ids=("sg-b",)),
        Instance(id="b-other", subnet_id="subnet-b", security_group_ids=("sg-b-other",)),
        Instance(id="c", subnet_id="subnet-c", security_group_ids=("sg-c",)),
        Instance(id="c-2", subnet_id="subnet-c-2", security_group_ids=("sg-c",)),
    )
    return Topology(name="peering", resources=(Internet(), *vpc_a, *vpc_b, *vpc_c, *peerings, *groups, *hosts))


topos = mininet_topos(peering)
