"""The fibre: a site and a VPC over Direct Connect, and nothing else.

    hq (Paris)                       Amsterdam                            eu-west-2 (London)
    pc ── router-hq ══ dxcon-a ══ VLAN 101 ══ vgw-a-amsterdam ───── vgw-a ── vpc-a ── web
"""

from testbed.mn import mininet_topos
from testbed.model import (
    DirectConnectConnection,
    Instance,
    OnPremisesHost,
    OnPremisesSite,
    PrivateVirtualInterface,
    RouteTable,
    SecurityGroup,
    SecurityGroupRule,
    Subnet,
    Topology,
    Vpc,
    VpnGateway,
    VpnGatewayRoutePropagation,
)


def direct_connect() -> Topology:
    """One dedicated connection with one private virtual interface; a VPC whose route table learns the site's LAN."""
    return Topology(
        name="direct_connect",
        time_scale=10,
        resources=(
            Vpc(id="vpc-a", region="eu-west-2", cidr_block="10.0.0.0/16"),
            Subnet(id="subnet-a", vpc_id="vpc-a", cidr_block="10.0.0.0/24", availability_zone="eu-west-2a"),
            RouteTable(id="rtb-a", vpc_id="vpc-a", associations=("subnet-a",)),
            SecurityGroup(id="sg-web", vpc_id="vpc-a", security_group_ingress=(SecurityGroupRule(ip_protocol="-1", cidr_ip="192.168.0.0/16"),)),
            Instance(id="web", subnet_id="subnet-a", private_ip_address="10.0.0.10", security_group_ids=("sg-web",)),
            VpnGateway(id="vgw-a", vpc_id="vpc-a"),
            VpnGatewayRoutePropagation(id="propagation-a", vpn_gateway_id="vgw-a", route_table_ids=("rtb-a",)),
            OnPremisesSite(id="hq", city="Paris", cidr_block="192.168.0.0/24", hosts=(OnPremisesHost(id="pc"),)),
            DirectConnectConnection(id="dxcon-a", site_id="hq", location="Amsterdam", region="eu-west-2"),
            PrivateVirtualInterface(id="dxvif-a", connection_id="dxcon-a", vlan=101, asn=65000, vpn_gateway_id="vgw-a"),
        ),
    )


topos = mininet_topos(direct_connect)
