"""Private-IP VPN: an encrypted connection whose outside lies on a Direct Connect transit virtual interface (facts: sections 7.3 and 8)."""

import pytest
from scapy.layers.inet import ICMP, IP, UDP

from testbed.model import (
    CustomerGateway,
    DirectConnectConnection,
    DirectConnectGateway,
    DirectConnectGatewayAssociation,
    OnPremisesHost,
    OnPremisesSite,
    Topology,
    TransitGateway,
    TransitGatewayRouteTable,
    TransitVirtualInterface,
    VpnConnection,
)
from testbed.observe.probe import Answer
from testbed.observe.vpn_telemetry import UP, VpnTelemetry
from tests.scenarios.connects import OUTER
from tests.scenarios.converging import PATIENCE_S, converge
from tests.scenarios.failing import soon
from tests.scenarios.hubs import FRANKFURT, attached, by_hub, spoke

pytestmark = pytest.mark.packets
SILENCE_S = 0.5


def private_ip_vpn() -> Topology:
    """An office that reaches its VPC by tunnels over the fibre alone: what the fibre tells is the transit gateway's own block."""
    office = OnPremisesSite(id="hq", city="Paris", cidr_block="192.168.0.0/24", hosts=(OnPremisesHost(id="pc", private_ip_address="192.168.0.10"),))
    fibre = (
        DirectConnectConnection(id="dxcon", site_id="hq", location="London", region=FRANKFURT),
        TransitVirtualInterface(id="dxvif", connection_id="dxcon", vlan=200, asn=65000, direct_connect_gateway_id="dxgw"),
        DirectConnectGateway(id="dxgw", amazon_side_asn=64600),
        DirectConnectGatewayAssociation(id="dxga", direct_connect_gateway_id="dxgw", associated_gateway_id="tgw-hub", allowed_prefixes=(OUTER,)),
    )
    hub = (
        TransitGateway(id="tgw-hub", region=FRANKFURT, default_route_table_association=False, default_route_table_propagation=False, transit_gateway_cidr_blocks=(OUTER,)),
        TransitGatewayRouteTable(id="tgw-rtb-outside", transit_gateway_id="tgw-hub", associations=("dxga",)),
        TransitGatewayRouteTable(id="tgw-rtb", transit_gateway_id="tgw-hub", associations=("attach-app", "vpn"), propagations=("attach-app", "vpn")),
        CustomerGateway(id="cgw", site_id="hq", bgp_asn=65000),
        VpnConnection(id="vpn", customer_gateway_id="cgw", transit_gateway_id="tgw-hub", outside_ip_address_type="PrivateIpv4", transport_transit_gateway_attachment_id="dxga"),
    )
    return Topology(name="private_ip_vpn", time_scale=10, resources=(office, *fibre, *hub, *spoke("app", 1, by_hub(destination="192.168.0.0/16")), attached("app")))


def answered(lab, source, destination):
    return lab[source].ping(destination, timeout_s=SILENCE_S).answer is Answer.ANSWERED


@pytest.mark.topology.with_args(private_ip_vpn)
class TestPrivateIpVpn:
    @pytest.fixture(autouse=True)
    def converged(self, lab):
        converge(lab)

    def test_both_tunnels_are_up_between_private_addresses(self, lab):
        tunnels = VpnTelemetry(lab).tunnels()
        assert [tunnel.status for tunnel in tunnels] == [UP, UP]
        assert all(tunnel.outside_ip_address.startswith("172.31.255.") for tunnel in tunnels)
        assert "metric 600" in lab["tgw-hub"].run("ip", "route", "show", "192.168.0.0/24", "table", "10001").out

    def test_the_fibre_carries_esp_alone_and_packets_pass_both_ways(self, lab):
        assert soon(lambda: answered(lab, "pc", "10.1.1.10"), PATIENCE_S)
        with lab.capture("dxgw-london") as fibre, lab.capture("router-hq", filter="icmp") as lan:
            assert answered(lab, "app", "192.168.0.10")
        assert any(ICMP in packet for packet in lan.packets), "the same capture sees the plain text on the LAN"
        carried = [packet for packet in fibre.packets if IP in packet and packet[IP].dst.startswith(("172.31.255.", "192.168.0."))]
        assert carried and all(UDP in packet and 4500 <= max(packet[UDP].sport, packet[UDP].dport) <= 4501 for packet in carried)
        assert not any(ICMP in packet for packet in fibre.packets)

    def test_packets_and_the_model_agree(self, lab):
        for source, destination in (("pc", "app"), ("app", "pc")):
            found = lab.explain(source, destination, protocol="icmp")
            assert found.passed and found.agrees, found.oracle

    def test_without_the_fibre_there_is_nothing_left(self, lab):
        lab.fail("dxcon", "cut")
        try:
            assert soon(lambda: not answered(lab, "pc", "10.1.1.10"))
        finally:
            lab.heal()
            converge(lab)
        assert soon(lambda: answered(lab, "pc", "10.1.1.10"), PATIENCE_S)
