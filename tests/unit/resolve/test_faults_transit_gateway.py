"""Faults of transit gateways: attachments, tables, routes, peerings, quotas."""

from ipaddress import IPv4Network

import pytest

from testbed.model import (
    Quotas,
    Route,
    RouteTable,
    Subnet,
    TransitGateway,
    TransitGatewayPeeringAttachment,
    TransitGatewayRoute,
    TransitGatewayRouteTable,
    TransitGatewayVpcAttachment,
    Vpc,
)
from testbed.resolve import resolve

from .small import told, topology

GATEWAY = TransitGateway(id="tgw", region="eu-west-1")
FAR = TransitGateway(id="tgw-far", region="eu-west-2")
VPC = Vpc(id="vpc-9", region="eu-west-1", cidr_block="10.9.0.0/16")
SUBNET = Subnet(id="subnet-9", vpc_id="vpc-9", cidr_block="10.9.0.0/24", availability_zone="eu-west-1a")
SECOND = Subnet(id="subnet-9-2", vpc_id="vpc-9", cidr_block="10.9.1.0/24", availability_zone="eu-west-1a")
ATTACHMENT = TransitGatewayVpcAttachment(id="attach", transit_gateway_id="tgw", vpc_id="vpc-9", subnet_ids=("subnet-9",))
BASE = (GATEWAY, VPC, SUBNET, ATTACHMENT)


def attachment(**changed):
    return TransitGatewayVpcAttachment(**{"id": "attach", "transit_gateway_id": "tgw", "vpc_id": "vpc-9", "subnet_ids": ("subnet-9",), **changed})


def table(name="tgw-rtb", **changed):
    return TransitGatewayRouteTable(**{"id": name, "transit_gateway_id": "tgw", **changed})


def test_an_attachment_and_a_table_are_no_fault():
    resolve(topology(*BASE, table(associations=("attach",), propagations=("attach",), routes=(TransitGatewayRoute(destination_cidr_block="0.0.0.0/0", attachment_id="attach"),))))


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        (attachment(subnet_ids=()), ("attach", "has no subnet")),
        (attachment(subnet_ids=("subnet-9", "subnet-9-2")), ("attach", "DuplicateSubnetsInSameZone: subnet-9 and subnet-9-2 are both in eu-west-1a")),
        (attachment(vpc_id="vpc-1"), ("attach", "subnet-9 is a subnet of vpc-9, not of vpc-1")),
        (attachment(transit_gateway_id="tgw-far"), ("attach", "vpc-9 is in eu-west-1, but tgw-far in eu-west-2")),
        (attachment(id="attach-2"), ("attach-2", "DuplicateTransitGatewayAttachment: vpc-9 is already attached to tgw by attach")),
        (attachment(transit_gateway_id="tgw-none"), ("attach", "transit_gateway_id 'tgw-none' does not exist")),
        (table(associations=("attach-none",)), ("tgw-rtb", "association 'attach-none' does not exist")),
        (table(propagations=("vpc-9",)), ("tgw-rtb", "propagation 'vpc-9' is not a transit gateway attachment")),
        (table(propagations=("peer",)), ("tgw-rtb", "propagation peer: a peering attachment propagates nothing")),
        (table(transit_gateway_id="tgw-far", propagations=("attach",)), ("tgw-rtb", "propagation attach is an attachment of tgw, not of tgw-far")),
        (table(routes=(TransitGatewayRoute(destination_cidr_block="10.0.0.0/8", attachment_id="attach-none"),)), ("tgw-rtb 10.0.0.0/8", "attachment_id 'attach-none' does not exist")),
        (TransitGatewayPeeringAttachment(id="again", transit_gateway_id="tgw-far", peer_transit_gateway_id="tgw"), ("peer", "tgw and tgw-far are already peered by again")),
        (TransitGateway(id="tgw", region="eu-west-1", amazon_side_asn=65535), ("tgw", "amazon_side_asn 65535 is no private ASN")),
        (TransitGateway(id="tgw", region="eu-west-1", default_route_table_association=False, association_default_route_table_id="tgw-rtb-x"), ("tgw", "association_default_route_table_id is given, but there is no default association")),
        (RouteTable(id="rtb-9", vpc_id="vpc-9", routes=(Route(destination_cidr_block="10.9.0.0/24", transit_gateway_id="tgw"),)), ("rtb-9 10.9.0.0/24", "more specific than the local route, but its target is a transit gateway")),
        (RouteTable(id="rtb-1x", vpc_id="vpc-1", routes=(Route(destination_cidr_block="10.9.0.0/16", transit_gateway_id="tgw"),)), ("rtb-1x 10.9.0.0/16", "InvalidTransitGatewayID.NotFound: vpc-1 is not attached to tgw")),
    ],
)  # fmt: skip
def test_a_mistake_is_told(wrong, expected):
    peer = TransitGatewayPeeringAttachment(id="peer", transit_gateway_id="tgw", peer_transit_gateway_id="tgw-far")
    assert expected in told(*(each for each in (*BASE, FAR, SECOND, peer) if each.id != wrong.id), wrong)


def test_two_associations_of_one_attachment_are_told():
    assert told(*BASE, table(associations=("attach",)), table("tgw-rtb-2", associations=("attach",))) == [("attach", "Resource.AlreadyAssociated: attach is associated with tgw-rtb and tgw-rtb-2")]


@pytest.mark.parametrize(
    ("quota", "expected"),
    [
        ({"transit_gateway_attachments": 0}, ("tgw", "1 attachments, over the limit of 0")),
        ({"transit_gateway_route_tables": 1}, ("tgw", "2 route tables, over the limit of 1")),
        ({"transit_gateway_routes": 1}, ("tgw", "2 routes, over the limit of 1")),
        ({"transit_gateways_per_region": 0}, ("eu-west-1", "1 transit gateways, over the limit of 0")),
        ({"transit_gateways_per_vpc": 0}, ("vpc-9", "attached to 1 transit gateways, over the limit of 0")),
    ],
)
def test_more_than_a_quota_is_told(quota, expected):
    assert told(*BASE, table(propagations=("attach",)), quotas=Quotas(**quota)) == [expected]


def test_overlapping_vpcs_attach_and_the_first_is_propagated():
    twin = Vpc(id="vpc-8", region="eu-west-1", cidr_block="10.9.0.0/17")
    subnet = Subnet(id="subnet-8", vpc_id="vpc-8", cidr_block="10.9.0.0/24", availability_zone="eu-west-1a")
    resolved = resolve(topology(*BASE, twin, subnet, attachment(id="attach-8", vpc_id="vpc-8", subnet_ids=("subnet-8",))))
    (default,) = resolved.transit_gateway_route_tables
    assert default.id == "tgw-rtb-default-tgw"
    assert [(route.destination, route.attachment) for route in default.routes] == [(IPv4Network("10.9.0.0/16"), "attach")]
