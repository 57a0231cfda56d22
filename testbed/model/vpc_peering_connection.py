"""VPC peering connections: two VPCs that reach each other's private addresses, and nothing beyond them.

Not transitive, no way to the peer's gateways, no route by itself: each side's tables say what goes over it.
Source: VPC peering guide, "VPC peering basics", "Modify VPC peering connection options"; CloudFormation, "AWS::EC2::VPCPeeringConnection" (documented).
NOT MODELLED: the week after which a request expires, rejected and deleted connections (a topology has them or has them not), other accounts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from testbed.model.values import Fault, id_faults


@dataclass(frozen=True, slots=True, kw_only=True)
class VpcPeeringConnection:
    """A peering that `vpc_id` requests of `peer_vpc_id`; it carries nothing until it is `accepted` (then active, else pending-acceptance).

    `…_allow_dns_resolution_from_remote_vpc` is ModifyVpcPeeringConnectionOptions' AllowDnsResolutionFromRemoteVpc of one side: the *other* VPC's resolver
    gives private addresses for public host names of this side.
    """

    id: str
    vpc_id: str
    peer_vpc_id: str
    accepted: bool = True
    requester_allow_dns_resolution_from_remote_vpc: bool = False
    accepter_allow_dns_resolution_from_remote_vpc: bool = False

    @property
    def vpcs(self) -> tuple[str, str]:
        """Both ends, the requester first."""
        return self.vpc_id, self.peer_vpc_id

    def other(self, vpc_id: str) -> str:
        """The far end, as seen from one of the two."""
        return self.peer_vpc_id if vpc_id == self.vpc_id else self.vpc_id

    def resolves_for(self, asking_vpc: str) -> bool:
        """Whether public host names of the other side lead `asking_vpc` to private addresses."""
        allowed = self.accepter_allow_dns_resolution_from_remote_vpc if asking_vpc == self.vpc_id else self.requester_allow_dns_resolution_from_remote_vpc
        return self.accepted and allowed

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the peering by itself."""
        return (*id_faults(self.id), *self._own_faults())

    def _own_faults(self) -> Iterator[Fault]:
        if self.vpc_id == self.peer_vpc_id:
            yield Fault(resource=self.id, problem=f"peers {self.vpc_id} with itself", remedy="name another VPC in peer_vpc_id")
        if not self.accepted and (self.requester_allow_dns_resolution_from_remote_vpc or self.accepter_allow_dns_resolution_from_remote_vpc):
            problem = "DNS resolution is allowed on a connection that is pending-acceptance"
            yield Fault(resource=self.id, problem=problem, remedy="accept the connection first: accepted=True")
