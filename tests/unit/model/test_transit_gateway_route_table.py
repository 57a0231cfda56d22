"""The documented order of a transit gateway's routes."""

from ipaddress import IPv4Address, IPv4Network

from testbed.model.transit_gateway_attachment import TransitGatewayRoutePriority as Priority
from testbed.model.transit_gateway_route_table import Candidate, TransitGatewayRoute, TransitGatewayRouteTable, evaluate

THERE = IPv4Address("10.1.2.3")


def to(attachment, priority=Priority.STATIC, block="10.1.0.0/16", **bgp):
    return Candidate(destination=IPv4Network(block), attachment=attachment, priority=priority, origin=f"tgw-rtb {block} -> {attachment}", **bgp)


def test_the_longest_prefix_wins_whatever_its_kind():
    assert evaluate((to("static"), to("vpn", Priority.VPN, "10.1.2.0/24")), THERE).attachment == "vpn"


def test_equal_prefixes_are_taken_by_kind():
    kinds = [to(priority.name, priority) for priority in reversed(Priority)]
    order = []
    while kinds:
        best = evaluate(kinds, THERE)
        order.append(best.attachment)
        kinds.remove(best)
    assert order == ["STATIC", "PREFIX_LIST", "VPC", "DIRECT_CONNECT_GATEWAY", "CONNECT", "PRIVATE_IP_VPN", "VPN"]


def test_a_static_vpn_route_beats_what_direct_connect_propagates():
    assert evaluate((to("dxgw", Priority.DIRECT_CONNECT_GATEWAY), to("vpn", Priority.STATIC)), THERE).attachment == "vpn"


def test_routes_of_one_kind_are_taken_by_path_then_med_then_ebgp():
    vpn = Priority.VPN
    assert evaluate((to("long", vpn, as_path_length=3), to("short", vpn, as_path_length=2, multi_exit_discriminator=200)), THERE).attachment == "short"
    assert evaluate((to("high", vpn, multi_exit_discriminator=200), to("low", vpn, multi_exit_discriminator=100, is_internal=True)), THERE).attachment == "low"
    assert evaluate((to("a-inner", vpn, is_internal=True), to("outer", vpn)), THERE).attachment == "outer"


def test_a_blackhole_is_a_route_like_others_and_nothing_is_none():
    assert evaluate((to("vpc", Priority.VPC, "10.0.0.0/8"), to(None)), THERE).attachment is None
    assert evaluate((to("vpc", block="10.2.0.0/16"),), THERE) is None


def test_a_route_leads_somewhere_or_nowhere():
    table = TransitGatewayRouteTable(
        id="tgw-rtb", transit_gateway_id="tgw",
        routes=(TransitGatewayRoute(destination_cidr_block="10.1.0.0/16"), TransitGatewayRoute(destination_cidr_block="10.2.0.0/16", attachment_id="a", blackhole=True), TransitGatewayRoute(blackhole=True)),
    )  # fmt: skip
    assert [fault.problem for fault in table.faults()] == ["the route has no target", "the route has an attachment, and is a blackhole", "the route has no destination"]
