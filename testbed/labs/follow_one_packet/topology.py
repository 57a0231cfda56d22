"""The shop: user, CloudFront, load balancer, instances, database; and a host for nightly jobs.

    client ── internet ─┬─ edge location (LHR, FRA or JFK)
                        └─ igw ─┬─ public-a, public-b       alb-shop, nat-shop   sg-alb
                                ├─ private-a, private-b     web-a, web-b, jobs   sg-web, sg-jobs
                                └─ database-a, database-b   shop-db              sg-db, acl-database

Edit, then: testbed apply
"""

from testbed.model import *

HTTP, HTTPS, POSTGRESQL = 80, 443, 5432
EPHEMERAL = PortRange(first=1024, last=65535)
ANYWHERE = "0.0.0.0/0"
PRIVATE_SUBNETS = "10.20.10.0/23"
REQUESTS = 100
REPLIES = 100


def from_group(port: int, group: str) -> SecurityGroupRule:
    return SecurityGroupRule(ip_protocol="tcp", from_port=port, to_port=port, security_group_id=group)


def from_block(port: int, block: str) -> SecurityGroupRule:
    return SecurityGroupRule(ip_protocol="tcp", from_port=port, to_port=port, cidr_ip=block)


def topology() -> Topology:
    region, zone_a, zone_b, vpc = "eu-west-1", "eu-west-1a", "eu-west-1b", "vpc-shop"

    names_and_edge = (
        Internet(edge_locations=("LHR", "FRA", "JFK")),
        User(id="client", city="London"),
        HostedZone(
            id="zone-shop",
            name="shop.example.com",
            record_sets=(
                RecordSet(name="shop.example.com", type="A", alias_target="cdn-shop"),
                RecordSet(name="origin.shop.example.com", type="A", alias_target="alb-shop"),
            ),
        ),
        Distribution(
            id="cdn-shop",
            aliases=("shop.example.com",),
            origins=(Origin(id="alb", domain_name="origin.shop.example.com"),),
            default_cache_behavior=CacheBehavior(target_origin_id="alb", allowed_methods=ALL_METHODS),
        ),
    )

    network = (
        Vpc(id=vpc, region=region, cidr_block="10.20.0.0/16"),
        InternetGateway(id="igw-shop", vpc_id=vpc),
        Subnet(id="public-a", vpc_id=vpc, cidr_block="10.20.0.0/24", availability_zone=zone_a),
        Subnet(id="public-b", vpc_id=vpc, cidr_block="10.20.1.0/24", availability_zone=zone_b),
        Subnet(id="private-a", vpc_id=vpc, cidr_block="10.20.10.0/24", availability_zone=zone_a),
        Subnet(id="private-b", vpc_id=vpc, cidr_block="10.20.11.0/24", availability_zone=zone_b),
        Subnet(id="database-a", vpc_id=vpc, cidr_block="10.20.20.0/24", availability_zone=zone_a),
        Subnet(id="database-b", vpc_id=vpc, cidr_block="10.20.21.0/24", availability_zone=zone_b),
        ElasticIp(id="eip-nat", region=region),
        NatGateway(id="nat-shop", subnet_id="public-a", allocation_id="eip-nat"),
        RouteTable(id="rtb-public", vpc_id=vpc, associations=("public-a", "public-b"), routes=(Route(destination_cidr_block=ANYWHERE, gateway_id="igw-shop"),)),
        RouteTable(id="rtb-private", vpc_id=vpc, associations=("private-a", "private-b"), routes=(Route(destination_cidr_block=ANYWHERE, nat_gateway_id="nat-shop"),)),
        RouteTable(id="rtb-database", vpc_id=vpc, main=True),
    )

    security_groups = (
        SecurityGroup(id="sg-alb", vpc_id=vpc, security_group_ingress=(from_block(HTTP, ANYWHERE), from_block(HTTPS, ANYWHERE))),
        SecurityGroup(id="sg-web", vpc_id=vpc, security_group_ingress=(from_group(HTTP, "sg-alb"),)),
        SecurityGroup(id="sg-db", vpc_id=vpc, security_group_ingress=(from_group(POSTGRESQL, "sg-web"),)),
        SecurityGroup(id="sg-jobs", vpc_id=vpc),
    )

    network_acls = (
        NetworkAcl(
            id="acl-database",
            vpc_id=vpc,
            associations=("database-a", "database-b"),
            entries=(
                NetworkAclEntry(rule_number=REQUESTS, direction=Direction.INBOUND, rule_action=Verdict.ALLOW, protocol=Protocol.TCP, cidr_block=PRIVATE_SUBNETS, port_range=PortRange(first=POSTGRESQL, last=POSTGRESQL)),
                NetworkAclEntry(rule_number=REPLIES, direction=Direction.OUTBOUND, rule_action=Verdict.ALLOW, protocol=Protocol.TCP, cidr_block=PRIVATE_SUBNETS, port_range=EPHEMERAL),
            ),
        ),
    )

    application = (
        LoadBalancer(id="alb-shop", subnets=("public-a", "public-b"), security_groups=("sg-alb",)),
        Listener(id="listener-https", load_balancer_arn="alb-shop", port=HTTPS, protocol="HTTPS", certificates=("shop.example.com", "*.shop.example.com"), default_actions=(Forward(target_group_arn="tg-web"),)),
        TargetGroup(id="tg-web", vpc_id=vpc, port=HTTP, targets=("web-a", "web-b"), health_check_path="/health"),
        Instance(id="web-a", subnet_id="private-a", security_group_ids=("sg-web",), user_data=WebApplication(port=HTTP, database_id="shop-db")),
        Instance(id="web-b", subnet_id="private-b", security_group_ids=("sg-web",), user_data=WebApplication(port=HTTP, database_id="shop-db")),
        Instance(id="jobs", subnet_id="private-a", security_group_ids=("sg-jobs",)),
        DBInstance(id="shop-db", db_name="shop", master_username="shop", master_user_password="correct-horse", db_subnet_group=("database-a", "database-b"), vpc_security_groups=("sg-db",)),
    )

    return Topology(name="follow_one_packet", resources=names_and_edge + network + security_groups + network_acls + application)
