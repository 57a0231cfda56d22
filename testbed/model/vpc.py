"""VPCs: a private layer-3 network in one Region, without broadcast.

Source: VPC user guide, "VPC CIDR blocks", "DNS attributes for your VPC" (documented).
NOT MODELLED yet: secondary CIDR blocks, IPv6.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network

from testbed.model.geography import REGIONS
from testbed.model.values import Fault, block_faults, id_faults, network, unknown_faults

LINK_LOCAL = IPv4Network("169.254.0.0/16")


@dataclass(frozen=True, slots=True, kw_only=True)
class Vpc:
    """A VPC. `region` names one of `geography.REGIONS`."""

    id: str
    cidr_block: IPv4Network
    region: str
    enable_dns_support: bool = True
    enable_dns_hostnames: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "cidr_block", network(self.cidr_block))

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the VPC by itself."""
        return (
            *id_faults(self.id),
            *block_faults(self.id, "cidr_block", self.cidr_block),
            *self._link_local_faults(),
            *unknown_faults(self.id, "region", self.region, REGIONS),
        )

    def _link_local_faults(self) -> Iterator[Fault]:
        if isinstance(self.cidr_block, IPv4Network) and self.cidr_block.overlaps(LINK_LOCAL):
            yield Fault(resource=self.id, problem=f"cidr_block {self.cidr_block} is link-local", remedy="choose a private range (RFC 1918), such as 10.0.0.0/16")
