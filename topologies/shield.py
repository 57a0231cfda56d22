"""A shop under attack: what Shield Standard stops without being asked, and what Shield Advanced learns to stop.

    client (London) ─┐
                     ├─▶ edge location LHR ──▶ igw ──▶ web   60 requests a second, not one more
    crowd (London) ──┘   SYN cookies, rate rule  └ validation, shaped floods

Try: ``testbed up shield``, then ``testbed attack edge-lhr --kind syn-flood --compare``, ``testbed attack web --kind udp-reflection``,
``testbed attack http://shop.example.com/ --kind http-flood --seconds 4 --compare``. `crowd` is one attacker with many addresses, none of them its own.
"""

from testbed.mn import mininet_topos
from testbed.model import *

REGION, ORIGIN = "eu-west-1", "198.19.12.50"
HTTP = 80


def shield() -> Topology:
    """A distribution before an instance of known capacity, both with Shield Advanced."""
    world = (Internet(edge_locations=("LHR",)), User(id="client", city="London"), User(id="crowd", city="London"))
    network = (
        Vpc(id="vpc-shop", region=REGION, cidr_block="10.0.0.0/16"),
        InternetGateway(id="igw-shop", vpc_id="vpc-shop"),
        Subnet(id="public", vpc_id="vpc-shop", cidr_block="10.0.0.0/24", availability_zone=f"{REGION}a"),
        RouteTable(id="rtb-public", vpc_id="vpc-shop", associations=("public",), routes=(Route(destination_cidr_block="0.0.0.0/0", gateway_id="igw-shop"),)),
        SecurityGroup(
            id="sg-web",
            vpc_id="vpc-shop",
            security_group_ingress=(
                SecurityGroupRule(ip_protocol="tcp", from_port=HTTP, to_port=HTTP, cidr_ip="0.0.0.0/0"),
                SecurityGroupRule(ip_protocol="udp", from_port=0, to_port=65535, cidr_ip="0.0.0.0/0"),  # nobody should; here one shall see what arrives
            ),
        ),
        ElasticIp(id="eip-web", region=REGION, public_ip=ORIGIN, instance_id="web"),
        Instance(id="web", subnet_id="public", security_group_ids=("sg-web",), user_data=WebServer(port=HTTP, requests_per_second=60)),
    )
    edge = (
        HostedZone(
            id="zone-shop",
            name="shop.example.com",
            record_sets=(
                RecordSet(name="shop.example.com", type="A", alias_target="cdn-shop"),
                RecordSet(name="origin.shop.example.com", type="A", ttl=60, resource_records=(ORIGIN,)),
            ),
        ),
        Distribution(
            id="cdn-shop",
            aliases=("shop.example.com",),
            origins=(Origin(id="web", domain_name="origin.shop.example.com", origin_protocol_policy="http-only"),),
            default_cache_behavior=CacheBehavior(target_origin_id="web", viewer_protocol_policy="allow-all", cache_policy=CACHING_DISABLED),
        ),
    )
    shield_advanced = (
        ShieldProtection(id="protect-cdn", resource_arn="cdn-shop", application_layer_automatic_response="Block", health_based_detection=True),
        ShieldProtection(id="protect-web", resource_arn="eip-web"),
    )
    return Topology(name="shield", time_scale=60, resources=world + network + edge + shield_advanced)


topos = mininet_topos(shield)
