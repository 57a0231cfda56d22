"""Mistakes with Direct Connect, each named with its remedy before anything starts."""

from dataclasses import replace

import pytest

from testbed.model import (
    CustomerDeviceSession,
    DirectConnectConnection,
    DirectConnectGateway,
    DirectConnectGatewayAssociation,
    DirectConnectLag,
    ModelError,
    OnPremisesSite,
    PrivateVirtualInterface,
    Topology,
    TransitGateway,
    TransitVirtualInterface,
    Vpc,
    VpnGateway,
)
from testbed.resolve import resolve

CONNECTION = DirectConnectConnection(id="dxcon", site_id="hq", location="London", region="eu-west-2")
PRIVATE = PrivateVirtualInterface(id="dxvif", connection_id="dxcon", vlan=101, asn=65000, vpn_gateway_id="vgw")
TRANSIT = TransitVirtualInterface(id="dxvif-t", connection_id="dxcon", vlan=200, asn=65000, direct_connect_gateway_id="dxgw-t")
GATEWAY = DirectConnectGateway(id="dxgw", amazon_side_asn=64600)
BEHIND = DirectConnectGatewayAssociation(id="dxga-a", direct_connect_gateway_id="dxgw", associated_gateway_id="vgw")
SOUND = (
    Vpc(id="vpc", region="eu-west-2", cidr_block="10.0.0.0/16"),
    Vpc(id="vpc-same", region="eu-west-1", cidr_block="10.0.0.0/16"),
    VpnGateway(id="vgw", vpc_id="vpc"),
    VpnGateway(id="vgw-same", vpc_id="vpc-same"),
    TransitGateway(id="tgw", region="eu-west-2"),
    OnPremisesSite(id="hq", city="Paris", cidr_block="192.168.0.0/24"),
    CONNECTION,
    GATEWAY,
    DirectConnectGateway(id="dxgw-t", amazon_side_asn=64601),
    DirectConnectGatewayAssociation(id="dxga-t", direct_connect_gateway_id="dxgw-t", associated_gateway_id="tgw", allowed_prefixes=("10.8.0.0/13",)),
    PRIVATE,
    TRANSIT,
    BEHIND,
)


def faults(*more: object) -> str:
    """What resolve says of the sound topology with these resources, of which one with a known id takes the other's place."""
    ids = {resource.id for resource in more}
    try:
        resolve(Topology(name="dx", resources=(*(resource for resource in SOUND if resource.id not in ids), *more)))
    except ModelError as error:
        return "\n".join(map(str, error.faults))
    return ""


def many(count: int, like: object) -> tuple[object, ...]:
    return tuple(replace(like, id=f"{like.id}-{n}", vlan=1000 + n) for n in range(count))


def test_the_sound_topology_has_no_faults():
    assert faults() == ""


@pytest.mark.parametrize(
    ("more", "words"),
    [
        pytest.param((replace(TRANSIT, vlan=101),), "VLAN 101 on dxcon belongs to dxvif", id="VLAN clash"),
        pytest.param((replace(PRIVATE, vlan=4095),), "vlan 4095 is out of bounds", id="VLAN too high"),
        pytest.param((replace(PRIVATE, asn=64512),), "asn 64512 is vgw's own amazon_side_asn", id="ASN clash at a virtual private gateway"),
        pytest.param((replace(GATEWAY, id="dxgw-t", amazon_side_asn=64512),), "dxgw-t and tgw both have the ASN 64512", id="ASN clash with a transit gateway"),
        pytest.param((replace(PRIVATE, asn=7224),), "asn 7224 is reserved by AWS", id="reserved ASN"),
        pytest.param((replace(PRIVATE, mtu=8500),), "mtu 8500 on a private virtual interface (remedy: use 1500 or 9001)", id="MTU of a transit one on a private one"),
        pytest.param((replace(TRANSIT, mtu=9001),), "mtu 9001 on a transit virtual interface (remedy: use 1500 or 8500)", id="MTU of a private one on a transit one"),
        pytest.param((replace(CONNECTION, hosted=True, bandwidth="500Mbps"),), "a hosted connection carries 1 virtual interface", id="hosted with two"),
        pytest.param((replace(CONNECTION, hosted=True, bandwidth="100Gbps"),), "bandwidth '100Gbps' is not one of the allowed values", id="bandwidth that is not hosted"),
        pytest.param(many(50, PRIVATE), "51 private and public virtual interfaces, over the limit of 50", id="private quota"),
        pytest.param(many(4, TRANSIT), "5 transit virtual interfaces, over the limit of 4", id="transit quota"),
        pytest.param(
            (DirectConnectGatewayAssociation(id="dxga-b", direct_connect_gateway_id="dxgw", associated_gateway_id="vgw-same"),),
            "vpc-same has 10.0.0.0/16 and vpc has 10.0.0.0/16 behind the same Direct Connect gateway", id="overlapping VPCs",
        ),
        pytest.param((replace(BEHIND, direct_connect_gateway_id="dxgw-t"),), "behind one Direct Connect gateway", id="both kinds behind one"),
        pytest.param((replace(TRANSIT, direct_connect_gateway_id="dxgw"),), "a transit virtual interface, and dxgw leads to virtual private gateways", id="transit to VPCs"),
        pytest.param((replace(PRIVATE, vpn_gateway_id=None, direct_connect_gateway_id="dxgw-t"),), "a private virtual interface, and dxgw-t leads to transit gateways", id="private to a hub"),
        pytest.param((replace(BEHIND, id="dxga-t", direct_connect_gateway_id="dxgw-t", associated_gateway_id="tgw"),), "no allowed_prefixes", id="nothing allowed for a hub"),
        pytest.param((replace(PRIVATE, direct_connect_gateway_id="dxgw"),), "two gateways at AWS's end", id="two ends"),
        pytest.param((replace(PRIVATE, vpn_gateway_id=None),), "no gateway at AWS's end", id="no end"),
        pytest.param((replace(PRIVATE, auth_key="short"),), "auth_key is not a BGP key", id="short key"),
        pytest.param((replace(PRIVATE, amazon_address="169.254.9.1/30", customer_address="169.254.8.2/30"),), "are not the two ends of one link", id="addresses apart"),
        pytest.param((replace(PRIVATE, customer_device=CustomerDeviceSession(as_path_prepend=11)),), "as_path_prepend 11 is out of bounds", id="prepending"),
        pytest.param((replace(PRIVATE, connection_id="dxcom"),), "connection_id 'dxcom' is no Direct Connect connection or LAG", id="no connection"),
        pytest.param((replace(CONNECTION, site_id="nowhere"),), "site_id 'nowhere' does not exist", id="no site"),
        pytest.param((replace(CONNECTION, location="Atlantis"),), "location 'Atlantis' is not known", id="no such location"),
        pytest.param((DirectConnectLag(id="dxlag"),), "no connection is in the LAG", id="empty LAG"),
        pytest.param((DirectConnectLag(id="dxlag"), replace(CONNECTION, lag_id="dxlag")), "put the virtual interface on dxlag", id="on a member of a LAG"),
        pytest.param(
            (DirectConnectLag(id="dxlag"), *(replace(CONNECTION, id=f"dxcon-{n}", lag_id="dxlag", bandwidth=speed) for n, speed in enumerate(("1Gbps", "10Gbps")))),
            "its connections differ in bandwidth", id="LAG of two speeds",
        ),
        pytest.param((Vpc(id="vgw-london", region="eu-west-2", cidr_block="10.5.0.0/16"),), "the id is the name of vgw's router in London", id="a router's name"),
    ],
)
def test_a_mistake_is_named(more, words):
    assert words in faults(*more)
