"""An office and a VPC, joined over the internet by a Site-to-Site VPN of two tunnels.

    pc ── router-office ══ tunnel 1 ══ vpn-office-tunnel-1 ─┐
          London        \\═ tunnel 2 ══ vpn-office-tunnel-2 ─┴─ vgw ── vpc-books ─┬─ private   ledger
                          the internet                                           └─ archive   records

In this lab the security groups belong to another team: leave them as they are. Edit the connection, its ends and routes, then: testbed apply
"""

from testbed.model import *

REGION, ZONE = "eu-west-1", "eu-west-1a"
OFFICE, CLOUD = "192.168.10.0/24", "10.20.0.0/16"
KEYS = ("kestrel_1_Harbour", "kestrel_2_Meadow")
HTTPS = 443


def topology() -> Topology:
    office = (
        Internet(),
        OnPremisesSite(id="office", city="London", cidr_block=OFFICE, hosts=(OnPremisesHost(id="pc", private_ip_address="192.168.10.10"),)),
        CustomerGateway(id="cgw-office", site_id="office"),
    )

    aws_end = (VpnTunnelOptions(pre_shared_key=KEYS[0]), VpnTunnelOptions(pre_shared_key=KEYS[1]))
    office_end = (
        CustomerDeviceTunnel(pre_shared_key=KEYS[0], phase1_dh_group_number=19, metric=100, tcp_mss=1360),
        CustomerDeviceTunnel(pre_shared_key=KEYS[1], phase1_dh_group_number=19, metric=200, tcp_mss=1360),
    )

    connection = (
        VpnGateway(id="vgw", vpc_id="vpc-books"),
        VpnConnection(
            id="vpn-office",
            customer_gateway_id="cgw-office",
            vpn_gateway_id="vgw",
            static_routes_only=True,
            static_routes=(OFFICE,),
            customer_routes=(CLOUD,),
            vpn_tunnel_options=aws_end,
            customer_device=office_end,
        ),
        VpnGatewayRoutePropagation(id="propagation", vpn_gateway_id="vgw", route_table_ids=("rtb-private",)),
    )

    cloud = (
        Vpc(id="vpc-books", region=REGION, cidr_block=CLOUD),
        Subnet(id="private", vpc_id="vpc-books", cidr_block="10.20.1.0/24", availability_zone=ZONE),
        Subnet(id="archive", vpc_id="vpc-books", cidr_block="10.20.2.0/24", availability_zone=ZONE),
        RouteTable(id="rtb-private", vpc_id="vpc-books", associations=("private",)),
        RouteTable(id="rtb-archive", vpc_id="vpc-books", associations=("archive",)),
        SecurityGroup(  # another team's
            id="sg-books",
            vpc_id="vpc-books",
            security_group_ingress=(
                SecurityGroupRule(ip_protocol="tcp", from_port=HTTPS, to_port=HTTPS, cidr_ip=OFFICE),
                SecurityGroupRule(ip_protocol="icmp", cidr_ip=OFFICE),
            ),
        ),
        Instance(id="ledger", subnet_id="private", security_group_ids=("sg-books",)),
        Instance(id="records", subnet_id="archive", security_group_ids=("sg-books",)),
    )

    return Topology(name="encrypted_tunnel", time_scale=10, resources=office + connection + cloud)
