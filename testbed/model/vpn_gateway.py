"""Virtual private gateways: a VPC's end of Site-to-Site VPN and of Direct Connect's private virtual interfaces; and the propagation of their routes.

Source: CloudFormation, "AWS::EC2::VPNGateway", "AWS::EC2::VPNGatewayRoutePropagation"; Site-to-Site VPN user guide, "Site-to-Site VPN routing options" (documented).
NOT MODELLED: a gateway that is attached to no VPC (it would carry nothing), IPv6 (AWS has none here).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from testbed.model.customer_gateway import AWS_RESERVED_ASNS, HIGHEST_ASN
from testbed.model.values import Fault, bounds_faults, id_faults

DEFAULT_AMAZON_SIDE_ASN = 64512
MOST_PROPAGATED_ROUTES = 100
"""In a route table; it cannot be raised (VPC user guide, "Amazon VPC quotas"; documented)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VpnGateway:
    """A virtual private gateway attached to `vpc_id`, in that VPC's Region."""

    id: str
    vpc_id: str
    amazon_side_asn: int = DEFAULT_AMAZON_SIDE_ASN

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the gateway by itself."""
        return (*id_faults(self.id), *bounds_faults(self.id, "amazon_side_asn", self.amazon_side_asn, 1, HIGHEST_ASN), *self._asn_faults())

    def _asn_faults(self) -> Iterator[Fault]:
        if self.amazon_side_asn in AWS_RESERVED_ASNS:
            yield Fault(resource=self.id, problem=f"amazon_side_asn {self.amazon_side_asn} is reserved", remedy=f"use a private ASN, such as {DEFAULT_AMAZON_SIDE_ASN}")


@dataclass(frozen=True, slots=True, kw_only=True)
class VpnGatewayRoutePropagation:
    """What the gateway learns, statically or by BGP, becomes propagated routes of these route tables."""

    id: str
    vpn_gateway_id: str
    route_table_ids: tuple[str, ...]

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the propagation by itself."""
        if self.route_table_ids:
            return ()
        return (Fault(resource=self.id, problem="propagates into no route table", remedy="name route tables of the gateway's VPC in route_table_ids"),)
