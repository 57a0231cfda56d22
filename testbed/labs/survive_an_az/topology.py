"""A shop in two Availability Zones, which is to survive the loss of one.

    client ──┐        ┌ public-a   alb-shop-a, nat-a ─── private-a ┐
             ├─ igw ──┤                                            ├ asg-web: two instances, web-…; jobs in private-a is another team's
    bank ────┘        └ public-b   alb-shop-b, nat-b ─── private-b ┘

Instances of the shop must reach bank. The security groups and jobs belong to another team: leave them as they are. Edit the rest, then: testbed apply
"""

from testbed.model import *

REGION, ZONE_A, ZONE_B = "eu-west-1", "eu-west-1a", "eu-west-1b"
HTTP = 80
ANYWHERE = "0.0.0.0/0"


def topology() -> Topology:
    world = (
        Internet(edge_locations=("CDG",)),  # where DNS answers
        User(id="client", city="Paris"),
        User(id="bank", city="Frankfurt"),
        HostedZone(id="zone-shop", name="example.com", record_sets=(RecordSet(name="shop.example.com", type="A", alias_target="alb-shop"),)),
    )

    network = (
        Vpc(id="vpc-shop", region=REGION, cidr_block="10.20.0.0/16"),
        InternetGateway(id="igw-shop", vpc_id="vpc-shop"),
        Subnet(id="public-a", vpc_id="vpc-shop", cidr_block="10.20.1.0/24", availability_zone=ZONE_A),
        Subnet(id="public-b", vpc_id="vpc-shop", cidr_block="10.20.2.0/24", availability_zone=ZONE_B),
        Subnet(id="private-a", vpc_id="vpc-shop", cidr_block="10.20.11.0/24", availability_zone=ZONE_A),
        Subnet(id="private-b", vpc_id="vpc-shop", cidr_block="10.20.12.0/24", availability_zone=ZONE_B),
        ElasticIp(id="eip-a", region=REGION),
        ElasticIp(id="eip-b", region=REGION),
        NatGateway(id="nat-a", subnet_id="public-a", allocation_id="eip-a"),
        NatGateway(id="nat-b", subnet_id="public-b", allocation_id="eip-b"),
        RouteTable(id="rtb-public", vpc_id="vpc-shop", associations=("public-a", "public-b"), routes=(Route(destination_cidr_block=ANYWHERE, gateway_id="igw-shop"),)),
        RouteTable(id="rtb-private-a", vpc_id="vpc-shop", associations=("private-a",), routes=(Route(destination_cidr_block=ANYWHERE, nat_gateway_id="nat-a"),)),
        RouteTable(id="rtb-private-b", vpc_id="vpc-shop", associations=("private-b",), routes=(Route(destination_cidr_block=ANYWHERE, nat_gateway_id="nat-b"),)),
    )

    security_groups = (  # another team's
        SecurityGroup(id="sg-alb", vpc_id="vpc-shop", security_group_ingress=(SecurityGroupRule(ip_protocol="tcp", from_port=HTTP, to_port=HTTP, cidr_ip=ANYWHERE),)),
        SecurityGroup(id="sg-web", vpc_id="vpc-shop", security_group_ingress=(SecurityGroupRule(ip_protocol="tcp", from_port=HTTP, to_port=HTTP, security_group_id="sg-alb"),)),
        SecurityGroup(id="sg-jobs", vpc_id="vpc-shop"),
    )

    balancer = (
        LoadBalancer(id="alb-shop", subnets=("public-a", "public-b"), security_groups=("sg-alb",)),
        Listener(id="listener", load_balancer_arn="alb-shop", port=HTTP, protocol="HTTP", default_actions=(Forward(target_group_arn="tg-web"),)),
        TargetGroup(id="tg-web", vpc_id="vpc-shop", port=HTTP, health_check_path="/health", health_check_timeout_seconds=20, deregistration_delay_timeout_seconds=60),
    )

    shop = (
        LaunchTemplate(id="lt-web", name="web", security_group_ids=("sg-web",), user_data=WebApplication(port=HTTP)),
        AutoScalingGroup(
            id="asg-web",
            launch_template_id="lt-web",
            vpc_zone_identifier=("private-a", "private-b"),
            min_size=2,
            max_size=4,
            target_group_arns=("tg-web",),
            health_check_type="ELB",
            health_check_grace_period=30,
        ),
        Instance(id="jobs", subnet_id="private-a", security_group_ids=("sg-jobs",)),  # another team's
    )

    return Topology(name="survive_an_az", time_scale=60, resources=world + network + security_groups + balancer + shop)
