"""Quotas of VPCs and their parts, in AWS's words, and the addresses that a NAT gateway with several allocations gets."""

from __future__ import annotations

import pytest

from testbed.model import DhcpOptions, ElasticIp, Internet, InternetGateway, ModelError, NatGateway, Quotas, Route, RouteTable, Subnet, Topology, Vpc
from testbed.resolve import resolve

REGION = "eu-west-1"


def told(*resources, **quotas):
    with pytest.raises(ModelError) as error:
        resolve(Topology(name="quotas", quotas=Quotas(**quotas), resources=(Internet(), *resources)))
    return [(fault.resource, fault.problem) for fault in error.value.faults]


def vpcs(count):
    return tuple(Vpc(id=f"vpc-{n}", region=REGION, cidr_block=f"10.{n}.0.0/16") for n in range(count))


def network(*gateways, allocations=3):
    public = (Route(destination_cidr_block="0.0.0.0/0", gateway_id="igw"),)
    return (
        *vpcs(1),
        InternetGateway(id="igw", vpc_id="vpc-0"),
        Subnet(id="public", vpc_id="vpc-0", cidr_block="10.0.0.0/24", availability_zone="eu-west-1a"),
        RouteTable(id="rtb", vpc_id="vpc-0", main=True, routes=public),
        *(ElasticIp(id=f"eip-{n}", region=REGION) for n in range(allocations)),
        *gateways,
    )


def test_too_many_vpcs_subnets_and_addresses_are_told_as_aws_does():
    assert told(*vpcs(6)) == [(REGION, "VpcLimitExceeded: The maximum number of VPCs has been reached (6 of 5)")]
    assert told(*network(allocations=6)) == [(REGION, "AddressLimitExceeded: The maximum number of addresses has been reached (6 of 5)")]
    second = Subnet(id="more", vpc_id="vpc-0", cidr_block="10.0.1.0/24", availability_zone="eu-west-1a")
    assert told(*network(second), subnets_per_vpc=1) == [("vpc-0", "SubnetLimitExceeded: The maximum number of subnets has been reached (2 of 1)")]


def test_too_many_nat_gateways_in_a_zone_or_addresses_on_one():
    gateways = tuple(NatGateway(id=f"nat-{n}", subnet_id="public", connectivity_type="private") for n in range(2))
    assert told(*network(*gateways), nat_gateways_per_zone=1) == [("eu-west-1a", "NatGatewayLimitExceeded: Performing this operation would exceed the limit of 1 NAT gateways (2 of 1)")]
    three = NatGateway(id="nat", subnet_id="public", allocation_id="eip-0", secondary_allocation_ids=("eip-1", "eip-2"))
    assert told(*network(three)) == [("nat", "3 Elastic IP addresses, but the quota is 2")]


def test_an_allocation_serves_one_address_of_a_nat_gateway():
    twice = NatGateway(id="nat", subnet_id="public", allocation_id="eip-0", secondary_allocation_ids=("eip-0",))
    assert ("nat", "allocation_id eip-0 is already associated with nat") in told(*network(twice))
    missing = NatGateway(id="nat", subnet_id="public", allocation_id="eip-0", secondary_allocation_ids=("eip-9",))
    assert told(*network(missing)) == [("nat", "secondary_allocation_id 'eip-9' does not exist")]


def test_each_allocation_of_a_nat_gateway_is_mapped_to_an_address_of_its_own():
    gateway = NatGateway(id="nat", subnet_id="public", allocation_id="eip-0", secondary_allocation_ids=("eip-1",), private_ip_address="10.0.0.9")
    resolved = resolve(Topology(name="two", resources=(Internet(), *network(gateway))))
    (interface,) = resolved.interfaces_of("nat")
    assert [each.public_origin for each in interface.mapped] == ["eip-0", "eip-1"]
    assert str(interface.address) == "10.0.0.9"
    assert len(set(interface.addresses)) == 2


def test_a_vpc_names_an_option_set_that_exists():
    vpc = Vpc(id="vpc-0", region=REGION, cidr_block="10.0.0.0/16", dhcp_options_id="dopt-1")
    assert told(vpc, DhcpOptions(id="dopt-2")) == [("vpc-0", "dhcp_options_id 'dopt-1' does not exist")]
