"""Private-IP VPN: its faults, the addresses that are chosen, its place among routes, and what the oracle makes of it."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from testbed.compile import compile_plan
from testbed.model import CustomerGateway, Protocol, VpnConnection
from testbed.oracle import Oracle, Outcome, Probe
from testbed.oracle.transit_gateway_routes_in_force import transit_gateway_tables_in_force
from testbed.resolve import resolve
from tests.scenarios.connects import OUTER
from tests.scenarios.test_private_ip_vpn import private_ip_vpn
from tests.unit.resolve.small import faults

BRANCH = "192.168.0.0/24"


def changed(**fields):
    """The topology with fields of resources changed, by id (underscores for hyphens)."""
    wanted = {name.replace("_", "-"): values for name, values in fields.items()}
    topology = private_ip_vpn()
    return replace(topology, resources=tuple(replace(each, **wanted[each.id]) if each.id in wanted else each for each in topology.resources))


def told(spoiled):
    return [(fault.resource, fault.problem) for fault in faults(spoiled)]


@pytest.mark.parametrize(
    ("spoiled", "expected"),
    [
        ({"vpn": {"transport_transit_gateway_attachment_id": None}}, ("vpn", "outside_ip_address_type PrivateIpv4 without a transport attachment")),
        ({"vpn": {"outside_ip_address_type": "PublicIpv4"}}, ("vpn", "a transport attachment for public outside addresses")),
        ({"vpn": {"outside_ip_address_type": "Ipv6"}}, ("vpn", "outside_ip_address_type 'Ipv6' is not one of the allowed values")),
        ({"vpn": {"transport_transit_gateway_attachment_id": "attach-app"}}, ("vpn", "transport_transit_gateway_attachment_id 'attach-app' is no Direct Connect gateway's attachment of tgw-hub")),
        ({"tgw_hub": {"transit_gateway_cidr_blocks": ()}}, ("vpn", "tgw-hub has no CIDR block for private outside addresses")),
    ],
)  # fmt: skip
def test_a_mistake_is_told(spoiled, expected):
    assert expected in told(changed(**spoiled))


def test_outside_addresses_are_private_at_both_ends():
    (connection,) = resolve(private_ip_vpn()).vpn_connections
    assert connection.device_address == IPv4Address("192.168.0.1")
    outside = {tunnel.outside_address for tunnel in connection.tunnels}
    assert len(outside) == 2 and all(address in IPv4Network(OUTER) for address in outside)


def test_the_customer_gateway_may_be_named_by_its_private_address():
    topology = changed()
    by_address = CustomerGateway(id="cgw", ip_address="192.168.0.1", bgp_asn=65000)
    found = resolve(replace(topology, resources=tuple(by_address if each.id == "cgw" else each for each in topology.resources)))
    assert (found.vpn_connections[0].site, found.vpn_connections[0].device_address) == ("hq", IPv4Address("192.168.0.1"))


def test_no_endpoint_is_on_the_internet():
    plan = compile_plan(resolve(private_ip_vpn()))
    for endpoint in ("vpn-tunnel-1", "vpn-tunnel-2"):
        ends = {(link.a.node, link.b.node) for link in plan.links if endpoint in (link.a.node, link.b.node)}
        assert ends == {("tgw-hub", endpoint)}


def test_it_comes_before_a_public_vpn_and_after_direct_connect():
    public = VpnConnection(id="vpn-public", customer_gateway_id="cgw", transit_gateway_id="tgw-hub")
    both = changed(tgw_rtb={"propagations": ("attach-app", "vpn", "vpn-public", "dxga"), "associations": ("attach-app", "vpn", "vpn-public")})
    (table,) = (table for table in transit_gateway_tables_in_force("tgw-hub", replace(both, resources=(*both.resources, public))) if table.table == "tgw-rtb")
    routes = [(route.attachment, route.wins) for route in table.routes if route.destination == IPv4Network(BRANCH)]
    assert routes == [("dxga", True), ("vpn", False), ("vpn-public", False)]


def test_the_model_sends_through_the_tunnel_while_the_fibre_tells_of_its_outside():
    def walk(topology):
        return Oracle(resolve(topology)).walk(Probe(source="app", destination=IPv4Address("192.168.0.10"), protocol=Protocol.ICMP))

    found = walk(private_ip_vpn())
    assert found.outcome is Outcome.DELIVERED and "vpn tunnel 1 to 192.168.0.10/32" in [hop.origin for hop in found.request.hops]
    assert walk(changed(dxga={"allowed_prefixes": ("10.99.0.0/16",)})).origin == "tgw-rtb: no route to 192.168.0.10"
