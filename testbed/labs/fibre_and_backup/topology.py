"""An office with a fibre to AWS, Direct Connect, and a VPN over the internet as its backup.

                       ┌── dxcon-hq ═ VLAN 101 ═ Amsterdam ─────── primary ──┐
    pc ── router-hq ───┤                                                     ├── vgw ── vpc-shop ── app
          Paris        └── internet ══ vpn-hq: two tunnels ────── backup ────┘

In this lab the security groups belong to another team: leave them as they are. Edit the two connections and the router's end of each, then: testbed apply
"""

from testbed.model import *

REGION, ZONE = "eu-west-2", "eu-west-2a"
OFFICE, CLOUD = "192.168.10.0/24", "10.20.0.0/16"
ASN = 65010
KEYS = ("kestrel_1_Harbour", "kestrel_2_Meadow")
HTTPS = 443


def topology() -> Topology:
    office = (
        Internet(),
        OnPremisesSite(id="hq", city="Paris", cidr_block=OFFICE, hosts=(OnPremisesHost(id="pc", private_ip_address="192.168.10.10"),)),
        CustomerGateway(id="cgw-hq", site_id="hq", bgp_asn=ASN),
    )

    router_on_the_fibre = CustomerDeviceSession(
        metric=50,  # of two ways the router takes the one with the lower metric
        tcp_mss=1360,
        bfd=True,
    )
    fibre = (
        DirectConnectConnection(id="dxcon-hq", site_id="hq", location="Amsterdam", region=REGION),
        PrivateVirtualInterface(id="dxvif-hq", connection_id="dxcon-hq", vlan=101, asn=ASN, vpn_gateway_id="vgw", auth_key="hemlock_Stone_7", customer_device=router_on_the_fibre),
    )

    router_in_the_tunnels = (
        CustomerDeviceTunnel(pre_shared_key=KEYS[0], phase2_encryption_algorithm="AES256", metric=100),
        CustomerDeviceTunnel(pre_shared_key=KEYS[1], phase2_encryption_algorithm="AES256", metric=200),
    )
    aws_end = (VpnTunnelOptions(pre_shared_key=KEYS[0]), VpnTunnelOptions(pre_shared_key=KEYS[1]))
    tunnels = (VpnConnection(id="vpn-hq", customer_gateway_id="cgw-hq", vpn_gateway_id="vgw", vpn_tunnel_options=aws_end, customer_device=router_in_the_tunnels),)

    cloud = (
        Vpc(id="vpc-shop", region=REGION, cidr_block=CLOUD),
        VpnGateway(id="vgw", vpc_id="vpc-shop"),
        VpnGatewayRoutePropagation(id="propagation", vpn_gateway_id="vgw", route_table_ids=("rtb-private",)),
        Subnet(id="private", vpc_id="vpc-shop", cidr_block="10.20.1.0/24", availability_zone=ZONE),
        RouteTable(id="rtb-private", vpc_id="vpc-shop", associations=("private",)),
        SecurityGroup(  # another team's
            id="sg-app",
            vpc_id="vpc-shop",
            security_group_ingress=(
                SecurityGroupRule(ip_protocol="tcp", from_port=HTTPS, to_port=HTTPS, cidr_ip=OFFICE),
                SecurityGroupRule(ip_protocol="udp", from_port=HTTPS, to_port=HTTPS, cidr_ip=OFFICE),
                SecurityGroupRule(ip_protocol="icmp", cidr_ip=OFFICE),
            ),
        ),
        Instance(id="app", subnet_id="private", security_group_ids=("sg-app",)),
    )

    return Topology(name="fibre_and_backup", time_scale=10, resources=office + fibre + tunnels + cloud)
