"""VPCs: a private layer-3 network in one Region, without broadcast.

Source: VPC user guide, "VPC CIDR blocks", "DNS attributes for your VPC" (documented).
NOT MODELLED yet: secondary CIDR blocks, IPv6.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network

from testbed.model.values import Fault, network, network_faults


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
        return tuple(network_faults(self.id, "cidr_block", self.cidr_block))
