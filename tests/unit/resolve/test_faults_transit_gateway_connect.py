"""Faults of Connect attachments and Connect peers, and what is chosen where a peer leaves it open."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from testbed.model import (
    CustomerGateway,
    SdWanAppliance,
    TransitGatewayConnect,
    TransitGatewayConnectPeer,
    TransitGatewayRoute,
    TransitGatewayRouteTable,
    VpnConnection,
    VpnTunnelOptions,
)
from testbed.resolve import resolve
from tests.scenarios.connects import over_direct_connect
from tests.unit.resolve.small import faults
from topologies.sd_wan import sd_wan


def told(*changed):
    ids = {each.id for each in changed}
    topology = sd_wan()
    spoiled = replace(topology, resources=(*(each for each in topology.resources if each.id not in ids), *changed))
    return [(fault.resource, fault.problem) for fault in faults(spoiled)]


def own(resource_id, **fields):
    return replace(next(each for each in sd_wan().resources if each.id == resource_id), **fields)


def peer(number, **fields):
    return TransitGatewayConnectPeer(
        **{"id": f"peer-{number}", "transit_gateway_attachment_id": "attach-connect", "peer_address": "10.9.1.10", "inside_cidr_block": f"169.254.{10 + number}.0/29", **fields}
    )


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        (TransitGatewayConnect(id="attach-connect", transport_transit_gateway_attachment_id="attach-none"), ("attach-connect", "transport_transit_gateway_attachment_id 'attach-none' does not exist")),
        (
            TransitGatewayConnect(id="attach-connect", transport_transit_gateway_attachment_id="vpc-app"),
            ("attach-connect", "transport_transit_gateway_attachment_id 'vpc-app' is no VPC attachment and no Direct Connect gateway's, which alone can carry GRE"),
        ),
        (TransitGatewayConnect(id="over-itself", transport_transit_gateway_attachment_id="attach-connect"), ("over-itself", "transport_transit_gateway_attachment_id 'attach-connect' is no VPC attachment and no Direct Connect gateway's, which alone can carry GRE")),
        (peer(1, transit_gateway_attachment_id="attach-sdwan"), ("peer-1", "transit_gateway_attachment_id 'attach-sdwan' is not a Connect attachment")),
        (peer(1, inside_cidr_block="169.254.7.0/29"), ("peer-b", "inside_cidr_block 169.254.7.0/29 overlaps that of peer-1")),
        (peer(1, inside_cidr_block="169.254.6.0/30"), ("peer-1", "inside_cidr_block 169.254.6.0/30 is not a /29 of 169.254.0.0/16")),
        (peer(1, inside_cidr_block="169.254.5.0/29"), ("peer-1", "inside_cidr_block 169.254.5.0/29 is reserved by AWS")),
        (peer(1, inside_cidr_block="here"), ("peer-1", "inside_cidr_block 'here' is not an IPv4 CIDR block")),
        (peer(1, peer_address="here"), ("peer-1", "peer_address 'here' is not an IPv4 address")),
        (peer(1, transit_gateway_address="10.0.0.1"), ("peer-1", "transit_gateway_address 10.0.0.1 is in no CIDR block of tgw")),
        (peer(1, bgp_asn=0), ("peer-1", "bgp_asn 0 is out of bounds")),
        (peer(1, bgp_asn=7224), ("peer-1", "bgp_asn 7224 is reserved by AWS")),
        (own("sdwan-a", user_data=SdWanAppliance(prefixes=("10.50.0.0/24x",))), ("sdwan-a", "user_data prefixes '10.50.0.0/24x' is not an IPv4 CIDR block")),
        (own("sdwan-a", user_data=SdWanAppliance(as_path_prepend=99)), ("sdwan-a", "user_data as_path_prepend 99 is out of bounds")),
    ],
)  # fmt: skip
def test_a_mistake_is_told(wrong, expected):
    assert expected in told(wrong)


def test_outer_addresses_tell_tunnels_apart():
    same = {"transit_gateway_address": "172.31.255.9"}
    assert told(peer(1, **same), peer(2, **same)) == [("peer-2", "the tunnel from 172.31.255.9 to 10.9.1.10 is peer-1's already")]
    other = TransitGatewayConnect(id="connect-2", transport_transit_gateway_attachment_id="attach-sdwan")
    assert told(other, peer(1, **same), peer(2, transit_gateway_attachment_id="connect-2", peer_address="10.9.2.10", **same)) == [("peer-2", "transit_gateway_address 172.31.255.9 belongs to attach-connect")]


def test_a_transit_gateway_needs_a_block_for_outer_addresses():
    assert told(own("tgw", transit_gateway_cidr_blocks=())) == [("peer-a", "tgw has no CIDR block for its outer address"), ("peer-b", "tgw has no CIDR block for its outer address")]


def test_bgp_addresses_differ_from_those_of_tunnels():
    tunnels = (VpnTunnelOptions(tunnel_inside_cidr="169.254.6.4/30"), VpnTunnelOptions())
    connection = VpnConnection(id="vpn", customer_gateway_id="cgw", transit_gateway_id="tgw", vpn_tunnel_options=tunnels)
    assert told(connection, CustomerGateway(id="cgw", ip_address="198.51.100.1")) == [("peer-a", "inside_cidr_block overlaps 169.254.6.4/30 of vpn tunnel 1")]


def test_more_than_four_peers_are_told():
    assert told(*(peer(number, peer_address=f"10.9.1.{20 + number}") for number in range(1, 4))) == [("attach-connect", "5 Connect peers, over the limit of 4")]


def test_a_static_route_to_a_connect_attachment_is_told():
    table = own("tgw-rtb", routes=(TransitGatewayRoute(destination_cidr_block="10.60.0.0/16", attachment_id="attach-connect"),))
    assert told(table) == [("tgw-rtb 10.60.0.0/16", "a static route to the Connect attachment attach-connect")]


def test_it_is_associated_with_one_table_like_any_attachment():
    table = TransitGatewayRouteTable(id="tgw-rtb-2", transit_gateway_id="tgw", associations=("attach-connect",))
    assert told(table) == [("attach-connect", "Resource.AlreadyAssociated: attach-connect is associated with tgw-rtb and tgw-rtb-2")]


def test_what_is_left_open_is_chosen():
    first, second = resolve(sd_wan()).connect_peers
    assert (first.transit_gateway_address, second.transit_gateway_address) == (IPv4Address("172.31.255.1"), IPv4Address("172.31.255.2"))
    assert (first.node, first.peer_asn, first.device_asn, first.mtu_bytes) == ("sdwan-a", 65010, 65010, 8476)


def test_nobody_at_the_other_end_is_no_fault():
    topology = sd_wan()
    lonely = peer(1, peer_address="10.9.1.77", bgp_asn=None)
    found = next(each for each in resolve(replace(topology, resources=(*topology.resources, lonely))).connect_peers if each.id == "peer-1")
    assert (found.node, found.peer_asn) == (None, 64512)


def test_over_direct_connect_the_sites_router_is_the_appliance_and_the_fibre_says_the_size():
    (found,) = resolve(over_direct_connect()).connect_peers
    assert (found.node, found.site, found.instance, found.mtu_bytes) == ("router-hq", "hq", None, 1476)
