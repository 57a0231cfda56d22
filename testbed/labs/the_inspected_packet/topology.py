"""An application whose every packet is to pass an appliance in the security team's VPC, on its way in and on its way out.

    client ── internet ── igw-app ─┬─ vpce-app  (subnet inspect)                              vpc-app
                                   └─ web       (subnet app)
                                        ║ endpoint service inspection
                                     gwlb ── GENEVE, UDP 6081 ── fw                            vpc-security

Edit routes, groups and the appliance's program, then: testbed apply
"""

from testbed.model import *

REGION, ZONE = "eu-west-1", "eu-west-1a"
ANYWHERE = "0.0.0.0/0"
WEB, LOG, GENEVE, HEALTH = 80, 9000, 6081, 80


def topology() -> Topology:
    application = (
        Internet(),
        User(id="client", city="London"),
        Vpc(id="vpc-app", region=REGION, cidr_block="10.20.0.0/16"),
        InternetGateway(id="igw-app", vpc_id="vpc-app"),
        Subnet(id="app", vpc_id="vpc-app", cidr_block="10.20.1.0/24", availability_zone=ZONE),
        Subnet(id="inspect", vpc_id="vpc-app", cidr_block="10.20.101.0/24", availability_zone=ZONE),
        RouteTable(
            id="rtb-edge",
            vpc_id="vpc-app",
            gateway_associations=("igw-app",),
            routes=(Route(destination_cidr_block="10.20.1.0/24", vpc_endpoint_id="vpce-app"),),
        ),
        RouteTable(
            id="rtb-app",
            vpc_id="vpc-app",
            associations=("app",),
            routes=(Route(destination_cidr_block=ANYWHERE, vpc_endpoint_id="vpce-app"),),
        ),
        RouteTable(
            id="rtb-inspect",
            vpc_id="vpc-app",
            associations=("inspect",),
            routes=(Route(destination_cidr_block=ANYWHERE, gateway_id="igw-app"),),
        ),
        VpcEndpoint(id="vpce-app", vpc_id="vpc-app", vpc_endpoint_type="GatewayLoadBalancer", service_name=f"com.amazonaws.vpce.{REGION}.inspection", subnet_ids=("inspect",)),
        SecurityGroup(
            id="sg-web",
            vpc_id="vpc-app",
            security_group_ingress=(
                SecurityGroupRule(ip_protocol="tcp", from_port=WEB, to_port=WEB, cidr_ip=ANYWHERE),
                SecurityGroupRule(ip_protocol="udp", from_port=LOG, to_port=LOG, cidr_ip=ANYWHERE),
            ),
        ),
        Instance(id="web", subnet_id="app", security_group_ids=("sg-web",), associate_public_ip_address=True),
    )

    security = (
        Vpc(id="vpc-security", region=REGION, cidr_block="10.80.0.0/16"),
        Subnet(id="security", vpc_id="vpc-security", cidr_block="10.80.1.0/24", availability_zone=ZONE),
        SecurityGroup(
            id="sg-fw",
            vpc_id="vpc-security",
            security_group_ingress=(
                SecurityGroupRule(ip_protocol="udp", from_port=GENEVE, to_port=GENEVE, cidr_ip="10.80.0.0/16"),
                SecurityGroupRule(ip_protocol="tcp", from_port=HEALTH, to_port=HEALTH, cidr_ip="10.80.0.0/16"),
            ),
        ),
        Instance(id="fw", subnet_id="security", security_group_ids=("sg-fw",), user_data=GeneveAppliance(signatures=("MALLARD",))),
        LoadBalancer(id="gwlb", type="gateway", subnets=("security",)),
        TargetGroup(id="tg-fw", vpc_id="vpc-security", protocol="GENEVE", port=GENEVE, targets=("fw",)),
        Listener(id="listener-gwlb", load_balancer_arn="gwlb", protocol="GENEVE", port=GENEVE, default_actions=(Forward(target_group_arn="tg-fw"),)),
        VpcEndpointService(id="inspection", gateway_load_balancer_arns=("gwlb",)),
    )

    return Topology(name="the_inspected_packet", time_scale=10.0, resources=application + security)
