"""Transit gateways: a Region's router, to which VPCs, VPN connections, Direct Connect gateways and other transit gateways are attached.

Source: CloudFormation, "AWS::EC2::TransitGateway"; Transit Gateway guide, "How AWS Transit Gateway works", "Transit gateways" (documented).
NOT MODELLED: multicast, sharing with other accounts, `dns_support` of an attachment, IPv6, bandwidth limits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network

from testbed.model.geography import REGIONS
from testbed.model.values import Fault, id_faults, network, network_faults, unknown_faults

PRIVATE_ASNS = (range(64512, 65535), range(4200000000, 4294967295))
"""The AmazonSideAsn that CreateTransitGateway takes ("AWS::EC2::TransitGateway"; documented)."""
LARGEST_CIDR_BLOCK_PREFIX = 24
MTU_BYTES = 8500
"""Of every attachment but VPN ("Transit gateway quotas", "MTU"; documented)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransitGateway:
    """A transit gateway. An attachment that no route table names in its `associations` is associated with the default association table.

    With `default_route_table_propagation` every attachment (but a peering) propagates into the default propagation table, besides those that name it.
    The default tables are those of `association_default_route_table_id` and `propagation_default_route_table_id`, which must be written; without, the one that AWS makes
    (``tgw-rtb-default-<id>``). `transit_gateway_cidr_blocks` hold the outer addresses of Connect peers.
    """

    id: str
    region: str
    amazon_side_asn: int = 64512
    default_route_table_association: bool = True
    default_route_table_propagation: bool = True
    association_default_route_table_id: str | None = None
    propagation_default_route_table_id: str | None = None
    vpn_ecmp_support: bool = True
    security_group_referencing_support: bool = False
    transit_gateway_cidr_blocks: tuple[IPv4Network, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "transit_gateway_cidr_blocks", tuple(network(block) for block in self.transit_gateway_cidr_blocks))

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the gateway by itself."""
        return (*id_faults(self.id), *unknown_faults(self.id, "region", self.region, REGIONS), *self._own_faults())

    def _own_faults(self) -> Iterator[Fault]:
        if not any(self.amazon_side_asn in asns for asns in PRIVATE_ASNS):
            problem = f"amazon_side_asn {self.amazon_side_asn} is no private ASN"
            yield Fault(resource=self.id, problem=problem, remedy="use one from 64512 to 65534 or from 4200000000 to 4294967294")
        for block in self.transit_gateway_cidr_blocks:
            yield from network_faults(self.id, "transit_gateway_cidr_blocks", block)
            if isinstance(block, IPv4Network) and (block.prefixlen > LARGEST_CIDR_BLOCK_PREFIX or block.overlaps(IPv4Network("169.254.0.0/16"))):
                remedy = f"use blocks of /{LARGEST_CIDR_BLOCK_PREFIX} or larger, outside 169.254.0.0/16"
                yield Fault(resource=self.id, problem=f"transit_gateway_cidr_blocks {block} is not a block that AWS takes", remedy=remedy)
        for field, table, enabled in (
            ("association_default_route_table_id", self.association_default_route_table_id, self.default_route_table_association),
            ("propagation_default_route_table_id", self.propagation_default_route_table_id, self.default_route_table_propagation),
        ):
            if table is not None and not enabled:
                yield Fault(resource=self.id, problem=f"{field} is given, but there is no default {field.split('_')[0]}", remedy=f"leave {field} out, or default_route_table_{field.split('_')[0]} True")


def default_transit_gateway_route_table(transit_gateway_id: str) -> str:
    """The id of the route table that AWS makes with a transit gateway."""
    return f"tgw-rtb-default-{transit_gateway_id}"
