"""A part of `resolved`: what `resolve` hands to `compile` of transit gateways."""

from __future__ import annotations

from dataclasses import dataclass

from testbed.model.transit_gateway_attachment import AttachmentKind
from testbed.model.transit_gateway_route_table import Candidate


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedTransitGatewayAttachment:
    """An attachment at one transit gateway; a peering is one at each of its two. `resource` is what is attached: a VPC, a peer, a VPN connection …

    `table` is the route table with which it is associated, None if with none. `subnets` are those of a VPC attachment with the numbers of their zones, by number.
    `security_group_referencing`: supported by both the attachment and its transit gateway."""

    id: str
    kind: AttachmentKind
    transit_gateway: str
    resource: str
    table: str | None
    subnets: tuple[tuple[int, str], ...] = ()
    appliance_mode: bool = False
    security_group_referencing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedTransitGatewayRouteTable:
    """A transit gateway's route table with the best known route for each destination, by destination (what BGP learns is not among them);
    `number` is unique in its transit gateway, `propagations` are the attachments that propagate into it, by id."""

    id: str
    transit_gateway: str
    number: int
    routes: tuple[Candidate, ...]
    propagations: tuple[str, ...]
