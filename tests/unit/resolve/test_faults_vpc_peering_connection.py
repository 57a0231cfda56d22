"""Faults of VPC peering connections, of routes over them, and of groups named across them."""

import pytest

from testbed.model import Quotas, Route, RouteTable, SecurityGroup, SecurityGroupRule, Vpc, VpcPeeringConnection
from testbed.resolve import resolve

from .small import told, topology

OTHER = Vpc(id="vpc-3", region="eu-west-1", cidr_block="10.3.0.0/16")
FAR = Vpc(id="vpc-far", region="eu-west-2", cidr_block="10.4.0.0/16")
PEERING = VpcPeeringConnection(id="pcx", vpc_id="vpc-1", peer_vpc_id="vpc-3")


def test_a_peering_of_two_vpcs_apart_is_no_fault():
    resolve(topology(OTHER, PEERING))


def test_any_block_in_common_is_told_used_or_not():
    overlapping = Vpc(id="vpc-3", region="eu-west-1", cidr_block="10.3.0.0/16", cidr_block_associations=("100.64.0.0/16",))
    first = Vpc(id="vpc-1", region="eu-west-1", cidr_block="10.0.0.0/16", cidr_block_associations=("100.64.128.0/20",))
    assert told(overlapping, first, PEERING) == [("pcx", "failed due to overlapping CIDR range: vpc-1 has 100.64.128.0/20 and vpc-3 has 100.64.0.0/16")]


def test_a_vpc_peered_with_itself_is_told():
    assert told(VpcPeeringConnection(id="pcx", vpc_id="vpc-1", peer_vpc_id="vpc-1")) == [("pcx", "peers vpc-1 with itself")]


def test_a_second_peering_of_a_pair_is_told_whoever_asked():
    assert told(OTHER, PEERING, VpcPeeringConnection(id="pcx-2", vpc_id="vpc-3", peer_vpc_id="vpc-1")) == [("pcx-2", "vpc-3 and vpc-1 are already peered by pcx")]


def test_more_active_peerings_than_the_quota_are_told():
    quotas = Quotas(active_vpc_peering_connections_per_vpc=1)
    both = (OTHER, FAR, PEERING, VpcPeeringConnection(id="pcx-far", vpc_id="vpc-1", peer_vpc_id="vpc-far"))
    assert told(*both, quotas=quotas) == [("vpc-1", "2 active VPC peering connections, over the limit of 1")]


def test_dns_resolution_needs_both_attributes_on_both_sides():
    resolving = VpcPeeringConnection(id="pcx", vpc_id="vpc-1", peer_vpc_id="vpc-3", accepter_allow_dns_resolution_from_remote_vpc=True)
    problem = "DNS resolution is allowed, but {} lacks enable_dns_support or enable_dns_hostnames"
    assert told(OTHER, resolving) == [("pcx", problem.format("vpc-1")), ("pcx", problem.format("vpc-3"))]


def test_dns_resolution_needs_an_active_connection():
    pending = VpcPeeringConnection(id="pcx", vpc_id="vpc-1", peer_vpc_id="vpc-3", accepted=False, requester_allow_dns_resolution_from_remote_vpc=True)
    assert ("pcx", "DNS resolution is allowed on a connection that is pending-acceptance") in told(OTHER, pending)


def test_a_missing_vpc_is_told():
    assert told(VpcPeeringConnection(id="pcx", vpc_id="vpc-1", peer_vpc_id="vpc-x")) == [("pcx", "peer_vpc_id 'vpc-x' does not exist")]


def test_a_route_of_a_third_vpc_over_the_peering_is_told():
    table = RouteTable(id="rtb-other", vpc_id="vpc-2", routes=(Route(destination_cidr_block="10.3.0.0/16", vpc_peering_connection_id="pcx"),))
    assert told(OTHER, PEERING, table) == [("rtb-other 10.3.0.0/16", "target pcx is in vpc-1 and vpc-3, not in vpc-2")]


@pytest.mark.parametrize("flow", ["security_group_ingress", "security_group_egress"])
def test_a_group_of_a_peer_may_be_named_both_ways_within_the_region_only(flow):
    rules = {flow: (SecurityGroupRule(ip_protocol="-1", security_group_id="sg-1"),)}
    resolve(topology(OTHER, PEERING, SecurityGroup(id="sg-3", vpc_id="vpc-3", **rules)))
    far = (FAR, VpcPeeringConnection(id="pcx-far", vpc_id="vpc-1", peer_vpc_id="vpc-far"), SecurityGroup(id="sg-far", vpc_id="vpc-far", **rules))
    assert [problem for _, problem in told(*far)] == ["security_group_id sg-1 is a group of vpc-1 in eu-west-1, peered from eu-west-2"]


def test_a_group_over_a_peering_that_nobody_has_accepted_is_told():
    pending = VpcPeeringConnection(id="pcx", vpc_id="vpc-1", peer_vpc_id="vpc-3", accepted=False)
    group = SecurityGroup(id="sg-3", vpc_id="vpc-3", security_group_ingress=(SecurityGroupRule(ip_protocol="-1", security_group_id="sg-1"),))
    assert told(OTHER, pending, group) == [("sg-3#ingress[0]", "security_group_id sg-1 is a group of vpc-1, not of vpc-3")]
