"""Private access: an instance uses S3, SQS and KMS, and another company's service, in a VPC that has no way to the internet.

    vpc-app 10.0.0.0/16, no internet gateway                         eu-west-1's services plane
    ┌──────────────────────────────────────────────┐
    │ app ──┬─ rtb-private: pl-s3 ─▶ vpce-s3 ──────┼──────────▶ S3   bucket reports; bucket vault, only through vpce-s3
    │ strict│  (gateway endpoint, S3's public      │                 bucket foreign, which vpce-s3's policy does not let anybody reach
    │       │   addresses)                         │
    │       ├─ sqs.eu-west-1…  ─▶ vpce-sqs ────────┼──────────▶ SQS
    │       ├─ kms.eu-west-1…  ─▶ vpce-kms ────────┼──────────▶ KMS
    │       └─ orders.example.com ─▶ vpce-orders ──┼─ PrivateLink ─▶ nlb-orders ─▶ orders   in vpc-orders, 10.0.0.0/16 as well
    └──────────┬───────────────────────────────────┘
               peering ── vpc-peer 10.1.0.0/16: neighbour reaches vpce-sqs, and not S3: a gateway endpoint serves its own VPC only
    vpc-outside: outsider reaches S3 by the internet, and vault not at all

Try: ``testbed up private_access``, then

    testbed exec app -- aws s3 ls                          the buckets;  ``s3 ls s3://foreign`` is denied by vpce-s3's policy
    testbed exec outsider -- aws s3 ls s3://vault          denied by the bucket's policy: not by its endpoint
    testbed exec app -- aws sqs list-queues --endpoint-url https://sqs.eu-west-1.amazonaws.com     (version 1 of the CLI has an older name for SQS, which private DNS lacks)
    testbed explain strict s3.eu-west-1.amazonaws.com      10.0.0.0/8 is not enough: S3's addresses stay public
    testbed explain neighbour s3.eu-west-1.amazonaws.com   a gateway endpoint serves its own VPC only
"""

from testbed.mn import mininet_topos
from testbed.model import *

REGION = "eu-west-1"
HTTPS, ORDERS = 443, 8443
ONLY_BY_THE_ENDPOINT = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "AccessByVpcEndpointOnly",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": ["arn:aws:s3:::vault", "arn:aws:s3:::vault/*"],
            "Condition": {"StringNotEquals": {"aws:sourceVpce": "vpce-s3"}},
        }
    ],
}
ONLY_OUR_BUCKETS = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": "*", "Action": "s3:ListAllMyBuckets", "Resource": "*"},
        {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": ["arn:aws:s3:::reports", "arn:aws:s3:::reports/*", "arn:aws:s3:::vault", "arn:aws:s3:::vault/*"]},
    ],
}


def private_access() -> Topology:
    """An application without internet, what it depends on, and those who try from elsewhere."""
    zone_a, zone_b = f"{REGION}a", f"{REGION}b"

    storage = (
        Bucket(id="reports", region=REGION),
        Bucket(id="vault", region=REGION, policy_document=ONLY_BY_THE_ENDPOINT),
        Bucket(id="foreign", region=REGION),
    )

    application = (
        Vpc(id="vpc-app", region=REGION, cidr_block="10.0.0.0/16", enable_dns_hostnames=True),
        Subnet(id="private-a", vpc_id="vpc-app", cidr_block="10.0.1.0/24", availability_zone=zone_a),
        Subnet(id="endpoints-a", vpc_id="vpc-app", cidr_block="10.0.11.0/24", availability_zone=zone_a),
        Subnet(id="endpoints-b", vpc_id="vpc-app", cidr_block="10.0.12.0/24", availability_zone=zone_b),
        RouteTable(
            id="rtb-private", vpc_id="vpc-app", main=True, routes=(Route(destination_cidr_block="10.1.0.0/16", vpc_peering_connection_id="pcx-app-peer"),)
        ),
        SecurityGroup(
            id="sg-app",
            vpc_id="vpc-app",
            security_group_egress=(
                SecurityGroupRule(ip_protocol="tcp", from_port=HTTPS, to_port=HTTPS, cidr_ip="10.0.0.0/16"),
                SecurityGroupRule(ip_protocol="tcp", from_port=HTTPS, to_port=HTTPS, prefix_list_id="pl-s3-eu-west-1"),  # S3's addresses stay public
            ),
        ),
        SecurityGroup(id="sg-strict", vpc_id="vpc-app", security_group_egress=(SecurityGroupRule(ip_protocol="tcp", from_port=HTTPS, to_port=HTTPS, cidr_ip="10.0.0.0/8"),)),
        SecurityGroup(id="sg-endpoints", vpc_id="vpc-app", security_group_ingress=(SecurityGroupRule(ip_protocol="tcp", from_port=HTTPS, to_port=HTTPS, cidr_ip="10.0.0.0/15"),)),
        Instance(id="app", subnet_id="private-a", security_group_ids=("sg-app",)),
        Instance(id="strict", subnet_id="private-a", security_group_ids=("sg-strict",)),
        VpcEndpoint(id="vpce-s3", vpc_id="vpc-app", service_name=f"com.amazonaws.{REGION}.s3", route_table_ids=("rtb-private",), policy_document=ONLY_OUR_BUCKETS),
        *(
            VpcEndpoint(
                id=f"vpce-{service}", vpc_id="vpc-app", service_name=f"com.amazonaws.{REGION}.{service}", vpc_endpoint_type="Interface",
                subnet_ids=("endpoints-a", "endpoints-b"), security_group_ids=("sg-endpoints",), private_dns_enabled=True,
            )
            for service in ("sqs", "kms")
        ),
        VpcEndpoint(
            id="vpce-orders", vpc_id="vpc-app", service_name=f"com.amazonaws.vpce.{REGION}.vpce-svc-orders", vpc_endpoint_type="Interface",
            subnet_ids=("endpoints-a",), security_group_ids=("sg-endpoints",), private_dns_enabled=True,
        ),
    )  # fmt: skip

    provider = (
        Vpc(id="vpc-orders", region=REGION, cidr_block="10.0.0.0/16"),  # the same block: PrivateLink does not mind
        Subnet(id="orders-a", vpc_id="vpc-orders", cidr_block="10.0.1.0/24", availability_zone=zone_a),
        SecurityGroup(id="sg-orders", vpc_id="vpc-orders", security_group_ingress=(SecurityGroupRule(ip_protocol="tcp", from_port=ORDERS, to_port=ORDERS, cidr_ip="10.0.1.0/24"),)),
        Instance(id="orders", subnet_id="orders-a", security_group_ids=("sg-orders",)),
        LoadBalancer(id="nlb-orders", type="network", scheme="internal", subnets=("orders-a",)),
        Listener(id="listener-orders", load_balancer_arn="nlb-orders", port=HTTPS, protocol="TCP", default_actions=(Forward(target_group_arn="tg-orders"),)),
        TargetGroup(id="tg-orders", vpc_id="vpc-orders", port=ORDERS, protocol="TCP", targets=("orders",)),
        VpcEndpointService(id="vpce-svc-orders", network_load_balancer_arns=("nlb-orders",), private_dns_name="orders.example.com"),
    )

    peer = (
        Vpc(id="vpc-peer", region=REGION, cidr_block="10.1.0.0/16"),
        VpcPeeringConnection(id="pcx-app-peer", vpc_id="vpc-app", peer_vpc_id="vpc-peer"),
        Subnet(id="peer-a", vpc_id="vpc-peer", cidr_block="10.1.1.0/24", availability_zone=zone_a),
        RouteTable(
            id="rtb-peer",
            vpc_id="vpc-peer",
            main=True,
            routes=(
                Route(destination_cidr_block="10.0.0.0/16", vpc_peering_connection_id="pcx-app-peer"),
                Route(destination_prefix_list_id="pl-s3-eu-west-1", vpc_peering_connection_id="pcx-app-peer"),  # an attempt that AWS accepts, and that leads nowhere
            ),
        ),
        Instance(id="neighbour", subnet_id="peer-a"),
    )

    outside = (
        Vpc(id="vpc-outside", region=REGION, cidr_block="10.2.0.0/16"),
        InternetGateway(id="igw-outside", vpc_id="vpc-outside"),
        Subnet(id="public-a", vpc_id="vpc-outside", cidr_block="10.2.1.0/24", availability_zone=zone_a, map_public_ip_on_launch=True),
        RouteTable(id="rtb-outside", vpc_id="vpc-outside", main=True, routes=(Route(destination_cidr_block="0.0.0.0/0", gateway_id="igw-outside"),)),
        Instance(id="outsider", subnet_id="public-a"),
    )

    return Topology(name="private_access", resources=storage + application + provider + peer + outside)


topos = mininet_topos(private_access)
