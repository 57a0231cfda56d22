"""Hub and spoke: two spokes that never meet, what they share, and one way out to the internet for all.

       vpc-spoke-a  10.1.0.0/16 ─── attach-a ──┐                            ┌── attach-shared ─── 10.0.0.0/16  vpc-shared        eu-central-1
         web-a (zone a, b)                     │         tgw-hub            │                       tools (zone a)   files (zone b)
       vpc-spoke-b  10.2.0.0/16 ─── attach-b ──┤                            └── attach-egress ─── 10.9.0.0/16  vpc-egress
         web-b (zone a)  db-b (zone b)         │                                                    nat ─ igw ─ internet
                                               │
       tgw-rtb-spokes   associated: the spokes          10.0.0.0/16 → attach-shared (propagated)   0.0.0.0/0 → attach-egress   10.0.0.0/8 → blackhole
       tgw-rtb-hub      associated: shared and egress   10.0.0.0/16, 10.1.0.0/16, 10.2.0.0/16 (all propagated)

A table is chosen by the attachment by which a packet arrives. The spokes' table knows the shared VPC and the way out, and no other spoke. Without its blackhole a packet from one spoke to the
other would follow 0.0.0.0/0 to the egress VPC, whose NAT gateway's subnet knows the way to every spoke: isolated tables, and still a way around.

web-a2 stands in zone c, where vpc-spoke-a's attachment has no subnet: its packets die, though its route table leads to tgw-hub.

Try: ``testbed up tgw_hub``, then ``testbed routes tgw-hub``, ``testbed explain web-a tools --port 80``, ``testbed explain web-a web-b --proto icmp``, ``testbed explain web-a2 tools --proto icmp``.
"""

from testbed.mn import mininet_topos
from testbed.model import *

REGION = "eu-central-1"


def tgw_hub() -> Topology:
    """A transit gateway with two isolated spokes, a shared VPC and a VPC for egress."""
    tgw = (
        TransitGateway(id="tgw-hub", region=REGION, default_route_table_association=False, default_route_table_propagation=False, security_group_referencing_support=True),
        TransitGatewayRouteTable(
            id="tgw-rtb-spokes",
            transit_gateway_id="tgw-hub",
            associations=("attach-a", "attach-b"),
            propagations=("attach-shared",),
            routes=(
                TransitGatewayRoute(destination_cidr_block="0.0.0.0/0", attachment_id="attach-egress"),
                TransitGatewayRoute(destination_cidr_block="10.0.0.0/8", blackhole=True),
            ),
        ),
        TransitGatewayRouteTable(
            id="tgw-rtb-hub",
            transit_gateway_id="tgw-hub",
            associations=("attach-shared", "attach-egress"),
            propagations=("attach-a", "attach-b", "attach-shared"),
        ),
        TransitGatewayVpcAttachment(id="attach-a", transit_gateway_id="tgw-hub", vpc_id="vpc-spoke-a", subnet_ids=("a-tgw-a", "a-tgw-b")),
        TransitGatewayVpcAttachment(id="attach-b", transit_gateway_id="tgw-hub", vpc_id="vpc-spoke-b", subnet_ids=("b-tgw-a", "b-tgw-b")),
        TransitGatewayVpcAttachment(id="attach-shared", transit_gateway_id="tgw-hub", vpc_id="vpc-shared", subnet_ids=("shared-tgw-a", "shared-tgw-b")),
        TransitGatewayVpcAttachment(id="attach-egress", transit_gateway_id="tgw-hub", vpc_id="vpc-egress", subnet_ids=("egress-tgw-a",)),
    )
    to_tgw = Route(destination_cidr_block="0.0.0.0/0", transit_gateway_id="tgw-hub")
    spoke_a = (
        Vpc(id="vpc-spoke-a", region=REGION, cidr_block="10.1.0.0/16"),
        Subnet(id="a-private-a", vpc_id="vpc-spoke-a", cidr_block="10.1.1.0/24", availability_zone=f"{REGION}a"),
        Subnet(id="a-private-b", vpc_id="vpc-spoke-a", cidr_block="10.1.2.0/24", availability_zone=f"{REGION}b"),
        Subnet(id="a-private-c", vpc_id="vpc-spoke-a", cidr_block="10.1.3.0/24", availability_zone=f"{REGION}c"),
        Subnet(id="a-tgw-a", vpc_id="vpc-spoke-a", cidr_block="10.1.255.0/28", availability_zone=f"{REGION}a"),
        Subnet(id="a-tgw-b", vpc_id="vpc-spoke-a", cidr_block="10.1.255.16/28", availability_zone=f"{REGION}b"),
        RouteTable(id="rtb-a", vpc_id="vpc-spoke-a", associations=("a-private-a", "a-private-b", "a-private-c"), routes=(to_tgw,)),
        SecurityGroup(id="sg-a", vpc_id="vpc-spoke-a", security_group_ingress=(SecurityGroupRule(ip_protocol="icmp", cidr_ip="10.0.0.0/8"),)),
        Instance(id="web-a", subnet_id="a-private-a", security_group_ids=("sg-a",)),
        Instance(id="web-a1", subnet_id="a-private-b", security_group_ids=("sg-a",)),
        Instance(id="web-a2", subnet_id="a-private-c", security_group_ids=("sg-a",)),
    )
    spoke_b = (
        Vpc(id="vpc-spoke-b", region=REGION, cidr_block="10.2.0.0/16"),
        Subnet(id="b-private-a", vpc_id="vpc-spoke-b", cidr_block="10.2.1.0/24", availability_zone=f"{REGION}a"),
        Subnet(id="b-private-b", vpc_id="vpc-spoke-b", cidr_block="10.2.2.0/24", availability_zone=f"{REGION}b"),
        Subnet(id="b-tgw-a", vpc_id="vpc-spoke-b", cidr_block="10.2.255.0/28", availability_zone=f"{REGION}a"),
        Subnet(id="b-tgw-b", vpc_id="vpc-spoke-b", cidr_block="10.2.255.16/28", availability_zone=f"{REGION}b"),
        RouteTable(id="rtb-b", vpc_id="vpc-spoke-b", associations=("b-private-a", "b-private-b"), routes=(to_tgw,)),
        SecurityGroup(id="sg-b", vpc_id="vpc-spoke-b", security_group_ingress=(SecurityGroupRule(ip_protocol="icmp", cidr_ip="10.0.0.0/8"),)),
        Instance(id="web-b", subnet_id="b-private-a", security_group_ids=("sg-b",)),
        Instance(id="db-b", subnet_id="b-private-b", security_group_ids=("sg-b",)),
    )
    shared = (
        Vpc(id="vpc-shared", region=REGION, cidr_block="10.0.0.0/16"),
        Subnet(id="shared-a", vpc_id="vpc-shared", cidr_block="10.0.1.0/24", availability_zone=f"{REGION}a"),
        Subnet(id="shared-b", vpc_id="vpc-shared", cidr_block="10.0.2.0/24", availability_zone=f"{REGION}b"),
        Subnet(id="shared-tgw-a", vpc_id="vpc-shared", cidr_block="10.0.255.0/28", availability_zone=f"{REGION}a"),
        Subnet(id="shared-tgw-b", vpc_id="vpc-shared", cidr_block="10.0.255.16/28", availability_zone=f"{REGION}b"),
        RouteTable(id="rtb-shared", vpc_id="vpc-shared", associations=("shared-a", "shared-b"), routes=(Route(destination_cidr_block="10.0.0.0/8", transit_gateway_id="tgw-hub"),)),
        SecurityGroup(
            id="sg-shared",
            vpc_id="vpc-shared",
            security_group_ingress=(
                SecurityGroupRule(ip_protocol="tcp", from_port=80, to_port=80, security_group_id="sg-a"),  # a group beyond the transit gateway: inbound rules may
                SecurityGroupRule(ip_protocol="icmp", cidr_ip="10.0.0.0/8"),
            ),
        ),
        Instance(id="tools", subnet_id="shared-a", security_group_ids=("sg-shared",)),
        Instance(id="files", subnet_id="shared-b", security_group_ids=("sg-shared",)),
    )
    egress = (
        Vpc(id="vpc-egress", region=REGION, cidr_block="10.9.0.0/16"),
        Subnet(id="egress-public-a", vpc_id="vpc-egress", cidr_block="10.9.0.0/24", availability_zone=f"{REGION}a"),
        Subnet(id="egress-tgw-a", vpc_id="vpc-egress", cidr_block="10.9.255.0/28", availability_zone=f"{REGION}a"),
        InternetGateway(id="igw", vpc_id="vpc-egress"),
        ElasticIp(id="eip", region=REGION),
        NatGateway(id="nat", subnet_id="egress-public-a", allocation_id="eip"),
        RouteTable(id="rtb-egress-tgw", vpc_id="vpc-egress", associations=("egress-tgw-a",), routes=(Route(destination_cidr_block="0.0.0.0/0", nat_gateway_id="nat"),)),
        RouteTable(
            id="rtb-egress-public",
            vpc_id="vpc-egress",
            associations=("egress-public-a",),
            routes=(Route(destination_cidr_block="0.0.0.0/0", gateway_id="igw"), Route(destination_cidr_block="10.0.0.0/8", transit_gateway_id="tgw-hub")),
        ),
    )
    outside = (Internet(), User(id="server", city="Frankfurt"))
    return Topology(name="tgw_hub", resources=(*tgw, *spoke_a, *spoke_b, *shared, *egress, *outside))


topos = mininet_topos(tgw_hub)
