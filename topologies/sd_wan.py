"""An SD-WAN on a transit gateway: two appliances of another vendor, joined by GRE and BGP (Connect), share the branch's traffic.

       vpc-app 10.1.0.0/16 ── attach-app ──┐                      ┌── attach-sdwan (transport) ── vpc-sdwan  10.9.0.0/16, 10.50.0.0/24
         app (zone a)                      │       tgw            │        sdwan-a (zone a)  peer-a   AS 65010   announces 10.50.0.0/24
                                           │  172.31.255.0/24     │        sdwan-b (zone b)  peer-b   AS 65010   announces 10.50.0.0/24
                                           │                      └── attach-connect ════ GRE: a peer for each appliance, two BGP sessions in each
                                           │                                              10.50.0.0/24 stands for what lies behind the vendor's overlay: branch (zone a)
       one route table; attach-sdwan, which carries the tunnels, is associated and propagates nothing: 10.50.0.0/24 is known by Connect alone, over both peers (ECMP)

Outside, GRE goes from an appliance's own address to the transit gateway's CIDR block, by a route of the appliances' subnets. Inside, each peer has a /29 of 169.254.0.0/16:
the first address is the appliance's, the next two the transit gateway's, with a session each.

Try: ``testbed up sd_wan``, then ``testbed bgp sdwan-a``, ``testbed routes tgw``, ``testbed explain app branch --proto icmp``, ``testbed fail sdwan-a``, ``testbed capture tgw``.
"""

from testbed.mn import mininet_topos
from testbed.model import *

REGION = "eu-central-1"
BRANCH = "10.50.0.0/24"


def sd_wan() -> Topology:
    """A spoke, a transit gateway with a Connect attachment, and the VPC of the appliances and the branch."""
    hub = (
        TransitGateway(id="tgw", region=REGION, default_route_table_association=False, default_route_table_propagation=False, transit_gateway_cidr_blocks=("172.31.255.0/24",)),
        TransitGatewayRouteTable(id="tgw-rtb", transit_gateway_id="tgw", associations=("attach-app", "attach-sdwan", "attach-connect"), propagations=("attach-app", "attach-connect")),
        TransitGatewayVpcAttachment(id="attach-app", transit_gateway_id="tgw", vpc_id="vpc-app", subnet_ids=("app-a",)),
        TransitGatewayVpcAttachment(id="attach-sdwan", transit_gateway_id="tgw", vpc_id="vpc-sdwan", subnet_ids=("sdwan-tgw-a", "sdwan-tgw-b")),
        TransitGatewayConnect(id="attach-connect", transport_transit_gateway_attachment_id="attach-sdwan"),
        TransitGatewayConnectPeer(id="peer-a", transit_gateway_attachment_id="attach-connect", peer_address="10.9.1.10", inside_cidr_block="169.254.6.0/29", bgp_asn=65010),
        TransitGatewayConnectPeer(id="peer-b", transit_gateway_attachment_id="attach-connect", peer_address="10.9.2.10", inside_cidr_block="169.254.7.0/29", bgp_asn=65010),
    )
    app = (
        Vpc(id="vpc-app", region=REGION, cidr_block="10.1.0.0/16"),
        Subnet(id="app-a", vpc_id="vpc-app", cidr_block="10.1.1.0/24", availability_zone=f"{REGION}a"),
        RouteTable(id="rtb-app", vpc_id="vpc-app", associations=("app-a",), routes=(Route(destination_cidr_block="0.0.0.0/0", transit_gateway_id="tgw"),)),
        SecurityGroup(id="sg-app", vpc_id="vpc-app", security_group_ingress=(SecurityGroupRule(ip_protocol="-1", cidr_ip=BRANCH),)),
        Instance(id="app", subnet_id="app-a", private_ip_address="10.1.1.10", security_group_ids=("sg-app",)),
    )
    to_tgw = Route(destination_cidr_block="172.31.255.0/24", transit_gateway_id="tgw")
    gre = SecurityGroupRule(ip_protocol="47", cidr_ip="172.31.255.0/24")
    forwarded = SecurityGroupRule(ip_protocol="-1", cidr_ip=BRANCH)
    appliances = (
        Vpc(id="vpc-sdwan", region=REGION, cidr_block="10.9.0.0/16", cidr_block_associations=(BRANCH,)),
        *(
            resource
            for zone, number in (("a", 1), ("b", 2))
            for resource in (
                Subnet(id=f"sdwan-{zone}-subnet", vpc_id="vpc-sdwan", cidr_block=f"10.9.{number}.0/24", availability_zone=f"{REGION}{zone}"),
                Subnet(id=f"sdwan-tgw-{zone}", vpc_id="vpc-sdwan", cidr_block=f"10.9.255.{16 * (number - 1)}/28", availability_zone=f"{REGION}{zone}"),
                Instance(
                    id=f"sdwan-{zone}", subnet_id=f"sdwan-{zone}-subnet", private_ip_address=f"10.9.{number}.10", security_group_ids=("sg-sdwan",), source_dest_check=False,
                    user_data=SdWanAppliance(prefixes=(BRANCH,)),
                ),
            )
        ),
        RouteTable(id="rtb-sdwan", vpc_id="vpc-sdwan", associations=("sdwan-a-subnet", "sdwan-b-subnet"), routes=(to_tgw,)),
        SecurityGroup(id="sg-sdwan", vpc_id="vpc-sdwan", security_group_ingress=(gre, forwarded)),
    )  # fmt: skip
    branch = (
        Subnet(id="branch-a", vpc_id="vpc-sdwan", cidr_block=BRANCH, availability_zone=f"{REGION}a"),
        RouteTable(id="rtb-branch", vpc_id="vpc-sdwan", associations=("branch-a",), routes=(Route(destination_cidr_block="10.1.0.0/16", instance_id="sdwan-a"),)),
        SecurityGroup(id="sg-branch", vpc_id="vpc-sdwan", security_group_ingress=(SecurityGroupRule(ip_protocol="-1", cidr_ip="10.1.0.0/16"),)),
        Instance(id="branch", subnet_id="branch-a", private_ip_address="10.50.0.10", security_group_ids=("sg-branch",)),
    )
    return Topology(name="sd_wan", time_scale=10, resources=(*hub, *app, *appliances, *branch))


topos = mininet_topos(sd_wan)
