"""Site-to-Site VPN to a transit gateway: both tunnels at once by BGP, one after the other by static routes (facts: sections 6.2 and 7.3)."""

import time
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

import pytest

from testbed.model import (
    Route,
    RouteTable,
    Topology,
    TransitGateway,
    TransitGatewayRoute,
    TransitGatewayRouteTable,
    TransitGatewayVpcAttachment,
    VpnConnection,
    VpnGateway,
    VpnGatewayRoutePropagation,
)
from testbed.observe.vpn_telemetry import DOWN, UP, VpnTelemetry
from topologies.vpn_link import OFFICE, vpn_link

PC, WEB = IPv4Address("192.168.10.10"), IPv4Address("10.0.1.10")
PATIENCE_S = 15.0


def hub(name: str, connection: VpnConnection, *more: Any, table: str | None = None) -> Topology:
    """The link's office and VPC, with a transit gateway between them."""
    link = vpn_link()
    kept = (each for each in link.resources if not isinstance(each, (VpnGateway, VpnGatewayRoutePropagation, VpnConnection, RouteTable)))
    return replace(
        link,
        name=name,
        time_scale=20,
        resources=(
            *kept,
            TransitGateway(id="tgw", region="eu-west-1", association_default_route_table_id=table, propagation_default_route_table_id=table),
            TransitGatewayVpcAttachment(id="tgw-attach", transit_gateway_id="tgw", vpc_id="vpc", subnet_ids=("private",)),
            RouteTable(id="rtb", vpc_id="vpc", main=True, routes=(Route(destination_cidr_block="192.168.0.0/16", transit_gateway_id="tgw"),)),
            connection,
            *more,
        ),
    )


def dynamic() -> Topology:
    return hub("dynamic", VpnConnection(id="vpn-office", customer_gateway_id="cgw-office", transit_gateway_id="tgw"))


def static() -> Topology:
    table = TransitGatewayRouteTable(id="tgw-rtb", transit_gateway_id="tgw", routes=(TransitGatewayRoute(destination_cidr_block=OFFICE, attachment_id="vpn-office"),))
    connection = VpnConnection(id="vpn-office", customer_gateway_id="cgw-office", transit_gateway_id="tgw", static_routes_only=True, customer_routes=("10.0.0.0/16",))
    return hub("static", connection, table, table="tgw-rtb")


def ping(lab: Any, source: str, destination: IPv4Address) -> bool:
    with lab.popen(source, ["ping", "-q", "-c", "1", "-W", "1", str(destination)]) as program:
        return program.wait() == 0


def ping_until_answered(lab: Any, source: str, destination: IPv4Address) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if ping(lab, source, destination):
            return True
    return False


def passes_and_fails_over(lab: Any) -> None:
    assert ping_until_answered(lab, "pc", WEB) and ping(lab, "web", PC)
    for source, destination in (("pc", "web"), ("web", "pc")):
        found = lab.explain(source, destination, protocol="icmp")
        assert found.passed and found.agrees, found.oracle
        assert {"tgw", "router-office", "vpc"} <= {hop.node for hop in found.hops}
    with lab.popen("vpn-office-tunnel-1", ["ip", "link", "set", "eth0", "down"]) as cut:
        cut.wait()
    assert VpnTelemetry(lab).wait_for(DOWN, "vpn-office", 1, PATIENCE_S)
    assert ping_until_answered(lab, "web", PC)
    assert VpnTelemetry(lab).wait_for(UP, "vpn-office", 2, PATIENCE_S)


@pytest.mark.topology.with_args(dynamic)
def test_without_ecmp_support_one_tunnel_carries_and_the_other_waits(lab):
    """Transit Gateway guide, "How AWS Transit Gateway works": VPN ECMP support (documented)."""

    def hops():
        return lab.popen("tgw", ["ip", "route", "show", "table", "10001", str(OFFICE)], stdout=-1).communicate()[0].decode()

    assert ping_until_answered(lab, "pc", WEB)
    before = lab.topology
    lab.change(replace(before, resources=tuple(replace(each, vpn_ecmp_support=False) if each.id == "tgw" else each for each in before.resources)))
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not ("vpn-office-1" in hops() and "nexthop" not in hops()) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert "t-vpn-office-1" in hops() and "t-vpn-office-2" not in hops(), hops()
        assert ping_until_answered(lab, "pc", WEB)
    finally:
        lab.change(before)


@pytest.mark.topology.with_args(dynamic)
def test_by_bgp_both_tunnels_carry_and_one_is_enough(lab):
    assert ping_until_answered(lab, "pc", WEB)
    deadline, routes = time.monotonic() + PATIENCE_S, ""
    while routes.count("nexthop") < 2 and time.monotonic() < deadline:
        routes = lab.popen("tgw", ["ip", "route", "show", "table", "10001", str(OFFICE)], stdout=-1).communicate()[0].decode()
    assert routes.count("nexthop") == 2
    passes_and_fails_over(lab)


@pytest.mark.topology.with_args(static)
def test_by_static_routes_the_second_tunnel_takes_over(lab):
    passes_and_fails_over(lab)
