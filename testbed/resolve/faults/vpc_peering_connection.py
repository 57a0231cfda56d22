"""Faults of VPC peering connections across resources, in AWS's words where it has some.

Source: VPC peering guide, "VPC peering basics", "Modify VPC peering connection options"; VPC user guide, "Amazon VPC quotas"; EC2 API reference, "Error codes" (documented).
"""

from __future__ import annotations

from collections.abc import Iterator

from testbed.model.values import Fault
from testbed.model.vpc import Vpc
from testbed.model.vpc_peering_connection import VpcPeeringConnection
from testbed.resolve.interfaces import Wanted
from testbed.resolve.references import References


def faults(references: References, _: tuple[Wanted, ...]) -> Iterator[Fault]:
    """CIDR blocks that meet, a pair peered twice, more active peerings than the quota, DNS options without the attributes they need."""
    first: dict[frozenset[str], str] = {}
    for peering in references.topology.of(VpcPeeringConnection):
        if peering.vpc_id == peering.peer_vpc_id:
            continue
        known = first.setdefault(frozenset(peering.vpcs), peering.id)
        if known != peering.id:
            problem = f"{peering.vpc_id} and {peering.peer_vpc_id} are already peered by {known}"
            yield Fault(resource=peering.id, problem=problem, remedy="two VPCs have one peering connection: remove this one")
        yield from _overlap_faults(peering, references)
        yield from _dns_faults(peering, references)
    yield from _quota_faults(references)


def peered(vpc_id: str, other_id: str, references: References) -> VpcPeeringConnection | None:
    """The active peering of two VPCs."""
    pairs = (peering for peering in references.topology.of(VpcPeeringConnection) if peering.accepted)
    return next((peering for peering in pairs if {vpc_id, other_id} == set(peering.vpcs)), None)


def _overlap_faults(peering: VpcPeeringConnection, references: References) -> Iterator[Fault]:
    requester, accepter = (references.get(Vpc, vpc_id) for vpc_id in peering.vpcs)
    if requester is None or accepter is None:
        return
    for mine in requester.cidr_blocks:
        for yours in accepter.cidr_blocks:
            if mine.overlaps(yours):
                problem = f"failed due to overlapping CIDR range: {requester.id} has {mine} and {accepter.id} has {yours}"
                yield Fault(resource=peering.id, problem=problem, remedy="peer VPCs whose blocks are all apart, used or not; PrivateLink and private NAT reach across overlaps")


def _dns_faults(peering: VpcPeeringConnection, references: References) -> Iterator[Fault]:
    if not (peering.requester_allow_dns_resolution_from_remote_vpc or peering.accepter_allow_dns_resolution_from_remote_vpc):
        return
    for vpc_id in peering.vpcs:
        vpc = references.get(Vpc, vpc_id)
        if vpc is not None and not (vpc.enable_dns_support and vpc.enable_dns_hostnames):
            problem = f"DNS resolution is allowed, but {vpc_id} lacks enable_dns_support or enable_dns_hostnames"
            yield Fault(resource=peering.id, problem=problem, remedy="set both attributes on both VPCs")


def _quota_faults(references: References) -> Iterator[Fault]:
    quota = references.topology.quotas.active_vpc_peering_connections_per_vpc
    for vpc in references.topology.of(Vpc):
        active = sum(peering.accepted and vpc.id in peering.vpcs for peering in references.topology.of(VpcPeeringConnection))
        if active > quota:
            problem = f"{active} active VPC peering connections, over the limit of {quota}"
            yield Fault(resource=vpc.id, problem=problem, remedy="raise the quota (Quotas.active_vpc_peering_connections_per_vpc), or use a transit gateway")
