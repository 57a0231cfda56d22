"""Three services of one company, each behind a load balancer: choose the right type for each.

    client ── internet ── igw-work ─┬─ lb-shop    requests, by path: /images/… to images, all else to web
                                    ├─ lb-game    datagrams, at addresses that never change; game sees its players
                                    └─ lb-front   what lb-shop does, at addresses that never change

Edit the balancers, their listeners and their target groups, then: testbed apply
"""

from testbed.model import *

REGION, ZONE_A, ZONE_B = "eu-west-1", "eu-west-1a", "eu-west-1b"
ANYWHERE = "0.0.0.0/0"
HTTP, APPLICATION, GAME = 80, 8080, 7777
PUBLIC = ("public-a", "public-b")


def topology() -> Topology:
    network = (
        Internet(),
        User(id="client", city="Paris"),
        Vpc(id="vpc-work", region=REGION, cidr_block="10.20.0.0/16"),
        InternetGateway(id="igw-work", vpc_id="vpc-work"),
        Subnet(id="public-a", vpc_id="vpc-work", cidr_block="10.20.1.0/24", availability_zone=ZONE_A),
        Subnet(id="public-b", vpc_id="vpc-work", cidr_block="10.20.2.0/24", availability_zone=ZONE_B),
        Subnet(id="private-a", vpc_id="vpc-work", cidr_block="10.20.11.0/24", availability_zone=ZONE_A),
        RouteTable(id="rtb-public", vpc_id="vpc-work", associations=PUBLIC, routes=(Route(destination_cidr_block=ANYWHERE, gateway_id="igw-work"),)),
        RouteTable(id="rtb-private", vpc_id="vpc-work", main=True),  # no way out: answers go back by the balancers
        ElasticIp(id="eip-game-a", region=REGION),
        ElasticIp(id="eip-game-b", region=REGION),
        ElasticIp(id="eip-front-a", region=REGION),
        ElasticIp(id="eip-front-b", region=REGION),
    )

    security_groups = (
        SecurityGroup(
            id="sg-lb",
            vpc_id="vpc-work",
            security_group_ingress=(
                SecurityGroupRule(ip_protocol="tcp", from_port=HTTP, to_port=HTTP, cidr_ip=ANYWHERE),
                SecurityGroupRule(ip_protocol="udp", from_port=GAME, to_port=GAME, cidr_ip=ANYWHERE),
            ),
        ),
        SecurityGroup(
            id="sg-servers",
            vpc_id="vpc-work",
            security_group_ingress=(
                SecurityGroupRule(ip_protocol="tcp", from_port=APPLICATION, to_port=APPLICATION, security_group_id="sg-lb"),
                SecurityGroupRule(ip_protocol="udp", from_port=GAME, to_port=GAME, security_group_id="sg-lb"),
            ),
        ),
    )

    servers = (
        Instance(id="web", subnet_id="private-a", security_group_ids=("sg-servers",)),
        Instance(id="images", subnet_id="private-a", security_group_ids=("sg-servers",)),
        Instance(id="game", subnet_id="private-a", security_group_ids=("sg-servers",)),
    )

    shop = (
        LoadBalancer(id="lb-shop", type="application", subnets=PUBLIC, security_groups=("sg-lb",)),
        Listener(
            id="listener-shop",
            load_balancer_arn="lb-shop",
            port=HTTP,
            protocol="HTTP",
            rules=(ListenerRule(priority=10, path_pattern=("/images/*",), actions=(Forward(target_group_arn="tg-images"),)),),
            default_actions=(Forward(target_group_arn="tg-web"),),
        ),
        TargetGroup(id="tg-web", vpc_id="vpc-work", protocol="HTTP", port=APPLICATION, targets=("web",), health_check_interval_seconds=300),
        TargetGroup(id="tg-images", vpc_id="vpc-work", protocol="HTTP", port=APPLICATION, targets=("images",), health_check_interval_seconds=300),
    )

    datagrams = (
        LoadBalancer(
            id="lb-game",
            type="network",
            security_groups=("sg-lb",),
            subnet_mappings=(SubnetMapping(subnet_id="public-a", allocation_id="eip-game-a"), SubnetMapping(subnet_id="public-b", allocation_id="eip-game-b")),
        ),
        Listener(id="listener-game", load_balancer_arn="lb-game", port=GAME, protocol="UDP", default_actions=(Forward(target_group_arn="tg-game"),)),
        TargetGroup(id="tg-game", vpc_id="vpc-work", protocol="UDP", port=GAME, targets=("game",), health_check_port=9, health_check_interval_seconds=300, load_balancing_cross_zone_enabled=True),
    )

    front = (
        LoadBalancer(
            id="lb-front",
            type="network",
            security_groups=("sg-lb",),
            subnet_mappings=(SubnetMapping(subnet_id="public-a", allocation_id="eip-front-a"), SubnetMapping(subnet_id="public-b", allocation_id="eip-front-b")),
        ),
        Listener(id="listener-front", load_balancer_arn="lb-front", port=HTTP, protocol="TCP", default_actions=(Forward(target_group_arn="tg-front"),)),
        TargetGroup(id="tg-front", vpc_id="vpc-work", protocol="TCP", port=HTTP, target_type="alb", targets=("lb-shop",), health_check_interval_seconds=300),
    )

    return Topology(name="which_load_balancer", time_scale=10.0, resources=network + security_groups + servers + shop + datagrams + front)
