"""The fibre and its backup: an office with Direct Connect and a VPN to one transit gateway, and VPCs in two Regions behind it.

                         ┌── dxcon-hq ═ VLAN 200 ═ London ─ dxgw ── primary: BGP, BFD 3 × 300 ms ──┐
    pc ── router-hq ─────┤                                                                         ├── tgw-ireland ── peering ── tgw-frankfurt
    192.168.0.0/24       └── internet ══ vpn-hq: 2 tunnels ──────── backup: BGP ───────────────────┘        │                          │
    Paris                                                                                                vpc-ireland                vpc-frankfurt
                                                                                                         10.1.0.0/16                10.2.0.0/16
                                                                                                            app                       reports

Who chooses, and how. From AWS: of routes with one prefix a transit gateway prefers what a Direct Connect gateway propagates to what a VPN does by BGP, whatever their AS paths. From the office: the
router's own metric, 50 for the fibre, 100 and 200 for the tunnels. Both must agree, or the two directions take two ways. BFD notices within a second that the fibre carries nothing any more,
although its light is on; without it the hold timer does, after 90 s. Between the Regions every route is written by hand: nothing is propagated over a peering.

The internet's delay varies, as other people's traffic does; the fibre's does not (``testbed bench latency --plot latency.svg``).

The router clamps TCP's segments on the fibre to what fits into the tunnels. Otherwise a connection that begins on the fibre dies on its backup: its long packets vanish at AWS's end, without a word.

The fibre is told `allowed_prefixes` word for word, the tunnels hear what tgw-ireland's route table holds: keep the two alike, or the longer prefix wins, primary or not.

Try: ``testbed up hybrid``, then ``testbed bgp tgw-ireland``, ``testbed vpn``, ``testbed routes tgw-ireland``, ``testbed explain pc reports --proto icmp``,
``testbed fail dxcon-hq --mode blackhole`` beside ``testbed exec pc ping -i 0.1 10.1.0.10``, ``testbed heal dxcon-hq``.
"""

from testbed.mn import mininet_topos
from testbed.model import *

IRELAND, FRANKFURT = "eu-west-1", "eu-central-1"
MSS = 1360  # the tunnels' own
OFFICE, IN_IRELAND, IN_FRANKFURT = "192.168.0.0/24", "10.1.0.0/16", "10.2.0.0/16"


def hybrid() -> Topology:
    """An office, its two ways to AWS, and two Regions."""
    office = (
        OnPremisesSite(id="hq", city="Paris", cidr_block=OFFICE, hosts=(OnPremisesHost(id="pc", private_ip_address="192.168.0.10"), OnPremisesHost(id="nas", private_ip_address="192.168.0.11"))),
        CustomerGateway(id="cgw-hq", site_id="hq", bgp_asn=65000),
    )
    fibre = (
        DirectConnectConnection(id="dxcon-hq", site_id="hq", location="London", region=IRELAND),
        TransitVirtualInterface(id="dxvif-hq", connection_id="dxcon-hq", vlan=200, asn=65000, direct_connect_gateway_id="dxgw", customer_device=CustomerDeviceSession(tcp_mss=MSS)),
        DirectConnectGateway(id="dxgw", amazon_side_asn=64600),
        DirectConnectGatewayAssociation(id="dxga-ireland", direct_connect_gateway_id="dxgw", associated_gateway_id="tgw-ireland", allowed_prefixes=(IN_IRELAND, IN_FRANKFURT)),
    )
    tunnels = (VpnConnection(id="vpn-hq", customer_gateway_id="cgw-hq", transit_gateway_id="tgw-ireland"),)
    hubs = (
        TransitGateway(id="tgw-ireland", region=IRELAND, amazon_side_asn=64701, association_default_route_table_id="tgw-rtb-ireland", propagation_default_route_table_id="tgw-rtb-ireland"),
        TransitGatewayRouteTable(id="tgw-rtb-ireland", transit_gateway_id="tgw-ireland", routes=(TransitGatewayRoute(destination_cidr_block=IN_FRANKFURT, attachment_id="peering"),)),
        TransitGateway(id="tgw-frankfurt", region=FRANKFURT, amazon_side_asn=64702, association_default_route_table_id="tgw-rtb-frankfurt", propagation_default_route_table_id="tgw-rtb-frankfurt"),
        TransitGatewayRouteTable(
            id="tgw-rtb-frankfurt",
            transit_gateway_id="tgw-frankfurt",
            routes=(
                TransitGatewayRoute(destination_cidr_block=IN_IRELAND, attachment_id="peering"),
                TransitGatewayRoute(destination_cidr_block=OFFICE, attachment_id="peering"),
            ),
        ),
        TransitGatewayPeeringAttachment(id="peering", transit_gateway_id="tgw-ireland", peer_transit_gateway_id="tgw-frankfurt"),
    )
    vpcs = (*_vpc("ireland", IRELAND, IN_IRELAND, "app"), *_vpc("frankfurt", FRANKFURT, IN_FRANKFURT, "reports"))
    return Topology(name="hybrid", time_scale=10, resources=(Internet(jitter_ms=3), *office, *fibre, *tunnels, *hubs, *vpcs))


def _vpc(name: str, region: str, block: str, instance: str) -> tuple[Resource, ...]:
    """A VPC with one instance, everything private by its Region's transit gateway."""
    subnet, tgw_subnet = block.replace(".0.0/16", ".0.0/24"), block.replace(".0.0/16", ".255.0/28")
    return (
        Vpc(id=f"vpc-{name}", region=region, cidr_block=block),
        Subnet(id=f"{name}-private", vpc_id=f"vpc-{name}", cidr_block=subnet, availability_zone=f"{region}a"),
        Subnet(id=f"{name}-tgw", vpc_id=f"vpc-{name}", cidr_block=tgw_subnet, availability_zone=f"{region}a"),
        RouteTable(
            id=f"rtb-{name}",
            vpc_id=f"vpc-{name}",
            associations=(f"{name}-private",),
            routes=tuple(Route(destination_cidr_block=private, transit_gateway_id=f"tgw-{name}") for private in ("10.0.0.0/8", "192.168.0.0/16")),
        ),
        SecurityGroup(
            id=f"sg-{instance}",
            vpc_id=f"vpc-{name}",
            security_group_ingress=tuple(SecurityGroupRule(ip_protocol="-1", cidr_ip=private) for private in ("10.0.0.0/8", "192.168.0.0/16")),
        ),
        Instance(id=instance, subnet_id=f"{name}-private", private_ip_address=block.replace(".0.0/16", ".0.10"), security_group_ids=(f"sg-{instance}",)),
        TransitGatewayVpcAttachment(id=f"attach-{name}", transit_gateway_id=f"tgw-{name}", vpc_id=f"vpc-{name}", subnet_ids=(f"{name}-tgw",)),
    )


topos = mininet_topos(hybrid)
