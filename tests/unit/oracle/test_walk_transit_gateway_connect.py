"""The oracle's walk over Connect peers: which tunnel, which size, and what keeps a session from coming up."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from testbed.model import Protocol, SdWanAppliance
from testbed.oracle import Oracle, Outcome, Probe
from testbed.oracle.transit_gateway_routes_in_force import transit_gateway_tables_in_force
from testbed.resolve import resolve
from tests.scenarios.connects import over_direct_connect
from topologies.sd_wan import BRANCH, sd_wan


def changed(topology, **fields):
    """`topology` with fields of resources changed: {id with underscores: {field: value}}."""
    wanted = {name.replace("_", "-"): values for name, values in fields.items()}
    return replace(topology, resources=tuple(replace(each, **wanted[each.id]) if each.id in wanted else each for each in topology.resources))


def walk(topology, source="app", destination="10.50.0.10", **probe):
    return Oracle(resolve(topology)).walk(Probe(source=source, destination=IPv4Address(destination), protocol=Protocol.ICMP, **probe))


def origins(path):
    return [hop.origin for hop in path.hops]


def test_the_branch_is_behind_the_first_peer_and_answers_by_its_own_route():
    found = walk(sd_wan())
    assert found.outcome is Outcome.DELIVERED
    assert {"tgw-rtb 10.50.0.0/24 -> attach-connect", "peer-a to 10.50.0.0/24", "sdwan-a forwards"} <= set(origins(found.request))
    assert "peer-a to 10.1.0.0/16" in origins(found.reply)


def test_a_shorter_as_path_wins_among_peers():
    longer = changed(sd_wan(), sdwan_a={"user_data": SdWanAppliance(prefixes=(BRANCH,), as_path_prepend=1)})
    assert "peer-b to 10.50.0.0/24" in origins(walk(longer).request)


@pytest.mark.parametrize(
    ("spoiled", "why"),
    [
        ({"rtb_sdwan": {"routes": ()}}, "the appliances have no way to the outer addresses"),
        ({"sdwan_a": {"user_data": SdWanAppliance(prefixes=(BRANCH,), bgp_asn=65099)}, "sdwan_b": {"user_data": SdWanAppliance(prefixes=(BRANCH,), bgp_asn=65099)}}, "another ASN than the peer names"),
        ({"peer_a": {"bgp_asn": None}, "peer_b": {"bgp_asn": None}}, "over iBGP nothing is installed that an appliance originates"),
        ({"sdwan_a": {"user_data": None}, "sdwan_b": {"user_data": None}}, "nobody ends the tunnels"),
        ({"sdwan_a": {"user_data": SdWanAppliance()}, "sdwan_b": {"user_data": SdWanAppliance()}}, "nothing is announced"),
    ],
)
def test_without_sessions_the_branch_is_not_known(spoiled, why):
    assert walk(changed(sd_wan(), **spoiled)).origin == "tgw-rtb: no route to 10.50.0.10", why


def test_the_transports_own_route_beats_connects():
    """Route evaluation order: VPC before Connect. Misconception: the tunnel is used because it is there."""
    both = changed(sd_wan(), tgw_rtb={"propagations": ("attach-app", "attach-connect", "attach-sdwan")})
    (table,) = transit_gateway_tables_in_force("tgw", both)
    taking = table.taking(IPv4Address("10.50.0.10"))
    assert (taking.attachment, taking.is_learned) == ("attach-sdwan", False)
    beaten = next(route for route in table.routes if route.attachment == "attach-connect")
    assert (beaten.wins, beaten.why) == (False, "loses to attach-sdwan: a route that a VPC attachment propagates comes before a route that a Connect attachment propagates")


@pytest.mark.parametrize(("length_bytes", "passes"), [(8476, True), (8477, False)])
def test_a_tunnel_takes_24_bytes_less_than_its_transport(length_bytes, passes):
    found = walk(sd_wan(), length_bytes=length_bytes, dont_fragment=True)
    assert (found.outcome is Outcome.DELIVERED) is passes
    assert passes or found.origin == "peer-a: larger than 8476 bytes, and not to be cut"


def test_over_direct_connect_both_directions_go_through_the_tunnel():
    found = walk(over_direct_connect(), "pc", "10.1.1.10")
    assert found.outcome is Outcome.DELIVERED
    assert "peer-hq to 10.1.0.0/16" in origins(found.request)
    assert "peer-hq to 192.168.0.0/24" in origins(found.reply)


def test_over_direct_connect_the_outer_addresses_have_to_be_allowed():
    assert walk(changed(over_direct_connect(), dxga={"allowed_prefixes": ("10.99.0.0/16",)}), "app", "192.168.0.10").origin == "tgw-rtb: no route to 192.168.0.10"
