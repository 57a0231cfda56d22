"""Instances and tasks that come and go: an Auto Scaling group and an ECS service behind one Application Load Balancer, over two Availability Zones.

                           ┌ public-a  alb-shop-a ┐   /        tg-web (instances)   asg-web   web-a, web-b     2 to 6, by requests per target
    user-paris ─── igw ────┤                      ├─
                           └ public-b  alb-shop-b ┘   /api*    tg-api (addresses)   ecs-api   api-a, api-b     two tasks, a network interface each

The timers run 30 times as fast as AWS's: a minute takes two seconds.

Try: ``testbed up auto_scaling``, then, each in a terminal of its own,

    testbed traffic user-paris http://shop.example.com/ --rate 10 --for 60        clients count their errors; 10/s is 20 a minute here: more than two instances want
    testbed scaling                                                               members, and activities with their causes
    testbed fail web-a                                                            it answers no status check any more: replaced
    testbed fail az eu-west-1a                                                    the zone: its balancer node leaves DNS, its instances are replaced in zone b
    testbed heal az eu-west-1a                                                    and the group balances its zones again
"""

from testbed.mn import mininet_topos
from testbed.model import *

REGION, ZONE_A, ZONE_B = "eu-west-1", "eu-west-1a", "eu-west-1b"
HTTP = 80


def auto_scaling() -> Topology:
    """A shop that grows with its customers, and survives the loss of a zone."""
    world = (
        Internet(edge_locations=("CDG",)),
        User(id="user-paris", city="Paris"),
        HostedZone(id="zone-example", name="example.com", record_sets=(RecordSet(name="shop.example.com", type="A", alias_target="alb-shop"),)),
    )

    network = (
        Vpc(id="vpc-shop", region=REGION, cidr_block="10.0.0.0/16"),
        InternetGateway(id="igw-shop", vpc_id="vpc-shop"),
        Subnet(id="public-a", vpc_id="vpc-shop", cidr_block="10.0.0.0/24", availability_zone=ZONE_A),
        Subnet(id="public-b", vpc_id="vpc-shop", cidr_block="10.0.1.0/24", availability_zone=ZONE_B),
        Subnet(id="private-a", vpc_id="vpc-shop", cidr_block="10.0.10.0/24", availability_zone=ZONE_A),
        Subnet(id="private-b", vpc_id="vpc-shop", cidr_block="10.0.11.0/24", availability_zone=ZONE_B),
        RouteTable(id="rtb-public", vpc_id="vpc-shop", associations=("public-a", "public-b"), routes=(Route(destination_cidr_block="0.0.0.0/0", gateway_id="igw-shop"),)),
        RouteTable(id="rtb-private", vpc_id="vpc-shop", main=True),
        SecurityGroup(id="sg-alb", vpc_id="vpc-shop", security_group_ingress=(SecurityGroupRule(ip_protocol="tcp", from_port=HTTP, to_port=HTTP, cidr_ip="0.0.0.0/0"),)),
        SecurityGroup(id="sg-web", vpc_id="vpc-shop", security_group_ingress=(SecurityGroupRule(ip_protocol="tcp", from_port=HTTP, to_port=HTTP, security_group_id="sg-alb"),)),
    )

    balancer = (
        LoadBalancer(id="alb-shop", subnets=("public-a", "public-b"), security_groups=("sg-alb",)),
        Listener(
            id="listener-http",
            load_balancer_arn="alb-shop",
            port=HTTP,
            protocol="HTTP",
            rules=(ListenerRule(priority=10, path_pattern=("/api*",), actions=(Forward(target_group_arn="tg-api"),)),),
            default_actions=(Forward(target_group_arn="tg-web"),),
        ),
        TargetGroup(id="tg-web", vpc_id="vpc-shop", port=HTTP, health_check_path="/health", health_check_timeout_seconds=20, deregistration_delay_timeout_seconds=60),
        TargetGroup(id="tg-api", vpc_id="vpc-shop", port=HTTP, target_type="ip", health_check_path="/health", health_check_timeout_seconds=20, deregistration_delay_timeout_seconds=60),
    )

    instances = (
        LaunchTemplate(id="lt-web", name="web", security_group_ids=("sg-web",), user_data=WebApplication(port=HTTP)),
        AutoScalingGroup(
            id="asg-web",
            launch_template_id="lt-web",
            vpc_zone_identifier=("private-a", "private-b"),
            min_size=2,
            max_size=6,
            target_group_arns=("tg-web",),
            health_check_type="ELB",
            health_check_grace_period=60,
        ),
        ScalingPolicy(id="policy-requests", auto_scaling_group_name="asg-web", resource_label="tg-web", target_value=8, estimated_instance_warmup=60),
    )

    tasks = (
        TaskDefinition(id="api", container=WebApplication(port=HTTP)),
        EcsService(id="ecs-api", task_definition="api", desired_count=2, subnets=("private-a", "private-b"), security_groups=("sg-web",), target_group_arn="tg-api", health_check_grace_period_seconds=60),
    )

    return Topology(name="auto_scaling", time_scale=30, resources=world + network + balancer + instances + tasks)


topos = mininet_topos(auto_scaling)
