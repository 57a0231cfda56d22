"""The web application: user → Route 53 → CloudFront → ALB → EC2 → RDS, in one Region and two Availability Zones.

    client (London)  ─┐                 ┌─ public-a    alb, nat-a ──┐
    client-frankfurt ─┤ DNS, nearest    │  public-b    alb, nat-b   │ sg-alb
    client-newyork   ─┘ edge location ──┤                           ▼
                        (LHR FRA JFK)   ├─ private-a   web-a ───────┐ sg-web, asg-web
                                  igw ──┤  private-b   web-b        │
                                        │                           ▼
                                        └─ database-a/b  shop-db      sg-db

Try: ``testbed up web_app``, then ``testbed request https://shop.example.com/products`` twice;
``testbed fail web-a``, then ``testbed scaling``.
"""

from testbed.mn import mininet_topos
from testbed.model import *

HTTP, HTTPS, POSTGRESQL = 80, 443, 5432
EPHEMERAL = PortRange(first=1024, last=65535)


def web_app() -> Topology:
    """Users on two continents buy from a shop in Ireland."""
    region, zone_a, zone_b = "eu-west-1", "eu-west-1a", "eu-west-1b"

    world = (
        Internet(edge_locations=("LHR", "FRA", "JFK")),
        User(id="client", city="London"),
        User(id="client-frankfurt", city="Frankfurt"),
        User(id="client-newyork", city="New York"),
    )

    names_and_edge = (
        HostedZone(
            id="zone-shop",
            name="shop.example.com",
            record_sets=(
                RecordSet(name="shop.example.com", type="A", alias_target="cdn-shop"),  # a CNAME could not stand at the apex
                RecordSet(name="origin.shop.example.com", type="A", alias_target="alb-shop"),
                RecordSet(name="www.shop.example.com", type="CNAME", ttl=300, resource_records=("shop.example.com",)),
                RecordSet(name="shop.example.com", type="TXT", ttl=300, resource_records=("the testbed's shop",)),
            ),
        ),
        Distribution(
            id="cdn-shop",
            aliases=("shop.example.com", "www.shop.example.com"),
            origins=(Origin(id="alb", domain_name="origin.shop.example.com"),),
            default_cache_behavior=CacheBehavior(target_origin_id="alb", allowed_methods=ALL_METHODS),
            cache_behaviors=(CacheBehavior(target_origin_id="alb", path_pattern="/cart/*", allowed_methods=ALL_METHODS, cache_policy=CACHING_DISABLED),),
        ),
    )

    network = (
        Vpc(id="vpc-shop", region=region, cidr_block="10.0.0.0/16", enable_dns_hostnames=True),
        InternetGateway(id="igw-shop", vpc_id="vpc-shop"),
        Subnet(id="public-a", vpc_id="vpc-shop", cidr_block="10.0.0.0/24", availability_zone=zone_a),
        Subnet(id="public-b", vpc_id="vpc-shop", cidr_block="10.0.1.0/24", availability_zone=zone_b),
        Subnet(id="private-a", vpc_id="vpc-shop", cidr_block="10.0.10.0/24", availability_zone=zone_a),
        Subnet(id="private-b", vpc_id="vpc-shop", cidr_block="10.0.11.0/24", availability_zone=zone_b),
        Subnet(id="database-a", vpc_id="vpc-shop", cidr_block="10.0.20.0/24", availability_zone=zone_a),
        Subnet(id="database-b", vpc_id="vpc-shop", cidr_block="10.0.21.0/24", availability_zone=zone_b),
        ElasticIp(id="eip-nat-a", region=region),
        ElasticIp(id="eip-nat-b", region=region),
        NatGateway(id="nat-a", subnet_id="public-a", allocation_id="eip-nat-a"),
        NatGateway(id="nat-b", subnet_id="public-b", allocation_id="eip-nat-b"),
        RouteTable(id="rtb-public", vpc_id="vpc-shop", associations=("public-a", "public-b"), routes=(Route(destination_cidr_block="0.0.0.0/0", gateway_id="igw-shop"),)),
        RouteTable(id="rtb-private-a", vpc_id="vpc-shop", associations=("private-a",), routes=(Route(destination_cidr_block="0.0.0.0/0", nat_gateway_id="nat-a"),)),
        RouteTable(id="rtb-private-b", vpc_id="vpc-shop", associations=("private-b",), routes=(Route(destination_cidr_block="0.0.0.0/0", nat_gateway_id="nat-b"),)),
        RouteTable(id="rtb-database", vpc_id="vpc-shop", main=True),  # the main table: serves database-a and -b, and leads nowhere
    )

    security_groups = (
        SecurityGroup(
            id="sg-alb",
            vpc_id="vpc-shop",
            security_group_ingress=(
                SecurityGroupRule(ip_protocol="tcp", from_port=HTTP, to_port=HTTP, cidr_ip="0.0.0.0/0"),
                SecurityGroupRule(ip_protocol="tcp", from_port=HTTPS, to_port=HTTPS, cidr_ip="0.0.0.0/0"),
            ),
        ),
        SecurityGroup(id="sg-web", vpc_id="vpc-shop", security_group_ingress=(SecurityGroupRule(ip_protocol="tcp", from_port=HTTP, to_port=HTTP, security_group_id="sg-alb"),)),
        SecurityGroup(id="sg-db", vpc_id="vpc-shop", security_group_ingress=(SecurityGroupRule(ip_protocol="tcp", from_port=POSTGRESQL, to_port=POSTGRESQL, security_group_id="sg-web"),)),
    )

    network_acls = (  # the other subnets have the VPC's default ACL, which allows everything
        NetworkAcl(
            id="acl-database",
            vpc_id="vpc-shop",
            associations=("database-a", "database-b"),
            entries=(  # stateless: the replies need a rule of their own
                NetworkAclEntry(rule_number=100, direction=Direction.INBOUND, rule_action=Verdict.ALLOW, protocol=Protocol.TCP, cidr_block="10.0.10.0/23", port_range=PortRange(first=POSTGRESQL, last=POSTGRESQL)),
                NetworkAclEntry(rule_number=100, direction=Direction.OUTBOUND, rule_action=Verdict.ALLOW, protocol=Protocol.TCP, cidr_block="10.0.10.0/23", port_range=EPHEMERAL),
            ),
        ),
    )

    application = (
        LoadBalancer(id="alb-shop", subnets=("public-a", "public-b"), security_groups=("sg-alb",)),
        Listener(
            id="listener-https",
            load_balancer_arn="alb-shop",
            port=HTTPS,
            protocol="HTTPS",
            certificates=("shop.example.com", "*.shop.example.com"),
            rules=(ListenerRule(priority=10, path_pattern=("/status",), actions=(FixedResponse(status_code=200, message_body="the balancer is up\n"),)),),
            default_actions=(Forward(target_group_arn="tg-web"),),
        ),
        Listener(id="listener-http", load_balancer_arn="alb-shop", port=HTTP, protocol="HTTP", default_actions=(Redirect(status_code=301, protocol="HTTPS", port="443"),)),
        TargetGroup(id="tg-web", vpc_id="vpc-shop", port=HTTP, health_check_path="/health"),
        LaunchTemplate(id="lt-web", name="web", security_group_ids=("sg-web",), user_data=WebApplication(port=HTTP, database_id="shop-db")),
        AutoScalingGroup(  # begins with web-a and web-b
            id="asg-web",
            launch_template_id="lt-web",
            vpc_zone_identifier=("private-a", "private-b"),
            min_size=2,
            max_size=6,
            target_group_arns=("tg-web",),
            health_check_type="ELB",
            health_check_grace_period=300,
        ),
        ScalingPolicy(id="policy-requests", auto_scaling_group_name="asg-web", resource_label="tg-web", target_value=1000),
        DBInstance(id="shop-db", db_name="shop", master_username="shop", master_user_password="correct-horse", db_subnet_group=("database-a", "database-b"), vpc_security_groups=("sg-db",)),
    )

    return Topology(name="web_app", resources=world + names_and_edge + network + security_groups + network_acls + application)



topos = mininet_topos(web_app)
