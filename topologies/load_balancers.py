"""Three balancers side by side before one application: whose address does it see, and whose addresses do clients know?

                      ┌ alb-paths    HTTP: rules by path                  names only, addresses may change      web sees the balancer, and the client in X-Forwarded-For
    user-paris ──igw──┼ nlb-static   TCP: any protocol, no rules          an Elastic IP in each zone            web sees the client itself
                      └ nlb-front ─▶ alb-paths                            an Elastic IP in each zone            rules by path behind static addresses

    vpc-balanced 10.0.0.0/16    public-a, public-b: the balancers' nodes        private-a: web-a1        private-b: web-b1, web-b2        database-a, database-b
    nlb-internal                in private subnets, one target: web-a1, which calls it as well

Cross-zone load balancing is off on Network Load Balancers and always on at an Application Load Balancer: with one web server in zone a and two in zone b, web-a1 gets half of
what comes by nlb-static, and a third of what comes by alb-paths.

Try: ``testbed up load_balancers``, then

    testbed exec user-paris -- curl -s http://paths.example.com/             and again: three servers in turn
    testbed exec user-paris -- curl -s http://paths.example.com/static       a rule answers; nlb-static has no such thing
    testbed exec user-paris -- curl -s http://static.example.com/            by TCP to one of the servers
    testbed exec user-paris -- curl -s http://front.example.com/static       both: a static address, and the rule
    testbed exec user-paris -- dig +short static.example.com                 the Elastic IPs eip-static-a and eip-static-b
    testbed explain user-paris static.example.com --port 80                  every hop: the target's reply goes back through the balancer
    testbed explain web-a1 internal.example.com --port 80                    the hairpin: a target's own packet comes back to it, and is dropped
"""

from testbed.mn import mininet_topos
from testbed.model import *

REGION = "eu-west-1"
HTTP, POSTGRESQL = 80, 5432


def load_balancers() -> Topology:
    """A VPC in two zones, three web servers, and the balancers before them."""
    zones = {"a": f"{REGION}a", "b": f"{REGION}b"}
    public, private = ("public-a", "public-b"), ("private-a", "private-b")
    anybody = SecurityGroupRule(ip_protocol="tcp", from_port=HTTP, to_port=HTTP, cidr_ip="0.0.0.0/0")

    world = (
        Internet(edge_locations=("CDG",)),
        User(id="user-paris", city="Paris"),
        HostedZone(
            id="zone-example",
            name="example.com",
            record_sets=(
                RecordSet(name="paths.example.com", type="A", alias_target="alb-paths"),
                RecordSet(name="static.example.com", type="A", alias_target="nlb-static"),
                RecordSet(name="front.example.com", type="A", alias_target="nlb-front"),
                RecordSet(name="internal.example.com", type="A", alias_target="nlb-internal"),  # a private address, in public DNS: AWS does so, too
            ),
        ),
    )

    network = (
        Vpc(id="vpc-balanced", region=REGION, cidr_block="10.0.0.0/16"),
        InternetGateway(id="igw-balanced", vpc_id="vpc-balanced"),
        *(Subnet(id=f"public-{zone}", vpc_id="vpc-balanced", cidr_block=f"10.0.{number}.0/24", availability_zone=name) for number, (zone, name) in enumerate(zones.items())),
        *(Subnet(id=f"private-{zone}", vpc_id="vpc-balanced", cidr_block=f"10.0.{number}.0/24", availability_zone=name) for number, (zone, name) in enumerate(zones.items(), start=10)),
        *(Subnet(id=f"database-{zone}", vpc_id="vpc-balanced", cidr_block=f"10.0.{number}.0/24", availability_zone=name) for number, (zone, name) in enumerate(zones.items(), start=20)),
        RouteTable(id="rtb-public", vpc_id="vpc-balanced", associations=public, routes=(Route(destination_cidr_block="0.0.0.0/0", gateway_id="igw-balanced"),)),
        RouteTable(id="rtb-private", vpc_id="vpc-balanced", main=True),  # no way out: replies to clients go back through the balancer
        ElasticIp(id="eip-static-a", region=REGION),
        ElasticIp(id="eip-static-b", region=REGION),
        ElasticIp(id="eip-front-a", region=REGION),
        ElasticIp(id="eip-front-b", region=REGION),
    )

    security_groups = (
        SecurityGroup(id="sg-balancer", vpc_id="vpc-balanced", security_group_ingress=(anybody,)),
        SecurityGroup(  # by the balancers' group, although web servers see the addresses of nlb-static's clients
            id="sg-web", vpc_id="vpc-balanced", security_group_ingress=(SecurityGroupRule(ip_protocol="tcp", from_port=HTTP, to_port=HTTP, security_group_id="sg-balancer"),)
        ),
        SecurityGroup(id="sg-db", vpc_id="vpc-balanced", security_group_ingress=(SecurityGroupRule(ip_protocol="tcp", from_port=POSTGRESQL, to_port=POSTGRESQL, security_group_id="sg-web"),)),
    )

    application = (
        *(
            Instance(id=name, subnet_id=f"private-{name[4]}", security_group_ids=("sg-web",), user_data=WebApplication(port=HTTP, database_id="catalogue"))
            for name in ("web-a1", "web-b1", "web-b2")
        ),
        DBInstance(id="catalogue", db_name="shop", master_username="shop", master_user_password="correct-horse", db_subnet_group=("database-a", "database-b"), vpc_security_groups=("sg-db",)),
    )

    by_path = (
        LoadBalancer(id="alb-paths", subnets=public, security_groups=("sg-balancer",)),
        Listener(
            id="listener-paths",
            load_balancer_arn="alb-paths",
            port=HTTP,
            protocol="HTTP",
            rules=(ListenerRule(priority=10, path_pattern=("/static*",), actions=(FixedResponse(status_code=200, message_body="by a rule\n"),)),),
            default_actions=(Forward(target_group_arn="tg-paths"),),
        ),
        TargetGroup(id="tg-paths", vpc_id="vpc-balanced", port=HTTP, targets=("web-a1", "web-b1", "web-b2"), health_check_path="/health"),
    )

    static = (
        LoadBalancer(
            id="nlb-static",
            type="network",
            security_groups=("sg-balancer",),
            subnet_mappings=(SubnetMapping(subnet_id="public-a", allocation_id="eip-static-a"), SubnetMapping(subnet_id="public-b", allocation_id="eip-static-b")),
        ),
        Listener(id="listener-static", load_balancer_arn="nlb-static", port=HTTP, protocol="TCP", default_actions=(Forward(target_group_arn="tg-static"),)),
        TargetGroup(id="tg-static", vpc_id="vpc-balanced", port=HTTP, protocol="TCP", targets=("web-a1", "web-b1", "web-b2"), health_check_protocol="HTTP", health_check_path="/health"),
    )

    front = (
        LoadBalancer(
            id="nlb-front",
            type="network",
            security_groups=("sg-balancer",),
            subnet_mappings=(SubnetMapping(subnet_id="public-a", allocation_id="eip-front-a"), SubnetMapping(subnet_id="public-b", allocation_id="eip-front-b")),
        ),
        Listener(id="listener-front", load_balancer_arn="nlb-front", port=HTTP, protocol="TCP", default_actions=(Forward(target_group_arn="tg-front"),)),
        TargetGroup(id="tg-front", vpc_id="vpc-balanced", port=HTTP, protocol="TCP", target_type="alb", targets=("alb-paths",), health_check_path="/static"),
    )

    internal = (
        LoadBalancer(id="nlb-internal", type="network", scheme="internal", subnets=private, security_groups=("sg-balancer",)),
        Listener(id="listener-internal", load_balancer_arn="nlb-internal", port=HTTP, protocol="TCP", default_actions=(Forward(target_group_arn="tg-internal"),)),
        TargetGroup(id="tg-internal", vpc_id="vpc-balanced", port=HTTP, protocol="TCP", targets=("web-a1",)),
    )

    return Topology(name="load_balancers", resources=world + network + security_groups + application + by_path + static + front + internal)


topos = mininet_topos(load_balancers)
