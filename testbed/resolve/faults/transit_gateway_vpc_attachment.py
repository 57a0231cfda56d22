"""Faults of VPC attachments across resources: subnets that AWS does not take, a VPC attached twice, quotas.

Source: Transit Gateway guide, "Amazon VPC attachments in AWS Transit Gateway", "Transit gateway quotas"; EC2 API reference, "Error codes": DuplicateSubnetsInSameZone (documented).
That blocks overlap is no fault: the VPC is attached, and its routes are not propagated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from testbed.model.subnet import Subnet
from testbed.model.transit_gateway import TransitGateway
from testbed.model.transit_gateway_vpc_attachment import TransitGatewayVpcAttachment
from testbed.model.values import Fault
from testbed.model.vpc import Vpc
from testbed.resolve.interfaces import Wanted
from testbed.resolve.references import References


def faults(references: References, _: tuple[Wanted, ...]) -> Iterator[Fault]:
    """Faults of each attachment's place and subnets, then of each VPC's attachments together."""
    attachments = references.topology.of(TransitGatewayVpcAttachment)
    for attachment in attachments:
        yield from _region_faults(attachment, references)
        yield from _subnet_faults(attachment, references)
    first: dict[tuple[str, str], str] = {}
    for attachment in attachments:
        known = first.setdefault((attachment.transit_gateway_id, attachment.vpc_id), attachment.id)
        if known != attachment.id:
            problem = f"DuplicateTransitGatewayAttachment: {attachment.vpc_id} is already attached to {attachment.transit_gateway_id} by {known}"
            yield Fault(resource=attachment.id, problem=problem, remedy="remove one; an attachment enables several zones by its subnet_ids")
    quota = references.topology.quotas.transit_gateways_per_vpc
    for vpc, count in sorted(Counter(vpc for _, vpc in first).items()):
        if count > quota:
            yield Fault(resource=vpc, problem=f"attached to {count} transit gateways, over the limit of {quota}", remedy="detach some (Quotas.transit_gateways_per_vpc)")


def share_transit_gateway(vpc_id: str, other_id: str, references: References) -> bool:
    """Whether some transit gateway has both VPCs attached."""
    attachments = references.topology.of(TransitGatewayVpcAttachment)
    mine, yours = ({attachment.transit_gateway_id for attachment in attachments if attachment.vpc_id == vpc} for vpc in (vpc_id, other_id))
    return not mine.isdisjoint(yours)


def _region_faults(attachment: TransitGatewayVpcAttachment, references: References) -> Iterator[Fault]:
    gateway, vpc = references.get(TransitGateway, attachment.transit_gateway_id), references.get(Vpc, attachment.vpc_id)
    if gateway is not None and vpc is not None and gateway.region != vpc.region:
        problem = f"{vpc.id} is in {vpc.region}, but {gateway.id} in {gateway.region}"
        yield Fault(resource=attachment.id, problem=problem, remedy=f"attach VPCs of {gateway.region}; peer a transit gateway of {vpc.region} with {gateway.id}")


def _subnet_faults(attachment: TransitGatewayVpcAttachment, references: References) -> Iterator[Fault]:
    zones: dict[str, str] = {}
    for subnet_id in dict.fromkeys(attachment.subnet_ids):
        subnet = references.get(Subnet, subnet_id)
        if subnet is None:
            continue
        if subnet.vpc_id != attachment.vpc_id:
            yield Fault(resource=attachment.id, problem=f"{subnet_id} is a subnet of {subnet.vpc_id}, not of {attachment.vpc_id}", remedy=f"name subnets of {attachment.vpc_id}")
            continue
        known = zones.setdefault(subnet.availability_zone, subnet_id)
        if known != subnet_id:
            problem = f"DuplicateSubnetsInSameZone: {known} and {subnet_id} are both in {subnet.availability_zone}"
            yield Fault(resource=attachment.id, problem=problem, remedy="name exactly one subnet of each Availability Zone")
