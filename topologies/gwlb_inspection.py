"""Everything between the internet and an application passes an inspecting appliance in another VPC, and nobody's address changes.

    client (London) ── internet ── igw ── edge table: app-a -> gwlbe-a, app-b -> gwlbe-b            vpc-app 10.0.0.0/16, two zones
                                            gwlbe-a  0/0 -> igw       app-a  web-a   0/0 -> gwlbe-a
                                            gwlbe-b  0/0 -> igw       app-b  web-b   0/0 -> gwlbe-b
                                               ║ inspection: an endpoint service
                                            gwlb (security-a, security-b) ── GENEVE, UDP 6081 ──▶ fw-a, fw-b    vpc-security 10.1.0.0/16

A packet from the client passes the internet gateway, whose route table sends it to the endpoint of the application's zone; from there it goes to that zone's node of the
Gateway Load Balancer, in GENEVE to the appliance and back, leaves the endpoint as it entered, and reaches the application with the client's address. The
answer takes the same way. The appliances drop packets with the word EICAR in their payload.

Source: PrivateLink guide, "Access an inspection system using a Gateway Load Balancer endpoint" (documented).

Try: ``testbed up gwlb_inspection``, ``testbed explain client web-a tcp/80``, ``testbed capture fw-a``; then stop fw-a: existing flows die with it, new ones go nowhere else in its zone.
"""

from testbed.mn import mininet_topos
from testbed.model import *

ANYWHERE = "0.0.0.0/0"
REGION = "eu-west-1"
ZONES = ("a", "b")
APP, SECURITY = "vpc-app", "vpc-security"
GENEVE = 6081
WORD = "EICAR"


def gwlb_inspection() -> Topology:
    """An application in two zones, inspected by one appliance in each."""
    application = (
        Internet(),
        User(id="client", city="London"),
        Vpc(id=APP, region=REGION, cidr_block="10.0.0.0/16"),
        InternetGateway(id="igw-app", vpc_id=APP),
        *(_subnet(f"app-{zone}", APP, zone, f"10.0.{number}.0/24") for number, zone in enumerate(ZONES, 1)),
        *(_subnet(f"gwlbe-{zone}", APP, zone, f"10.0.10{number}.0/24") for number, zone in enumerate(ZONES, 1)),
        RouteTable(
            id="rtb-edge", vpc_id=APP, gateway_associations=("igw-app",),
            routes=tuple(Route(destination_cidr_block=f"10.0.{number}.0/24", vpc_endpoint_id=f"vpce-{zone}") for number, zone in enumerate(ZONES, 1)),
        ),
        *(RouteTable(id=f"rtb-app-{zone}", vpc_id=APP, associations=(f"app-{zone}",), routes=(Route(destination_cidr_block=ANYWHERE, vpc_endpoint_id=f"vpce-{zone}"),)) for zone in ZONES),
        RouteTable(id="rtb-gwlbe", vpc_id=APP, associations=tuple(f"gwlbe-{zone}" for zone in ZONES), routes=(Route(destination_cidr_block=ANYWHERE, gateway_id="igw-app"),)),
        *(VpcEndpoint(id=f"vpce-{zone}", vpc_id=APP, vpc_endpoint_type="GatewayLoadBalancer", service_name=f"com.amazonaws.vpce.{REGION}.inspection", subnet_ids=(f"gwlbe-{zone}",)) for zone in ZONES),
        SecurityGroup(id="sg-web", vpc_id=APP, security_group_ingress=(_rule("tcp", 80, ANYWHERE), _rule("udp", 9000, ANYWHERE), _rule("icmp", -1, ANYWHERE))),
        *(Instance(id=f"web-{zone}", subnet_id=f"app-{zone}", security_group_ids=("sg-web",), associate_public_ip_address=True) for zone in ZONES),
    )  # fmt: skip
    security = (
        Vpc(id=SECURITY, region=REGION, cidr_block="10.1.0.0/16"),
        *(_subnet(f"security-{zone}", SECURITY, zone, f"10.1.{number}.0/24") for number, zone in enumerate(ZONES, 1)),
        SecurityGroup(id="sg-fw", vpc_id=SECURITY, security_group_ingress=(_rule("udp", GENEVE, "10.1.0.0/16"), _rule("tcp", 80, "10.1.0.0/16"))),
        *(Instance(id=f"fw-{zone}", subnet_id=f"security-{zone}", security_group_ids=("sg-fw",), user_data=GeneveAppliance(signatures=(WORD,))) for zone in ZONES),
        LoadBalancer(id="gwlb", type="gateway", subnets=tuple(f"security-{zone}" for zone in ZONES)),
        TargetGroup(id="tg-fw", vpc_id=SECURITY, protocol="GENEVE", port=GENEVE, targets=tuple(f"fw-{zone}" for zone in ZONES)),
        Listener(id="gwlb-all", load_balancer_arn="gwlb", protocol="GENEVE", port=GENEVE, default_actions=(Forward(target_group_arn="tg-fw"),)),
        VpcEndpointService(id="inspection", gateway_load_balancer_arns=("gwlb",)),
    )
    return Topology(name="gwlb-inspection", time_scale=10.0, resources=application + security)


def _subnet(name: str, vpc: str, zone: str, block: str) -> Subnet:
    return Subnet(id=name, vpc_id=vpc, cidr_block=block, availability_zone=f"{REGION}{zone}")


def _rule(protocol: str, port: int, block: str) -> SecurityGroupRule:
    return SecurityGroupRule(ip_protocol=protocol, from_port=port, to_port=port, cidr_ip=block)


topos = mininet_topos(gwlb_inspection)
