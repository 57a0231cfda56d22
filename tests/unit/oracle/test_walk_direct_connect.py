"""Packets between a site and AWS where Direct Connect and VPN both lead there (facts: sections 1.5, 6.2 and 7.3; misconception 21)."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from testbed.model import CustomerGateway, Protocol, Topology, VpnConnection
from testbed.oracle import Oracle, Probe
from testbed.resolve import resolve
from topologies.direct_connect import direct_connect

PC, WEB = IPv4Address("192.168.0.10"), IPv4Address("10.0.0.10")


def with_vpn(**connection: object) -> Topology:
    """The topology of the fibre, with a VPN beside it to the same gateway."""
    base = direct_connect()
    beside = VpnConnection(id="vpn-a", customer_gateway_id="cgw-hq", vpn_gateway_id="vgw-a", **connection)
    return replace(base, resources=(*base.resources, CustomerGateway(id="cgw-hq", site_id="hq"), beside))


def origins(topology: Topology, source: str, destination: IPv4Address) -> list[str]:
    """What each hop of the request says, in order."""
    walk = Oracle(resolve(topology)).walk(Probe(source=source, destination=destination, protocol=Protocol.ICMP))
    assert walk.outcome.value == "delivered", walk.origin
    return [hop.origin for hop in walk.request.hops]


@pytest.mark.parametrize(
    ("connection", "way"),
    [
        pytest.param({}, "dxvif-a to 192.168.0.0/24", id="Direct Connect before BGP of a VPN"),
        pytest.param({"static_routes_only": True, "static_routes": ("192.168.0.0/24",)}, "dxvif-a to 192.168.0.0/24", id="Direct Connect before a static route of a VPN"),
        pytest.param({"static_routes_only": True, "static_routes": ("192.168.0.0/25",)}, "vpn-a tunnel 1 to 192.168.0.0/25", id="the longer prefix before Direct Connect"),
    ],
)
def test_the_way_of_a_virtual_private_gateway(connection, way):
    assert way in origins(with_vpn(**connection), "web", PC)


def test_a_sites_router_prefers_the_lower_metric():
    assert "dxvif-a to 10.0.0.0/16" in origins(with_vpn(), "pc", WEB)


def test_without_direct_connect_the_vpn_carries():
    topology = with_vpn()
    without = replace(topology, resources=tuple(resource for resource in topology.resources if resource.id != "dxvif-a"))
    assert "vpn-a tunnel 1 to 192.168.0.0/24" in origins(without, "web", PC)


def test_a_private_address_that_no_connection_leads_to_does_not_leave_by_the_internet():
    walk = Oracle(resolve(direct_connect())).walk(Probe(source="pc", destination=IPv4Address("10.9.9.9"), protocol=Protocol.ICMP))
    assert walk.origin == "router-hq: private addresses do not leave by the internet"
