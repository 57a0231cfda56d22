"""Route selection over Direct Connect, as tables (facts: sections 1.5, 7.3 and 8)."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from testbed.model import (
    CustomerDeviceSession,
    DirectConnectConnection,
    DirectConnectGateway,
    DirectConnectGatewayAssociation,
    OnPremisesSite,
    PrivateVirtualInterface,
    Topology,
    TransitGateway,
    TransitVirtualInterface,
    Vpc,
    VpnGateway,
)
from testbed.model.virtual_interface import HIGH, LOW, MEDIUM
from testbed.oracle.direct_connect import DirectConnectWays

PC, WEB = IPv4Address("192.168.0.10"), IPv4Address("10.0.0.10")
LAN, WIDE = IPv4Network("192.168.0.0/24"), IPv4Network("192.168.0.0/16")


def ways(*devices: CustomerDeviceSession, allowed: tuple[str, ...] = (), keys: tuple[str | None, ...] = (None, None)) -> DirectConnectWays:
    """Two virtual interfaces, ``dxvif-1`` and ``dxvif-2``, to a Direct Connect gateway of two VPCs, and a transit one."""
    return DirectConnectWays(
        Topology(
            name="ways",
            resources=(
                Vpc(id="vpc-a", region="eu-west-1", cidr_block="10.0.0.0/16"),
                Vpc(id="vpc-b", region="eu-west-1", cidr_block="10.1.0.0/16"),
                *(VpnGateway(id=f"vgw-{name}", vpc_id=f"vpc-{name}") for name in "ab"),
                TransitGateway(id="tgw", region="eu-west-1"),
                OnPremisesSite(id="hq", city="Paris", cidr_block=str(LAN)),
                *(DirectConnectConnection(id=f"dxcon-{n}", site_id="hq", location="Paris", region="eu-west-3") for n in (1, 2)),
                DirectConnectGateway(id="dxgw", amazon_side_asn=64600),
                DirectConnectGateway(id="dxgw-t", amazon_side_asn=64601),
                DirectConnectGatewayAssociation(id="a", direct_connect_gateway_id="dxgw", associated_gateway_id="vgw-a", allowed_prefixes=allowed),
                DirectConnectGatewayAssociation(id="b", direct_connect_gateway_id="dxgw", associated_gateway_id="vgw-b"),
                DirectConnectGatewayAssociation(id="t", direct_connect_gateway_id="dxgw-t", associated_gateway_id="tgw", allowed_prefixes=("10.8.0.0/13",)),
                *(
                    PrivateVirtualInterface(id=f"dxvif-{n}", connection_id=f"dxcon-{n}", vlan=100, asn=65000, direct_connect_gateway_id="dxgw", customer_device=device, auth_key=key)
                    for n, (device, key) in enumerate(zip(devices, keys, strict=False), start=1)
                ),
                TransitVirtualInterface(id="dxvif-t", connection_id="dxcon-1", vlan=200, asn=65000, direct_connect_gateway_id="dxgw-t", mtu=8500),
            ),
        )
    )


PLAIN = CustomerDeviceSession()


@pytest.mark.parametrize(
    ("one", "other", "winner"),
    [
        pytest.param(PLAIN, PLAIN, "dxvif-1", id="equal: both, the first by name stands for them"),
        pytest.param(replace(PLAIN, as_path_prepend=1), PLAIN, "dxvif-2", id="shorter AS path"),
        pytest.param(replace(PLAIN, as_path_prepend=5, communities=(HIGH,)), PLAIN, "dxvif-1", id="high community before AS path"),
        pytest.param(replace(PLAIN, communities=(LOW,)), replace(PLAIN, as_path_prepend=5), "dxvif-2", id="low community, however short the path"),
        pytest.param(replace(PLAIN, communities=(MEDIUM,), as_path_prepend=1), PLAIN, "dxvif-2", id="medium is what none is"),
        pytest.param(replace(PLAIN, med=10), PLAIN, "dxvif-2", id="a missing MED is 0"),
        pytest.param(replace(PLAIN, med=10), replace(PLAIN, as_path_prepend=1), "dxvif-1", id="AS path before MED"),
        pytest.param(replace(PLAIN, prefixes=(str(WIDE),), communities=(HIGH,)), replace(PLAIN, communities=(LOW,)), "dxvif-2", id="longest prefix before everything"),
    ],
)
def test_the_way_to_a_site(one, other, winner):
    found = ways(one, other).to_site("vgw-a", PC)
    assert found is not None and found.interface == winner


@pytest.mark.parametrize(
    ("allowed", "told"),
    [((), True), (("10.0.0.0/16",), True), (("10.0.0.0/8",), True), (("10.0.0.0/24",), False), (("10.9.0.0/16",), False)],
    ids=["no filter", "equal", "wider", "narrower", "another"],
)
def test_allowed_prefixes_filter_a_vpcs_block(allowed, told):
    found = ways(PLAIN, allowed=allowed).from_site("hq", WEB)
    assert (found is not None) is told
    assert found is None or found.destination == IPv4Network("10.0.0.0/16")


def test_a_transit_gateways_allowed_prefixes_are_told_word_for_word():
    found = ways(PLAIN).from_site("hq", IPv4Address("10.15.255.1"))
    assert found is not None and (found.destination, found.association, found.mtu_bytes) == (IPv4Network("10.8.0.0/13"), "t", 8500)


def test_a_site_sends_by_the_lowest_metric_of_its_router():
    found = ways(replace(PLAIN, metric=60), PLAIN).from_site("hq", WEB)
    assert found is not None and found.interface == "dxvif-2"


def test_a_vpc_knows_no_way_to_another_unless_the_site_announces_what_covers_both():
    assert ways(PLAIN).to_site("vgw-a", IPv4Address("10.1.0.10")) is None
    covering = ways(replace(PLAIN, prefixes=("10.0.0.0/8", str(LAN))))
    assert covering.to_site("vgw-a", IPv4Address("10.1.0.10")) is not None
    turned = covering.turned_round("dxvif-1", IPv4Address("10.1.0.10"))
    assert turned is not None and turned.gateway == "vgw-b"


@pytest.mark.parametrize(("prefixes", "up"), [(99, True), (100, True), (101, False)])
def test_more_than_a_hundred_prefixes_take_the_session_down(prefixes, up):
    many = tuple(f"172.{16 + n // 256}.{n % 256}.0/24" for n in range(prefixes - 1))
    assert (ways(replace(PLAIN, prefixes=(str(LAN), *many))).to_site("vgw-a", PC) is not None) is up


@pytest.mark.parametrize(("amazon", "site", "up"), [(None, None, True), ("key number 1", None, True), ("key number 1", "key number 1", True), ("key number 1", "key number 2", False), (None, "key number 2", False)])
def test_both_ends_need_one_key(amazon, site, up):
    assert (ways(replace(PLAIN, auth_key=site), keys=(amazon,)).from_site("hq", WEB) is not None) is up
