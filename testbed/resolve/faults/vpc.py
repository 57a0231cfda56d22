"""Faults of VPCs with their CIDR blocks, subnets and internet gateways.

Source: VPC user guide, "VPC CIDR blocks", "Subnet CIDR blocks", "Subnets for your VPC", "Internet gateways" (one per VPC), "Amazon VPC quotas" (documented).
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network
from itertools import combinations

from testbed.model.internet_gateway import InternetGateway
from testbed.model.subnet import Subnet
from testbed.model.values import Fault
from testbed.model.vpc import Vpc
from testbed.resolve.interfaces import Wanted
from testbed.resolve.references import References


def faults(references: References, _: tuple[Wanted, ...]) -> Iterator[Fault]:
    """Faults of each VPC with what lies in it."""
    quota = references.topology.quotas.cidr_blocks_per_vpc
    for vpc in references.topology.of(Vpc):
        if len(vpc.cidr_blocks) > quota:
            problem = f"this network has met its maximum number of allowed CIDRs: {quota}"
            yield Fault(resource=vpc.id, problem=problem, remedy="remove some, or raise the quota (Quotas.cidr_blocks_per_vpc)")
        subnets = references.inside(Subnet, vpc.id)
        for subnet in subnets:
            yield from _placement_faults(subnet, vpc)
        sized = [subnet for subnet in subnets if isinstance(subnet.cidr_block, IPv4Network)]
        for first, second in combinations(sized, 2):
            if first.cidr_block.overlaps(second.cidr_block):
                problem = f"cidr_block {second.cidr_block} overlaps {first.cidr_block} of {first.id}"
                yield Fault(resource=second.id, problem=problem, remedy=f"choose a block of {_blocks(vpc)} that no other subnet uses")
        gateways = references.inside(InternetGateway, vpc.id)
        for gateway in gateways[1:]:
            yield Fault(resource=gateway.id, problem=f"{vpc.id} already has the internet gateway {gateways[0].id}", remedy="a VPC has one internet gateway: remove this one")


def _placement_faults(subnet: Subnet, vpc: Vpc) -> Iterator[Fault]:
    both_sized = isinstance(subnet.cidr_block, IPv4Network) and vpc.cidr_blocks
    if both_sized and not any(subnet.cidr_block.subnet_of(block) for block in vpc.cidr_blocks):
        problem = f"cidr_block {subnet.cidr_block} is outside {vpc.id}'s {_blocks(vpc)}"
        yield Fault(resource=subnet.id, problem=problem, remedy=f"choose a block of {_blocks(vpc)}")
    if subnet.availability_zone[:-1] != vpc.region:
        problem = f"Availability Zone {subnet.availability_zone} is not in {vpc.id}'s Region {vpc.region}"
        yield Fault(resource=subnet.id, problem=problem, remedy=f"choose a zone of {vpc.region}, such as {vpc.region}a")


def _blocks(vpc: Vpc) -> str:
    return " or ".join(map(str, vpc.cidr_blocks))
