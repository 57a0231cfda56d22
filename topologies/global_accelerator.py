"""Users on three continents, one application in two Regions, two static addresses: everybody enters AWS's network nearby, and the rest of the way is AWS's.

    user-london    ─▶ LHR ┐                          ┌ eu-west-1  vpc-eu  alb-eu ─▶ web-eu ─▶ catalogue-eu        game-eu (UDP)
    user-newyork   ─▶ JFK ┼─ ga-shop: 2 addresses ───┤
    user-singapore ─▶ SIN ┘   by anycast, over BGP   └ us-east-1  vpc-us  alb-us ─▶ web-us ─▶ catalogue-us        game-us (UDP)

    tcp/80    both Regions' application balancers: they see the user's address, and their targets decide whether they are healthy
    udp/4000  an instance in each Region, in a subnet without a way out; checked by TCP at port 80

    direct.example.com is alb-eu by the public internet, whose paths are half again as long as light's (`Internet.detour`), with jitter; shop.example.com is the accelerator.
    Ten times as fast as AWS: an endpoint that fails is left after 3 checks of 10 s, here 3 s. Nothing changes in DNS.

Try: ``testbed up global_accelerator``, then

    testbed exec user-singapore -- dig +short shop.example.com                the same two addresses for everybody
    testbed exec user-singapore -- curl -si http://shop.example.com/          x-served-by: which Region's server. No X-Cache, no Via: it is no CloudFront
    testbed exec user-singapore -- ping -c 3 direct.example.com               … and curl -w '%{time_connect}' to both names: the internet's way and AWS's
    testbed explain user-london ga-shop --port 80                             edge, VPC, groups, balancer, and the way back
    testbed fail web-eu                                                       then again from user-london: after 3 checks us-east-1 answers
    testbed fail ga-edge-lhr                                                  London's users enter elsewhere: BGP takes the addresses back
    testbed bgp city-london                                                   … and prefers the next nearest
    testbed bench ga --plot ga.svg                                            latency by both ways, and how long a failover takes
"""

from testbed.mn import mininet_topos
from testbed.model import *

REGIONS = {"eu": "eu-west-1", "us": "us-east-1"}
HTTP, GAME, POSTGRESQL = 80, 4000, 5432
ENDS = ("a", "b")


def _region(name: str, number: int) -> tuple[Resource, ...]:
    """A VPC with a balancer, a web server with its database, and a game server in a private subnet."""
    vpc, region = f"vpc-{name}", REGIONS[name]
    block = f"10.{number}"
    anybody = SecurityGroupRule(ip_protocol="tcp", from_port=HTTP, to_port=HTTP, cidr_ip="0.0.0.0/0")
    subnets = {f"public-{name}-{zone}": (first, zone) for first, zone in enumerate(ENDS)} | {f"private-{name}-{zone}": (first, zone) for first, zone in enumerate(ENDS, start=10)}
    return (
        Vpc(id=vpc, region=region, cidr_block=f"{block}.0.0/16"),
        InternetGateway(id=f"igw-{name}", vpc_id=vpc),
        *(Subnet(id=subnet, vpc_id=vpc, cidr_block=f"{block}.{third}.0/24", availability_zone=f"{region}{zone}") for subnet, (third, zone) in subnets.items()),
        RouteTable(
            id=f"rtb-public-{name}", vpc_id=vpc, associations=tuple(f"public-{name}-{zone}" for zone in ENDS), routes=(Route(destination_cidr_block="0.0.0.0/0", gateway_id=f"igw-{name}"),)
        ),
        RouteTable(id=f"rtb-private-{name}", vpc_id=vpc, main=True),  # no way out: what comes by the accelerator returns by it
        SecurityGroup(id=f"sg-alb-{name}", vpc_id=vpc, security_group_ingress=(anybody,)),
        SecurityGroup(id=f"sg-web-{name}", vpc_id=vpc, security_group_ingress=(SecurityGroupRule(ip_protocol="tcp", from_port=HTTP, to_port=HTTP, security_group_id=f"sg-alb-{name}"),)),
        SecurityGroup(id=f"sg-db-{name}", vpc_id=vpc, security_group_ingress=(SecurityGroupRule(ip_protocol="tcp", from_port=POSTGRESQL, to_port=POSTGRESQL, security_group_id=f"sg-web-{name}"),)),
        SecurityGroup(  # players' own addresses arrive; so do those of health checks
            id=f"sg-game-{name}", vpc_id=vpc, security_group_ingress=(SecurityGroupRule(ip_protocol="udp", from_port=GAME, to_port=GAME, cidr_ip="0.0.0.0/0"), anybody)
        ),
        DBInstance(
            id=f"catalogue-{name}", db_name="shop", master_username="shop", master_user_password="correct-horse", db_subnet_group=tuple(f"private-{name}-{zone}" for zone in ENDS),
            vpc_security_groups=(f"sg-db-{name}",),
        ),
        Instance(id=f"web-{name}", subnet_id=f"private-{name}-a", security_group_ids=(f"sg-web-{name}",), user_data=WebApplication(port=HTTP, database_id=f"catalogue-{name}")),
        Instance(id=f"game-{name}", subnet_id=f"private-{name}-b", security_group_ids=(f"sg-game-{name}",)),
        LoadBalancer(id=f"alb-{name}", subnets=tuple(f"public-{name}-{zone}" for zone in ENDS), security_groups=(f"sg-alb-{name}",)),
        Listener(id=f"listener-{name}", load_balancer_arn=f"alb-{name}", port=HTTP, protocol="HTTP", default_actions=(Forward(target_group_arn=f"tg-{name}"),)),
        TargetGroup(id=f"tg-{name}", vpc_id=vpc, port=HTTP, targets=(f"web-{name}",), health_check_path="/health", health_check_interval_seconds=10),
    )  # fmt: skip


def global_accelerator() -> Topology:
    """An accelerator with a TCP and a UDP listener before two Regions."""
    world = (
        Internet(edge_locations=("JFK", "LHR", "SIN"), detour=1.5, jitter_ms=8),
        User(id="user-london", city="London"),
        User(id="user-newyork", city="New York"),
        User(id="user-singapore", city="Singapore"),
        HostedZone(
            id="zone-example",
            name="example.com",
            record_sets=(RecordSet(name="shop.example.com", type="A", alias_target="ga-shop"), RecordSet(name="direct.example.com", type="A", alias_target="alb-eu")),
        ),
    )
    accelerator = (
        Accelerator(id="ga-shop"),
        AcceleratorListener(id="listener-shop", accelerator_arn="ga-shop", protocol="TCP", port_ranges=(PortRange(first=HTTP, last=HTTP),)),
        AcceleratorListener(id="listener-game", accelerator_arn="ga-shop", protocol="UDP", port_ranges=(PortRange(first=GAME, last=GAME),), client_affinity="SOURCE_IP"),
        *(
            EndpointGroup(id=f"shop-{name}", listener_arn="listener-shop", endpoint_group_region=region, endpoint_configurations=(EndpointConfiguration(endpoint_id=f"alb-{name}"),))
            for name, region in REGIONS.items()
        ),
        *(
            EndpointGroup(
                id=f"game-group-{name}", listener_arn="listener-game", endpoint_group_region=region, health_check_interval_seconds=10, health_check_port=HTTP,
                endpoint_configurations=(EndpointConfiguration(endpoint_id=f"game-{name}"),),
            )
            for name, region in REGIONS.items()
        ),
    )  # fmt: skip
    return Topology(name="global_accelerator", time_scale=10, resources=(*world, *(each for number, name in enumerate(REGIONS) for each in _region(name, number)), *accelerator))


topos = mininet_topos(global_accelerator)
