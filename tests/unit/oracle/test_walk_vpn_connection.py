"""The oracle over VPN tunnels: see topologies/vpn_link.py."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from testbed.model import CustomerDeviceTunnel, CustomerGateway, OnPremisesHost, OnPremisesSite, Protocol, Route, RouteTable, Topology, VpnConnection
from testbed.oracle import Oracle, Probe
from testbed.oracle.routes_in_force import table_in_force
from testbed.resolve import resolve
from topologies.vpn_link import vpn_link

LINK = vpn_link()
PC, WEB, LONELY = IPv4Address("192.168.10.10"), IPv4Address("10.0.1.10"), IPv4Address("10.0.2.10")
WRONG = CustomerDeviceTunnel(pre_shared_key="not_the_same")


def changed(kind: type, topology: Topology = LINK, **fields: object) -> Topology:
    return replace(topology, resources=tuple(replace(each, **fields) if isinstance(each, kind) else each for each in topology.resources))


def walk(topology, source, destination, **fields):
    return Oracle(resolve(topology)).walk(Probe(source=source, destination=destination, protocol=Protocol.ICMP, **fields))


@pytest.mark.parametrize(
    ("source", "destination", "outcome", "origin"),
    [
        ("pc", WEB, "delivered", "router-office"),
        ("web", PC, "delivered", "sg-web#egress[0] (tracked)"),
        ("pc", IPv4Address("192.168.10.11"), "delivered", "router-office"),
        ("pc", LONELY, "dropped", "rtb-unconnected: no route to 192.168.10.10"),
        ("lonely", PC, "dropped", "rtb-unconnected: no route to 192.168.10.10"),
        ("web", IPv4Address("192.168.10.99"), "dropped", "router-office: nobody on the LAN has 192.168.10.99"),
        ("pc", IPv4Address("10.0.0.2"), "dropped", "vpc: no interface has 10.0.0.2"),
    ],
)
def test_who_reaches_whom(source, destination, outcome, origin):
    found = walk(LINK, source, destination)
    assert (found.outcome, found.origin) == (outcome, origin)


def test_aws_sends_by_the_first_tunnel_although_the_site_prefers_the_second():
    devices = (CustomerDeviceTunnel(metric=200), CustomerDeviceTunnel(metric=100))
    found = walk(changed(VpnConnection, customer_device=devices), "pc", WEB)
    assert "vpn-office tunnel 2 to 10.0.0.0/16" in [hop.origin for hop in found.request.hops]
    assert "vpn-office tunnel 1 to 192.168.10.0/24" in [hop.origin for hop in found.reply.hops]


def test_a_strict_reverse_path_filter_drops_what_comes_by_the_other_tunnel():
    devices = (CustomerDeviceTunnel(metric=200), CustomerDeviceTunnel(metric=100))
    strict = changed(OnPremisesSite, changed(VpnConnection, customer_device=devices), reverse_path_filter="strict")
    assert walk(strict, "pc", WEB).origin.startswith("router-office: strict reverse path filter")
    assert walk(changed(OnPremisesSite, reverse_path_filter="strict"), "pc", WEB).outcome == "delivered"


def test_the_second_tunnel_takes_over_where_the_first_cannot_come_up():
    found = walk(changed(VpnConnection, customer_device=(WRONG, CustomerDeviceTunnel())), "web", PC)
    assert (found.outcome, [hop.origin for hop in found.request.hops if hop.where == "vgw"]) == ("delivered", ["vpn-office tunnel 2 to 192.168.10.0/24"])


def test_without_a_tunnel_nothing_passes_and_nothing_goes_by_the_internet_instead():
    dead = changed(VpnConnection, customer_device=(WRONG, WRONG))
    assert walk(dead, "web", PC).origin == "vgw: no tunnel to 192.168.10.10 is up"
    assert walk(dead, "pc", WEB).origin == "office: no tunnel to 10.0.1.10 is up"


@pytest.mark.parametrize(("length", "cut", "outcome"), [(1400, False, "delivered"), (1401, False, "dropped"), (1500, False, "dropped"), (1500, True, "delivered")])
def test_a_tunnel_has_its_own_mtu(length, cut, outcome):
    assert walk(LINK, "web", PC, length_bytes=length, dont_fragment=not cut).outcome == outcome


def test_a_static_route_beats_a_propagated_one_and_the_table_says_why():
    elsewhere = (Route(destination_cidr_block="192.168.10.0/24", instance_id="lonely"),)
    topology = replace(LINK, resources=tuple(replace(each, routes=elsewhere) if isinstance(each, RouteTable) and each.id == "rtb-private" else each for each in LINK.resources))
    winner = next(route for route in table_in_force("private", resolve(topology).topology).routes if str(route.destination) == "192.168.10.0/24")
    assert (winner.target, winner.why) == ("lonely", "a static route comes before a propagated static route of a VPN, of vpn-office static")
    assert next(table.routes for table in resolve(topology).route_tables if table.id == "rtb-private")[-1].target == "eni-lonely"


def test_what_lies_within_the_vpc_is_never_propagated():
    topology = changed(VpnConnection, static_routes=("10.0.1.0/24", "192.168.10.0/24"))
    assert [str(route.destination) for route in table_in_force("private", resolve(topology).topology).routes] == ["192.168.10.0/24", "10.0.0.0/16"]
    assert [str(route.destination) for route in next(table for table in resolve(topology).route_tables if table.id == "rtb-private").routes] == ["10.0.0.0/16", "192.168.10.0/24"]


def test_by_bgp_the_gateway_learns_the_lan():
    dynamic = changed(VpnConnection, static_routes_only=False, static_routes=())
    assert walk(dynamic, "web", PC).outcome == "delivered"
    assert next(route.propagated for route in table_in_force("private", resolve(dynamic).topology).routes) == "vpn-office BGP"


def test_two_sites_meet_at_their_common_gateway_as_cloudhub():
    dynamic = changed(VpnConnection, static_routes_only=False, static_routes=())
    branch = (
        OnPremisesSite(id="branch", city="Paris", cidr_block="192.168.20.0/24", hosts=(OnPremisesHost(id="till", private_ip_address="192.168.20.10"),)),
        CustomerGateway(id="cgw-branch", site_id="branch", bgp_asn=65001),
        VpnConnection(id="vpn-branch", customer_gateway_id="cgw-branch", vpn_gateway_id="vgw"),
    )
    found = walk(replace(dynamic, resources=(*dynamic.resources, *branch)), "pc", IPv4Address("192.168.20.10"))
    assert (found.outcome, [hop.where for hop in found.request.hops]) == ("delivered", ["router-office", "vgw", "vgw", "router-branch"])
