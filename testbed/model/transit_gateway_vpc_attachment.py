"""VPC attachments: where a VPC and a transit gateway meet, in one subnet of each Availability Zone that is enabled.

What is in a zone without such a subnet reaches no transit gateway, though its route table says so. What comes from the transit gateway is routed in the VPC
by the table of the attachment's subnet.
Source: Transit Gateway guide, "Amazon VPC attachments in AWS Transit Gateway", "Example: Appliance in a shared services VPC"; CloudFormation,
"AWS::EC2::TransitGatewayVpcAttachment" (documented).
NOT MODELLED: attachments that nobody has accepted, `dns_support`, `ipv6_support`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from testbed.model.values import Fault, id_faults


@dataclass(frozen=True, slots=True, kw_only=True)
class TransitGatewayVpcAttachment:
    """An attachment of `vpc_id`. `appliance_mode_support`: both directions of a flow enter the VPC in one zone, so that they meet the same appliance.

    `security_group_referencing_support`: inbound rules of the VPC's groups may name groups of other VPCs on this transit gateway, which must support it as well; AWS's
    own default for an attachment is True.
    """

    id: str
    transit_gateway_id: str
    vpc_id: str
    subnet_ids: tuple[str, ...]
    appliance_mode_support: bool = False
    security_group_referencing_support: bool = True

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the attachment by itself."""
        return (*id_faults(self.id), *self._own_faults())

    def _own_faults(self) -> Iterator[Fault]:
        if not self.subnet_ids:
            yield Fault(resource=self.id, problem="has no subnet", remedy="name one subnet of each Availability Zone to enable in subnet_ids")
        for subnet, times in Counter(self.subnet_ids).items():
            if times > 1:
                yield Fault(resource=self.id, problem=f"DuplicateSubnetsInSameZone: {subnet} is named {times} times", remedy="name each subnet once")
