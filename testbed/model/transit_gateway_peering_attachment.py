"""Peering attachments: two transit gateways that send each other what static routes say, between Regions or within one.

One id serves both ends: each transit gateway's route tables may associate it and lead to it. Nothing is propagated over it, and no security group is known beyond it.
Source: Transit Gateway guide, "Transit gateway peering attachments in AWS Transit Gateway"; CloudFormation, "AWS::EC2::TransitGatewayPeeringAttachment" (documented).
NOT MODELLED: encryption between Regions, peerings that nobody has accepted, other accounts.
"""

from __future__ import annotations

from dataclasses import dataclass

from testbed.model.values import Fault, id_faults


@dataclass(frozen=True, slots=True, kw_only=True)
class TransitGatewayPeeringAttachment:
    """A peering that `transit_gateway_id` requests of `peer_transit_gateway_id`."""

    id: str
    transit_gateway_id: str
    peer_transit_gateway_id: str

    @property
    def transit_gateways(self) -> tuple[str, str]:
        """Both ends, the requester first."""
        return self.transit_gateway_id, self.peer_transit_gateway_id

    def other(self, transit_gateway_id: str) -> str:
        """The far end, as seen from one of the two."""
        return self.peer_transit_gateway_id if transit_gateway_id == self.transit_gateway_id else self.transit_gateway_id

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the peering by itself."""
        if self.transit_gateway_id == self.peer_transit_gateway_id:
            return (*id_faults(self.id), Fault(resource=self.id, problem=f"peers {self.transit_gateway_id} with itself", remedy="name another transit gateway in peer_transit_gateway_id"))
        return tuple(id_faults(self.id))
