"""Subnets: a range of a VPC in one Availability Zone.

Source: VPC user guide, "Subnet CIDR blocks", "Subnets for your VPC" (documented).
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network

from testbed.model.geography import REGIONS
from testbed.model.values import Fault, block_faults, id_faults, network, unknown_faults

ZONE_LETTERS = "abcdef"
"""No Region has more than six zones (assumed for those that AWS may add)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subnet:
    """A subnet. `availability_zone` is the Region's name and a letter: ``eu-west-1a``."""

    id: str
    vpc_id: str
    cidr_block: IPv4Network
    availability_zone: str
    map_public_ip_on_launch: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "cidr_block", network(self.cidr_block))

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the subnet by itself."""
        return (
            *id_faults(self.id),
            *block_faults(self.id, "cidr_block", self.cidr_block),
            *unknown_faults(self.id, "availability_zone", self.availability_zone, [region + letter for region in REGIONS for letter in ZONE_LETTERS]),
        )
