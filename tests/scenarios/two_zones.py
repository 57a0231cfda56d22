"""An Application Load Balancer over two zones, its targets and an identity provider, for scenarios. AWS's timers run ten times as fast.

    client (London) ─ alb: 80, 443 (shop.example.com), 8443 (mutual TLS)
        /api/*       tg-api     api-a                    /weighted   tg-web 1 : tg-api 3
        /private*    a login, then tg-web                /old/*      becomes /new/* on its way to tg-api
        else         tg-web     web-a, web-b, sticky     zonal.example.com, port 81: tg-zonal, without cross-zone
    login.example.com ─ idp, who takes everybody for ada
"""

from __future__ import annotations

from testbed.model import (
    AuthenticateOidc,
    ElasticIp,
    Forward,
    ForwardConfig,
    HostedZone,
    IdentityProvider,
    IdentityUser,
    Instance,
    Internet,
    InternetGateway,
    Listener,
    ListenerRule,
    LoadBalancer,
    RecordSet,
    RewriteConfig,
    Route,
    RouteTable,
    SecurityGroup,
    SecurityGroupRule,
    Subnet,
    TargetGroup,
    TargetGroupTuple,
    Topology,
    User,
    Vpc,
)

TIME_SCALE = 10.0
REGION, VPC, IDP_ADDRESS = "eu-west-1", "vpc-t", "10.7.0.50"
LOGIN = "https://login.example.com"
WEB, ZONAL = 80, 81


def two_zones() -> Topology:
    """The balancer and all around it."""
    everywhere = tuple(SecurityGroupRule(ip_protocol="tcp", from_port=port, to_port=port, cidr_ip="0.0.0.0/0") for port in (80, 81, 443, 8443))
    login = AuthenticateOidc(
        issuer=LOGIN, authorization_endpoint=f"{LOGIN}/authorize", token_endpoint=f"{LOGIN}/token", user_info_endpoint=f"{LOGIN}/userinfo", client_id="shop", client_secret="hush"
    )
    to_web = Forward(target_group_arn="tg-web")
    rules = (
        ListenerRule(priority=10, path_pattern=("/api/*",), actions=(Forward(target_group_arn="tg-api"),)),
        ListenerRule(
            priority=20, path_pattern=("/weighted",),
            actions=(ForwardConfig(target_groups=(TargetGroupTuple(target_group_arn="tg-web", weight=1), TargetGroupTuple(target_group_arn="tg-api", weight=3))),),
        ),
        ListenerRule(priority=30, path_pattern=("/old/*",), url_rewrite=RewriteConfig(regex="^/old/", replace="/new/"), actions=(Forward(target_group_arn="tg-api"),)),
    )  # fmt: skip
    fast = {"vpc_id": VPC, "health_check_path": "/health", "health_check_interval_seconds": 5, "health_check_timeout_seconds": 4, "healthy_threshold_count": 2}
    return Topology(
        name="two_zones",
        time_scale=TIME_SCALE,
        resources=(
            Internet(edge_locations=("LHR",)),
            User(id="client", city="London"),
            Vpc(id=VPC, region=REGION, cidr_block="10.7.0.0/16"),
            InternetGateway(id="igw-t", vpc_id=VPC),
            Subnet(id="public-a", vpc_id=VPC, cidr_block="10.7.0.0/24", availability_zone=f"{REGION}a"),
            Subnet(id="public-b", vpc_id=VPC, cidr_block="10.7.1.0/24", availability_zone=f"{REGION}b"),
            Subnet(id="private-a", vpc_id=VPC, cidr_block="10.7.2.0/24", availability_zone=f"{REGION}a"),
            Subnet(id="private-b", vpc_id=VPC, cidr_block="10.7.3.0/24", availability_zone=f"{REGION}b"),
            RouteTable(id="rtb-public", vpc_id=VPC, associations=("public-a", "public-b"), routes=(Route(destination_cidr_block="0.0.0.0/0", gateway_id="igw-t"),)),
            SecurityGroup(id="sg-alb", vpc_id=VPC, security_group_ingress=everywhere),
            SecurityGroup(id="sg-web", vpc_id=VPC, security_group_ingress=(SecurityGroupRule(ip_protocol="tcp", from_port=WEB, to_port=ZONAL, security_group_id="sg-alb"),)),
            Instance(id="web-a", subnet_id="private-a", security_group_ids=("sg-web",)),
            Instance(id="web-b", subnet_id="private-b", security_group_ids=("sg-web",)),
            Instance(id="api-a", subnet_id="private-a", security_group_ids=("sg-web",)),
            Instance(
                id="idp", subnet_id="public-a", private_ip_address=IDP_ADDRESS, security_group_ids=("sg-alb",),
                user_data=IdentityProvider(
                    host_name="login.example.com", client_id="shop", client_secret="hush", users=(IdentityUser(username="ada", password="lace", claims=(("email", "ada@example.com"),)),), auto_login="ada",
                ),
            ),
            ElasticIp(id="eip-idp", region=REGION, instance_id="idp", public_ip="198.19.12.50"),
            LoadBalancer(id="alb", subnets=("public-a", "public-b"), security_groups=("sg-alb",), access_logs_s3_enabled=True, idle_timeout_seconds=20),
            LoadBalancer(id="alb-zonal", subnets=("public-a", "public-b"), security_groups=("sg-alb",)),
            Listener(id="http", load_balancer_arn="alb", port=80, protocol="HTTP", rules=rules, default_actions=(to_web,)),
            Listener(
                id="https", load_balancer_arn="alb", port=443, protocol="HTTPS", certificates=("shop.example.com",), response_headers=(("strict_transport_security", "max-age=31536000"),),
                rules=(*rules, ListenerRule(priority=40, path_pattern=("/private*",), actions=(login, to_web))), default_actions=(to_web,),
            ),
            Listener(id="mutual", load_balancer_arn="alb", port=8443, protocol="HTTPS", certificates=("shop.example.com",), mutual_authentication="verify", default_actions=(to_web,)),
            Listener(id="zonal", load_balancer_arn="alb-zonal", port=81, protocol="HTTP", default_actions=(Forward(target_group_arn="tg-zonal"),)),
            TargetGroup(id="tg-web", port=WEB, targets=("web-a", "web-b"), stickiness_enabled=True, deregistration_delay_timeout_seconds=60, **fast),
            TargetGroup(id="tg-api", port=WEB, targets=("api-a",), **fast),
            TargetGroup(id="tg-zonal", port=ZONAL, targets=("web-a", "web-b"), load_balancing_cross_zone_enabled=False, **fast),
            HostedZone(
                id="zone", name="example.com",
                record_sets=(
                    RecordSet(name="shop.example.com", type="A", alias_target="alb"),
                    RecordSet(name="zonal.example.com", type="A", alias_target="alb-zonal"),
                    RecordSet(name="login.example.com", type="A", ttl=60, resource_records=("198.19.12.50",)),
                ),
            ),
        ),
    )  # fmt: skip
