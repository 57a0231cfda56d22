"""Faults of VPCs with several CIDR blocks, in AWS's words where it has some."""

import pytest

from testbed.model import Quotas, Subnet
from testbed.resolve import resolve

from .small import faults, small, told, topology


def test_a_secondary_block_has_room_for_subnets():
    subnet = Subnet(id="sub-c", vpc_id="vpc-1", cidr_block="100.64.0.0/24", availability_zone="eu-west-1a")
    resolved = resolve(topology(small("vpc-1", cidr_block_associations=("100.64.0.0/16",)), subnet))
    assert [str(block) for block in resolved.vpcs[0].vpc.cidr_blocks] == ["10.0.0.0/16", "100.64.0.0/16"]
    assert str(resolved.vpcs[0].resolver) == "10.0.0.2", "of the primary block"


def test_every_table_has_a_local_route_for_each_block():
    resolved = resolve(topology(small("vpc-1", cidr_block_associations=("100.64.0.0/16", "10.1.0.0/16"))))
    (table,) = (table for table in resolved.route_tables if table.id == "rtb-2")
    assert [route.origin for route in table.routes] == ["rtb-2 10.0.0.0/16 -> local", "rtb-2 10.1.0.0/16 -> local", "rtb-2 100.64.0.0/16 -> local"]


def test_a_subnet_outside_all_blocks_is_told():
    subnet = Subnet(id="sub-c", vpc_id="vpc-1", cidr_block="10.9.0.0/24", availability_zone="eu-west-1a")
    assert told(small("vpc-1", cidr_block_associations=("100.64.0.0/16",)), subnet) == [("sub-c", "cidr_block 10.9.0.0/24 is outside vpc-1's 10.0.0.0/16 or 100.64.0.0/16")]


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        ("172.16.0.0/16", "the CIDR 172.16.0.0/16 is restricted"),
        ("192.168.0.0/24", "the CIDR 192.168.0.0/24 is restricted"),
        ("169.254.8.0/24", "cidr_block 169.254.8.0/24 is link-local"),
        ("10.0.128.0/20", "the CIDR 10.0.128.0/20 overlaps 10.0.0.0/16 of the same VPC"),
        ("10.4.0.0/29", "cidr_block_associations 10.4.0.0/29 has a /29 netmask"),
        ("ten", "cidr_block_associations 'ten' is not an IPv4 CIDR block"),
    ],
)
def test_a_block_that_aws_refuses_is_told(block, problem):
    assert told(small("vpc-1", cidr_block_associations=(block,))) == [("vpc-1", problem)]


@pytest.mark.parametrize("block", ["10.1.0.0/16", "100.64.0.0/16", "198.51.100.0/24"])
def test_the_same_private_range_shared_and_public_ones_are_no_fault(block):
    resolve(topology(small("vpc-1", cidr_block_associations=(block,))))


def test_a_private_block_beside_a_public_primary_is_told():
    assert told(small("vpc-2", cidr_block="100.64.0.0/16", cidr_block_associations=("10.0.0.0/16",))) == [("vpc-2", "the CIDR 10.0.0.0/16 is restricted")]


def test_five_blocks_are_the_quota_and_it_can_be_raised():
    six = small("vpc-1", cidr_block_associations=tuple(f"10.{number}.0.0/16" for number in range(1, 6)))
    (fault,) = faults(topology(six))
    assert (fault.resource, fault.problem) == ("vpc-1", "this network has met its maximum number of allowed CIDRs: 5")
    resolve(topology(six, quotas=Quotas(cidr_blocks_per_vpc=6)))
