"""Topologies of Connect attachments for scenarios: beside topologies/sd_wan.py, a site's router with a GRE tunnel over Direct Connect."""

from __future__ import annotations

from testbed.model import (
    DirectConnectConnection,
    DirectConnectGateway,
    DirectConnectGatewayAssociation,
    OnPremisesHost,
    OnPremisesSite,
    Topology,
    TransitGateway,
    TransitGatewayConnect,
    TransitGatewayConnectPeer,
    TransitGatewayRouteTable,
    TransitVirtualInterface,
)
from tests.scenarios.hubs import FRANKFURT, attached, by_hub, spoke

OUTER = "172.31.255.0/24"


def over_direct_connect() -> Topology:
    """An office whose router has a tunnel through the fibre; the transit gateway knows the office by Connect alone, the office the VPC by Connect alone."""
    office = OnPremisesSite(id="hq", city="Paris", cidr_block="192.168.0.0/24", hosts=(OnPremisesHost(id="pc", private_ip_address="192.168.0.10"),))
    fibre = (
        DirectConnectConnection(id="dxcon", site_id="hq", location="London", region=FRANKFURT),
        TransitVirtualInterface(id="dxvif", connection_id="dxcon", vlan=200, asn=65000, direct_connect_gateway_id="dxgw"),
        DirectConnectGateway(id="dxgw", amazon_side_asn=64600),
        DirectConnectGatewayAssociation(id="dxga", direct_connect_gateway_id="dxgw", associated_gateway_id="tgw-hub", allowed_prefixes=(OUTER,)),
    )
    hub = (
        TransitGateway(id="tgw-hub", region=FRANKFURT, default_route_table_association=False, default_route_table_propagation=False, transit_gateway_cidr_blocks=(OUTER,)),
        TransitGatewayRouteTable(id="tgw-rtb", transit_gateway_id="tgw-hub", associations=("attach-app", "dxga", "connect"), propagations=("attach-app", "connect")),
        TransitGatewayConnect(id="connect", transport_transit_gateway_attachment_id="dxga"),
        TransitGatewayConnectPeer(id="peer-hq", transit_gateway_attachment_id="connect", peer_address="192.168.0.1", inside_cidr_block="169.254.8.0/29", bgp_asn=65000),
    )
    return Topology(name="over_direct_connect", time_scale=10, resources=(office, *fibre, *hub, *spoke("app", 1, by_hub(destination="192.168.0.0/16")), attached("app")))
