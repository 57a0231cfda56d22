"""The oracle's walk over transit gateways: network ACLs of attachment subnets, groups, zones, circles; and that `resolve` finds the same routes by itself."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from hypothesis import given

from testbed.model import Direction, NetworkAcl, NetworkAclEntry, Protocol, TransitGatewayRoute, Verdict
from testbed.oracle import Oracle, Probe, Stage
from testbed.oracle.transit_gateway import TransitGateways
from testbed.oracle.transit_gateway_routes_in_force import transit_gateway_tables_in_force
from testbed.resolve import resolve
from tests.scenarios.hubs import four_by_hub, inspection, overlapping, two_regions
from tests.strategies_hubs import hubs
from topologies.tgw_hub import tgw_hub


def walk(topology, source, destination):
    return Oracle(resolve(topology)).walk(Probe(source=source, destination=IPv4Address(destination), protocol=Protocol.ICMP))


def acls(path):
    return [(hop.where, hop.direction) for hop in path.hops if hop.stage is Stage.NETWORK_ACL]


def changed(topology, resource_id, **fields):
    return replace(topology, resources=tuple(replace(each, **fields) if each.id == resource_id else each for each in topology.resources))


def test_in_one_subnet_the_acl_is_asked_both_ways_out_and_not_at_all_in():
    """Transit Gateway guide, "How network ACLs work with transit gateways": same subnet."""
    assert acls(walk(four_by_hub(), "w", "10.1.1.10").request) == [("subnet-w", "outbound"), ("subnet-w", "inbound")]


def test_in_different_subnets_each_acl_is_asked_once_a_way():
    topology = tgw_hub()
    tools = next(i.address for i in resolve(topology).interfaces if i.node == "tools")
    assert acls(walk(topology, "web-a", tools).request) == [("a-private-a", "outbound"), ("a-tgw-a", "inbound"), ("shared-tgw-a", "outbound"), ("shared-a", "inbound")]


@pytest.mark.parametrize(("direction", "passes"), [(Direction.INBOUND, False), (Direction.OUTBOUND, True)])
def test_what_goes_to_the_hub_is_only_judged_inbound_at_the_attachments_subnet(direction, passes):
    open_ways = tuple(NetworkAclEntry(rule_number=200, direction=way, rule_action=Verdict.ALLOW, cidr_block="0.0.0.0/0") for way in Direction)
    deny = NetworkAclEntry(rule_number=100, direction=direction, rule_action=Verdict.DENY, cidr_block="10.1.0.0/16")
    topology = tgw_hub()
    acl = NetworkAcl(id="acl-tgw", vpc_id="vpc-spoke-a", entries=(*open_ways, deny), associations=("a-tgw-a",))
    tools = next(i.address for i in resolve(topology).interfaces if i.node == "tools")
    request = walk(replace(topology, resources=(*topology.resources, acl)), "web-a", tools).request
    assert (request.outcome.value == "delivered") is passes


def test_static_routes_in_a_circle_end():
    topology = changed(two_regions(), "tgw-rtb-north", routes=(TransitGatewayRoute(destination_cidr_block="10.3.0.0/16", attachment_id="attach-peer"),))
    assert "leads back over attach-peer" in walk(topology, "near", "10.3.1.10").origin


def test_an_attachment_of_no_table_leads_nowhere():
    topology = changed(inspection(), "tgw-rtb-spokes", associations=("attach-client",))
    assert walk(topology, "server", "10.1.1.10").origin == "tgw-hub: attach-server is associated with no route table"


def test_of_equal_routes_the_loser_says_why():
    topology = changed(overlapping(), "tgw-rtb-own", routes=(TransitGatewayRoute(destination_cidr_block="10.3.0.0/16", blackhole=True),))
    (table,) = transit_gateway_tables_in_force("tgw-rtb-own", topology)
    assert [(route.attachment, route.wins, route.why) for route in table.routes if str(route.destination) == "10.3.0.0/16"] == [
        (None, True, "a static route comes before a route that a VPC attachment propagates, attach-other"),
        ("attach-other", False, "loses to the blackhole: a static route comes before a route that a VPC attachment propagates"),
    ]


@given(hubs())
def test_oracle_and_resolve_find_the_same_best_routes_and_associations(topology):
    resolved = resolve(topology)
    gateways = TransitGateways(topology)
    for table in resolved.transit_gateway_route_tables:
        (shown,) = transit_gateway_tables_in_force(table.id, topology)
        assert {route.origin for route in shown.routes if route.wins} == {route.origin for route in table.routes}
        assert shown.propagations == table.propagations
    for attachment in resolved.transit_gateway_attachments:
        assert gateways.table_of(attachment.transit_gateway, attachment.id) == attachment.table
