"""A shop that is attacked: by SYN floods, by HTTP floods, and past everything at its origin.

    client (London) ─┐
                     ├─▶ edge location ──▶ igw ──▶ web   60 requests a second, not one more
    crowd (London) ──┘   CloudFront

The capacity of web is what it is. Edit names, protections and groups, then: testbed apply
"""

from testbed.model import *

REGION, ZONE = "eu-west-1", "eu-west-1a"
ORIGIN = "198.19.12.50"
CLOUDFRONT = "203.0.113.0/24"  # where edge locations have their addresses
HTTP = 80


def topology() -> Topology:
    world = (Internet(edge_locations=("LHR",)), User(id="client", city="London"), User(id="crowd", city="London"))

    names = (
        HostedZone(
            id="zone-shop",
            name="shop.example.com",
            record_sets=(
                RecordSet(name="shop.example.com", type="A", alias_target="cdn-shop"),
                RecordSet(name="origin.shop.example.com", type="A", ttl=60, resource_records=(ORIGIN,)),
            ),
        ),
    )

    edge = (
        Distribution(
            id="cdn-shop",
            aliases=("shop.example.com",),
            origins=(Origin(id="web", domain_name="origin.shop.example.com", origin_protocol_policy="http-only"),),
            default_cache_behavior=CacheBehavior(target_origin_id="web", viewer_protocol_policy="allow-all", cache_policy=CACHING_DISABLED),
        ),
        ShieldProtection(id="protect-shop", resource_arn="cdn-shop", application_layer_automatic_response="Block"),
    )

    origin = (
        Vpc(id="vpc-shop", region=REGION, cidr_block="10.20.0.0/16"),
        InternetGateway(id="igw-shop", vpc_id="vpc-shop"),
        Subnet(id="public", vpc_id="vpc-shop", cidr_block="10.20.1.0/24", availability_zone=ZONE),
        RouteTable(id="rtb-public", vpc_id="vpc-shop", associations=("public",), routes=(Route(destination_cidr_block="0.0.0.0/0", gateway_id="igw-shop"),)),
        PrefixList(id="pl-cloudfront", region=REGION, max_entries=1, entries=(PrefixListEntry(cidr=CLOUDFRONT, description="edge locations"),)),
        SecurityGroup(
            id="sg-origin",
            vpc_id="vpc-shop",
            security_group_ingress=(
                SecurityGroupRule(ip_protocol="tcp", from_port=HTTP, to_port=HTTP, prefix_list_id="pl-cloudfront"),
            ),
        ),
        ElasticIp(id="eip-web", region=REGION, public_ip=ORIGIN, instance_id="web"),
        Instance(id="web", subnet_id="public", security_group_ids=("sg-origin",), user_data=WebServer(port=HTTP, requests_per_second=60)),
    )

    return Topology(name="under_attack", time_scale=60, resources=world + names + edge + origin)
