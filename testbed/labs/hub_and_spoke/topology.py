"""Two departments and what they share, each in a VPC of its own, joined by a transit gateway.

    vpc-orders    till (zone a), stock (zone b) ── attach-orders ───┐
                                                                   tgw-hub ── attach-shared ── vpc-shared    tools (zone a), files (zone b)
    vpc-payroll   hr (zone a) ───────────────── attach-payroll ────┘

In this lab the security groups belong to another team: leave them as they are. Edit routes, route tables and attachments, then: testbed apply
"""

from testbed.model import *

REGION, ZONE_A, ZONE_B = "eu-west-1", "eu-west-1a", "eu-west-1b"
PRIVATE = "10.0.0.0/8"
HTTPS = 443


def department(name: str, prefix: str, *routes: Route) -> tuple[Resource, ...]:
    """A VPC with a subnet for hosts and a small one for the transit gateway in each of two zones."""
    vpc = f"vpc-{name}"
    return (
        Vpc(id=vpc, region=REGION, cidr_block=f"{prefix}0.0/16"),
        Subnet(id=f"{name}-a", vpc_id=vpc, cidr_block=f"{prefix}1.0/24", availability_zone=ZONE_A),
        Subnet(id=f"{name}-b", vpc_id=vpc, cidr_block=f"{prefix}2.0/24", availability_zone=ZONE_B),
        Subnet(id=f"{name}-tgw-a", vpc_id=vpc, cidr_block=f"{prefix}255.0/28", availability_zone=ZONE_A),
        Subnet(id=f"{name}-tgw-b", vpc_id=vpc, cidr_block=f"{prefix}255.16/28", availability_zone=ZONE_B),
        RouteTable(id=f"rtb-{name}", vpc_id=vpc, associations=(f"{name}-a", f"{name}-b"), routes=routes),
    )


def topology() -> Topology:
    vpcs = (
        *department("orders", "10.31.", Route(destination_cidr_block=PRIVATE, transit_gateway_id="tgw-hub")),
        *department(
            "payroll",
            "10.42.",
            Route(destination_cidr_block=PRIVATE, transit_gateway_id="tgw-hub"),
        ),
        *department("shared", "10.20.", Route(destination_cidr_block="10.0.0.0/8", transit_gateway_id="tgw-hub")),
    )

    hub = (
        TransitGateway(id="tgw-hub", region=REGION, default_route_table_association=False, default_route_table_propagation=False),
        TransitGatewayVpcAttachment(id="attach-orders", transit_gateway_id="tgw-hub", vpc_id="vpc-orders", subnet_ids=("orders-tgw-a", "orders-tgw-b")),
        TransitGatewayVpcAttachment(id="attach-payroll", transit_gateway_id="tgw-hub", vpc_id="vpc-payroll", subnet_ids=("payroll-tgw-a", "payroll-tgw-b")),
        TransitGatewayVpcAttachment(id="attach-shared", transit_gateway_id="tgw-hub", vpc_id="vpc-shared", subnet_ids=("shared-tgw-a", "shared-tgw-b")),
        TransitGatewayRouteTable(
            id="tgw-rtb-departments",
            transit_gateway_id="tgw-hub",
            associations=("attach-orders", "attach-payroll"),
            propagations=("attach-shared",),
            routes=(),
        ),
        TransitGatewayRouteTable(
            id="tgw-rtb-shared",
            transit_gateway_id="tgw-hub",
            associations=("attach-shared",),
            propagations=("attach-orders", "attach-payroll"),
        ),
    )

    security_groups = (  # another team's
        SecurityGroup(id="sg-orders", vpc_id="vpc-orders", security_group_ingress=(SecurityGroupRule(ip_protocol="-1", cidr_ip=PRIVATE),)),
        SecurityGroup(id="sg-payroll", vpc_id="vpc-payroll", security_group_ingress=(SecurityGroupRule(ip_protocol="-1", cidr_ip=PRIVATE),)),
        SecurityGroup(
            id="sg-shared",
            vpc_id="vpc-shared",
            security_group_ingress=(
                SecurityGroupRule(ip_protocol="tcp", from_port=HTTPS, to_port=HTTPS, cidr_ip=PRIVATE),
                SecurityGroupRule(ip_protocol="icmp", cidr_ip=PRIVATE),
            ),
        ),
    )

    hosts = (
        Instance(id="till", subnet_id="orders-a", security_group_ids=("sg-orders",)),
        Instance(id="stock", subnet_id="orders-b", security_group_ids=("sg-orders",)),
        Instance(id="hr", subnet_id="payroll-a", security_group_ids=("sg-payroll",)),
        Instance(id="tools", subnet_id="shared-a", security_group_ids=("sg-shared",)),
        Instance(id="files", subnet_id="shared-b", security_group_ids=("sg-shared",)),
    )

    return Topology(name="hub_and_spoke", resources=vpcs + hub + security_groups + hosts)
