"""Direct Connect gateways: global, between virtual interfaces at any location and virtual private gateways or transit gateways in any Region.

    private virtual interfaces ─► gateway ─► virtual private gateways   allowed prefixes are a filter: a VPC's block is told if one is equal or wider
    transit virtual interfaces ─► gateway ─► transit gateways           allowed prefixes are what is told, word for word

No traffic from one virtual private gateway to another, unless the site announces a prefix that covers both VPCs.
Source: Direct Connect user guide, "Direct Connect gateways", "Allowed prefixes interactions", "Direct Connect quotas"; CloudFormation, "AWS::DirectConnect::DirectConnectGateway",
"AWS::DirectConnect::DirectConnectGatewayAssociation" (documented).
NOT MODELLED: SiteLink, gateways of other accounts, Cloud WAN.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network

from testbed.model.customer_gateway import AWS_RESERVED_ASNS, HIGHEST_ASN
from testbed.model.values import Fault, bounds_faults, id_faults, network, network_faults

DEFAULT_AMAZON_SIDE_ASN = 64512
MOST_VIRTUAL_INTERFACES, MOST_VPN_GATEWAYS, MOST_TRANSIT_GATEWAYS = 30, 20, 6
MOST_ALLOWED_PREFIXES_TRANSIT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectConnectGateway:
    """A gateway that speaks BGP as `amazon_side_asn` to the sites."""

    id: str
    amazon_side_asn: int = DEFAULT_AMAZON_SIDE_ASN

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the gateway by itself."""
        return (*id_faults(self.id), *bounds_faults(self.id, "amazon_side_asn", self.amazon_side_asn, 1, HIGHEST_ASN), *self._asn_faults())

    def _asn_faults(self) -> Iterator[Fault]:
        if self.amazon_side_asn in AWS_RESERVED_ASNS:
            yield Fault(resource=self.id, problem=f"amazon_side_asn {self.amazon_side_asn} is reserved", remedy=f"use a private ASN, such as {DEFAULT_AMAZON_SIDE_ASN}")


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectConnectGatewayAssociation:
    """`associated_gateway_id` is a virtual private gateway or a transit gateway. Without `allowed_prefixes` a virtual private gateway's whole VPC is told; a transit gateway must have some."""

    id: str
    direct_connect_gateway_id: str
    associated_gateway_id: str
    allowed_prefixes: tuple[IPv4Network, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "allowed_prefixes", tuple(network(block) for block in self.allowed_prefixes))

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the association by itself."""
        return (*id_faults(self.id), *(fault for block in self.allowed_prefixes for fault in network_faults(self.id, "allowed_prefixes", block)))

    def admits(self, block: IPv4Network) -> bool:
        """Whether a VPC's block passes the filter: an allowed prefix is equal or wider, or there is none."""
        return not self.allowed_prefixes or any(block.subnet_of(allowed) for allowed in self.allowed_prefixes)
