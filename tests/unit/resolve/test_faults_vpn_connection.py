"""Faults of VPN connections, virtual private gateways and sites across resources."""

from dataclasses import replace

from testbed.model import (
    CustomerGateway,
    ModelError,
    OnPremisesHost,
    OnPremisesSite,
    Route,
    RouteTable,
    Topology,
    Vpc,
    VpnConnection,
    VpnGateway,
    VpnGatewayRoutePropagation,
    VpnTunnelOptions,
)
from testbed.resolve import resolve
from topologies.vpn_link import vpn_link

LINK = vpn_link()
OTHER = Vpc(id="vpc-2", region="eu-west-1", cidr_block="10.9.0.0/16")


def changed(kind: type, **fields: object) -> Topology:
    return replace(LINK, resources=tuple(replace(each, **fields) if isinstance(each, kind) else each for each in LINK.resources))


def told(topology: Topology) -> list[tuple[str, str]]:
    try:
        resolve(topology)
    except ModelError as error:
        return [(fault.resource, fault.problem) for fault in error.faults]
    return []


def test_the_link_has_no_faults():
    assert told(LINK) == []


def test_inside_blocks_that_meet_are_told():
    both = (VpnTunnelOptions(tunnel_inside_cidr="169.254.10.0/30"), VpnTunnelOptions(tunnel_inside_cidr="169.254.10.0/30"))
    assert told(changed(VpnConnection, vpn_tunnel_options=both)) == [("vpn-office tunnel 2", "tunnel_inside_cidr 169.254.10.0/30 overlaps that of vpn-office tunnel 1")]


def test_an_asn_on_both_sides_is_told_of_bgp_only():
    same = changed(CustomerGateway, bgp_asn=64512)
    dynamic = replace(same, resources=tuple(replace(each, static_routes_only=False, static_routes=()) if isinstance(each, VpnConnection) else each for each in same.resources))
    assert told(same) == []
    assert told(dynamic) == [("vpn-office", "cgw-office and vgw both have the ASN 64512")]


def test_a_second_gateway_for_a_vpc_is_told():
    assert told(replace(LINK, resources=(*LINK.resources, VpnGateway(id="vgw-2", vpc_id="vpc")))) == [("vpc", "2 virtual private gateways are attached to it")]


def test_propagation_stays_within_the_gateways_vpc():
    foreign = (OTHER, RouteTable(id="rtb-2", vpc_id="vpc-2"), VpnGatewayRoutePropagation(id="more", vpn_gateway_id="vgw", route_table_ids=("rtb-2",)))
    assert told(replace(LINK, resources=(*LINK.resources, *foreign))) == [("more", "rtb-2 is a table of vpc-2, but vgw is attached to vpc")]


def test_a_route_to_another_vpcs_gateway_is_told():
    foreign = (OTHER, RouteTable(id="rtb-2", vpc_id="vpc-2", routes=(Route(destination_cidr_block="192.168.0.0/16", gateway_id="vgw"),)))
    assert told(replace(LINK, resources=(*LINK.resources, *foreign))) == [("rtb-2 192.168.0.0/16", "target vgw is in vpc, not in vpc-2")]


def test_dangling_names_are_told():
    assert told(changed(VpnConnection, customer_gateway_id="cgw-offise")) == [("vpn-office", "customer_gateway_id 'cgw-offise' does not exist")]


def test_hosts_of_a_site_lie_in_its_lan_and_have_names_of_their_own():
    outside = (OnPremisesHost(id="pc", private_ip_address="192.168.11.10"), OnPremisesHost(id="web"))
    assert told(changed(OnPremisesSite, hosts=outside)) == [("pc", "private_ip_address 192.168.11.10 is outside office's 192.168.10.0/24"), ("web", "the id belongs to something else as well")]


def test_static_routes_and_bgp_exclude_each_other():
    assert told(changed(VpnConnection, static_routes_only=False)) == [("vpn-office", "static routes on a connection that uses BGP")]


def test_a_key_that_does_not_fit_is_no_fault():
    wrong = (replace(next(iter(LINK.of(VpnConnection))).customer_device[0], pre_shared_key="not_the_same"),) * 2
    resolved = resolve(changed(VpnConnection, customer_device=wrong))
    assert [tunnel.cause for tunnel in resolved.vpn_connections[0].tunnels] == ["the pre-shared keys differ"] * 2
