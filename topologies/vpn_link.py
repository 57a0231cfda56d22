"""A Site-to-Site VPN: an office in London and a VPC in Ireland, over the internet, by two encrypted tunnels.

    pc, printer ── router-office ══ tunnel 1 ══ vpn-office-tunnel-1 ─┐
    192.168.10.0/24   London      \\═ tunnel 2 ══ vpn-office-tunnel-2 ─┴─ vgw ── vpc 10.0.0.0/16 ── web
                               the internet                                      eu-west-1

AWS sends by one tunnel, the first that is up; the office may send by either. A packet may have 1400 bytes at most, and nobody says so to one that is longer
and must not be cut: the router clamps TCP's segments instead.

Try: ``testbed up vpn_link``, then ``testbed vpn``, ``testbed explain pc web``, ``testbed routes rtb-private``,
``testbed capture city-london`` beside ``testbed exec pc ping 10.0.1.10``.
"""

from testbed.mn import mininet_topos
from testbed.model import *

REGION, ZONE = "eu-west-1", "eu-west-1a"
OFFICE, CLOUD = "192.168.10.0/24", "10.0.0.0/16"


def vpn_link() -> Topology:
    """The office, its connection with static routes, and the VPC."""
    office = (
        OnPremisesSite(
            id="office",
            city="London",
            cidr_block=OFFICE,
            hosts=(OnPremisesHost(id="pc", private_ip_address="192.168.10.10"), OnPremisesHost(id="printer", private_ip_address="192.168.10.11")),
        ),
        CustomerGateway(id="cgw-office", site_id="office"),
    )
    connection = (
        VpnGateway(id="vgw", vpc_id="vpc"),
        VpnConnection(id="vpn-office", customer_gateway_id="cgw-office", vpn_gateway_id="vgw", static_routes_only=True, static_routes=(OFFICE,)),
        VpnGatewayRoutePropagation(id="propagation", vpn_gateway_id="vgw", route_table_ids=("rtb-private",)),
    )
    cloud = (
        Vpc(id="vpc", region=REGION, cidr_block=CLOUD),
        Subnet(id="private", vpc_id="vpc", cidr_block="10.0.1.0/24", availability_zone=ZONE),
        Subnet(id="unconnected", vpc_id="vpc", cidr_block="10.0.2.0/24", availability_zone=ZONE),
        RouteTable(id="rtb-private", vpc_id="vpc", associations=("private",)),
        RouteTable(id="rtb-unconnected", vpc_id="vpc", associations=("unconnected",)),  # nothing is propagated here
        SecurityGroup(
            id="sg-web",
            vpc_id="vpc",
            security_group_ingress=(
                SecurityGroupRule(ip_protocol="tcp", from_port=80, to_port=80, cidr_ip=OFFICE),
                SecurityGroupRule(ip_protocol="icmp", cidr_ip=OFFICE),
            ),
        ),
        Instance(id="web", subnet_id="private", private_ip_address="10.0.1.10", security_group_ids=("sg-web",)),
        Instance(id="lonely", subnet_id="unconnected", private_ip_address="10.0.2.10", security_group_ids=("sg-web",)),
    )
    return Topology(name="vpn_link", time_scale=10, resources=(Internet(), *office, *connection, *cloud))


topos = mininet_topos(vpn_link)
