"""VPCs: a private layer-3 network in one Region, without broadcast.

Source: VPC user guide, "VPC CIDR blocks", "DNS attributes for your VPC" (documented).
NOT MODELLED yet: IPv6. NOT MODELLED: 10.0.0.0/16 refused beside 10.0.0.0/15, and 172.31.0.0/16 beside 172.16.0.0/12 (rules of one account's history).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network
from itertools import combinations

from testbed.model.geography import REGIONS
from testbed.model.values import Fault, block_faults, id_faults, network, unknown_faults

LINK_LOCAL = IPv4Network("169.254.0.0/16")
PRIVATE_RANGES = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
"""RFC 1918: a VPC's blocks come from one of them at most; 100.64.0.0/10 and public ranges may be added to any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vpc:
    """A VPC. `region` names one of `geography.REGIONS`; `cidr_block_associations` are its secondary blocks (CloudFormation: AWS::EC2::VPCCidrBlock)."""

    id: str
    cidr_block: IPv4Network
    region: str
    enable_dns_support: bool = True
    enable_dns_hostnames: bool = False
    cidr_block_associations: tuple[IPv4Network, ...] = ()
    dhcp_options_id: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "cidr_block", network(self.cidr_block))
        object.__setattr__(self, "cidr_block_associations", tuple(network(block) for block in self.cidr_block_associations))

    @property
    def cidr_blocks(self) -> tuple[IPv4Network, ...]:
        """All blocks, the primary one first; what is no CIDR is left out."""
        return tuple(block for block in (self.cidr_block, *self.cidr_block_associations) if isinstance(block, IPv4Network))

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the VPC by itself."""
        return (
            *id_faults(self.id),
            *block_faults(self.id, "cidr_block", self.cidr_block),
            *(fault for block in self.cidr_block_associations for fault in block_faults(self.id, "cidr_block_associations", block)),
            *self._link_local_faults(),
            *self._overlap_faults(),
            *self._range_faults(),
            *unknown_faults(self.id, "region", self.region, REGIONS),
        )

    def _link_local_faults(self) -> Iterator[Fault]:
        for block in self.cidr_blocks:
            if block.overlaps(LINK_LOCAL):
                yield Fault(resource=self.id, problem=f"cidr_block {block} is link-local", remedy="choose a private range (RFC 1918), such as 10.0.0.0/16")

    def _overlap_faults(self) -> Iterator[Fault]:
        for first, second in combinations(self.cidr_blocks, 2):
            if first.overlaps(second):
                yield Fault(resource=self.id, problem=f"the CIDR {second} overlaps {first} of the same VPC", remedy="choose a block that the VPC does not have yet")

    def _range_faults(self) -> Iterator[Fault]:
        """AWS's own words for a block from another private range than the VPC's (its error text; secondary)."""
        ranges = [next((r for r in PRIVATE_RANGES if block.subnet_of(r)), None) for block in self.cidr_blocks]
        for block, its_range in zip(self.cidr_blocks[1:], ranges[1:], strict=True):
            if its_range is not None and its_range != ranges[0]:
                remedy = "use a CIDR from the same private address range as the current VPC CIDR, or a publicly-routable CIDR"
                yield Fault(resource=self.id, problem=f"the CIDR {block} is restricted", remedy=remedy)
