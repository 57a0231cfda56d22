"""A transit gateway's BGP speaker: one BIRD with a table for each kernel table of each route table.

An attachment's neighbours are told what the table holds with which the attachment is associated, and what they tell goes into every table that the attachment propagates into, with the metric of
its kind (`transit_gateway.metric`): so the kernel and BIRD choose alike, static routes first.
Each kind of attachment that speaks BGP has a line in `NEIGHBOURS`: (attachment, propagates_to, associated, metric, resolved) -> neighbours.
Source: Transit Gateway guide, "How AWS Transit Gateway works": "Route evaluation order", "Equal Cost Multipath routing" (documented).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from services.bgp.config import Neighbour, Originated, Table
from testbed.compile import bgp_speaker, direct_connect_gateway, transit_gateway, transit_gateway_connect, vpn_connection
from testbed.compile.fragment import Fragment
from testbed.model.transit_gateway import TransitGateway
from testbed.model.transit_gateway_attachment import PROPAGATED, AttachmentKind, TransitGatewayRoutePriority
from testbed.resolve.resolved import Resolved
from testbed.resolve.resolved_transit_gateway import ResolvedTransitGatewayAttachment, ResolvedTransitGatewayRouteTable

MOST_PATHS = 16
"""Equally good next hops at most (AWS's number is not documented)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """Where an attachment's routes go and what it is told, as names of the speaker's tables, and the metric of its kind."""

    propagates_to: tuple[str, ...]
    associated: str | None
    metric: int


NEIGHBOURS: dict[AttachmentKind, Callable[[ResolvedTransitGatewayAttachment, Tables, Resolved], tuple[Neighbour, ...]]] = {
    AttachmentKind.DIRECT_CONNECT_GATEWAY: lambda attachment, tables, resolved: direct_connect_gateway.gateway_neighbours(
        attachment.transit_gateway, resolved, association_id=attachment.id, propagates_to=tables.propagates_to, associated=tables.associated, metric=tables.metric
    ),
    AttachmentKind.CONNECT: lambda attachment, tables, resolved: transit_gateway_connect.gateway_neighbours(
        attachment, resolved, propagates_to=tables.propagates_to, associated=tables.associated, metric=tables.metric
    ),
    AttachmentKind.VPN: lambda attachment, tables, resolved: vpn_connection.gateway_neighbours(
        attachment.transit_gateway, resolved, connection_id=attachment.id, propagates_to=tables.propagates_to, associated=tables.associated, metric=tables.metric,
        paths_equal=next(gateway.vpn_ecmp_support for gateway in resolved.topology.of(TransitGateway) if gateway.id == attachment.transit_gateway),
    ),
}


def lower(gateway: TransitGateway, resolved: Resolved) -> Fragment:
    """The speaker of a transit gateway, if any attachment speaks BGP."""
    neighbours = tuple(
        neighbour
        for attachment in resolved.attachments_of(gateway.id)
        if attachment.kind in NEIGHBOURS
        for neighbour in NEIGHBOURS[attachment.kind](attachment, tables_of(attachment, resolved), resolved)
    )
    own = tuple(table for table in resolved.transit_gateway_route_tables if table.transit_gateway == gateway.id)
    tables = tuple(Table(name=name, kernel=number, paths=MOST_PATHS) for table in own for name, number in _tables(table, resolved))
    outer = tuple(table for attachment in resolved.attachments_of(gateway.id) for table in transit_gateway_connect.outer_tables(attachment, resolved))
    originated = tuple(originated for table in own for originated in _originated(table, resolved))
    return Fragment(services=bgp_speaker.speaker(gateway.id, gateway.amazon_side_asn, tables=(*tables, *outer), neighbours=neighbours, originated=originated, origin=gateway.id))


def tables_of(attachment: ResolvedTransitGatewayAttachment, resolved: Resolved) -> Tables:
    """The tables and the metric of an attachment that propagates."""
    into = transit_gateway.propagated_to(attachment, resolved)
    associated = None if attachment.table is None else _tables(resolved.transit_gateway_route_table(attachment.table), resolved)[0][0]
    return Tables(
        propagates_to=(*(name for table in into for name, _ in _tables(table, resolved)), *(table.name for table in transit_gateway_connect.outer_tables(attachment, resolved))),
        associated=associated,
        metric=transit_gateway.metric(_priority(attachment, resolved)),
    )


def _priority(attachment: ResolvedTransitGatewayAttachment, resolved: Resolved) -> TransitGatewayRoutePriority:
    is_private = any(connection.id == attachment.id and connection.transport is not None for connection in resolved.vpn_connections)
    return TransitGatewayRoutePriority.PRIVATE_IP_VPN if is_private else PROPAGATED[attachment.kind]


def _tables(table: ResolvedTransitGatewayRouteTable, resolved: Resolved) -> tuple[tuple[str, int], ...]:
    """The speaker's names of a route table's kernel tables, and their numbers; the first is the one for what comes from outside VPCs."""
    return tuple((f"{table.id}.{number}", number) for number in transit_gateway.kernel_tables(table, resolved))


def _originated(table: ResolvedTransitGatewayRouteTable, resolved: Resolved) -> Iterator[Originated]:
    """What is known without BGP; a blackhole is told to nobody (assumed)."""
    name = _tables(table, resolved)[0][0]
    for route in table.routes:
        if route.attachment is not None:
            yield Originated(prefix=route.destination, table=name, metric=transit_gateway.metric(route.priority))
