"""Groups of other VPCs that inbound rules may name across a transit gateway: whose members count for what arrives from it.

The transit gateway and both attachments must support it, and the packets must come straight: a route that leads the other VPC's packets for this one to any other attachment (an inspection
VPC) makes the reference match nothing. Outbound rules never match such a group.
Source: Transit Gateway guide, "Amazon VPC attachments in AWS Transit Gateway": "Security group referencing" (documented).
NOT MODELLED: of a VPC whose packets come straight to some of this VPC's blocks only, none count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address

from testbed.resolve.resolved import Resolved
from testbed.resolve.resolved_transit_gateway import ResolvedTransitGatewayAttachment


def members_beyond(vpc_id: str, resolved: Resolved) -> Mapping[str, tuple[IPv4Address, ...]]:
    """By group, the private addresses that an inbound rule in this VPC means by it where packets come from a transit gateway."""
    sources = {other.resource for attachment in resolved.attachments_to(vpc_id) for other in _sources(attachment, resolved)}
    return {group.id: resolved.members_of[group.id] for group in resolved.security_groups if group.vpc_id in sources}


def _sources(attachment: ResolvedTransitGatewayAttachment, resolved: Resolved) -> Iterator[ResolvedTransitGatewayAttachment]:
    if not attachment.security_group_referencing:
        return
    for other in resolved.attachments_of(attachment.transit_gateway):
        if other.security_group_referencing and other.id != attachment.id and _comes_straight(other, attachment, resolved):
            yield other


def _comes_straight(source: ResolvedTransitGatewayAttachment, target: ResolvedTransitGatewayAttachment, resolved: Resolved) -> bool:
    """Whether whatever `source` sends to the VPC of `target` is routed there at once."""
    if source.table is None:
        return False
    routes = resolved.transit_gateway_route_table(source.table).routes
    for block in resolved.vpc(target.resource).vpc.cidr_blocks:
        around = max((route for route in routes if block.subnet_of(route.destination)), key=lambda route: route.destination.prefixlen, default=None)
        inside = [route for route in routes if route.destination.subnet_of(block)]
        if around is None or around.attachment != target.id or any(route.attachment not in (None, target.id) for route in inside):
            return False
    return True
