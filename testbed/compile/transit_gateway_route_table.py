"""A transit gateway route table becomes a kernel table for each zone, chosen by the mark of the arriving device; see `transit_gateway`.

`resolve` has left one route for each destination; what BGP learns joins them in the kernel, and loses or wins by its metric.
Source: Transit Gateway guide, "How AWS Transit Gateway works" (documented).
"""

from __future__ import annotations

from testbed.compile import fabric, transit_gateway, vpn_connection
from testbed.compile.fragment import Fragment, NodePart
from testbed.compile.transit_gateway_vpc_attachment import zone_in, zone_letter
from testbed.model.transit_gateway_attachment import AttachmentKind
from testbed.model.transit_gateway_route_table import Candidate
from testbed.plan import PlanError, PolicyRule, Route, RouteType
from testbed.plan.marks import AVAILABILITY_ZONE_MASK, ROUTE_TABLE_MASK
from testbed.resolve.resolved import Resolved
from testbed.resolve.resolved_transit_gateway import ResolvedTransitGatewayAttachment, ResolvedTransitGatewayRouteTable


def lower(table: ResolvedTransitGatewayRouteTable, resolved: Resolved) -> Fragment:
    """The rules and routes of a table, for every zone."""
    rules, routes = [], []
    for zone in transit_gateway.zones(table.transit_gateway, resolved):
        mark, number = transit_gateway.mark(table, zone), transit_gateway.kernel_table(table, zone)
        rules.append(PolicyRule(priority=fabric.FIRST_TABLE + table.number, mark=mark, mask=ROUTE_TABLE_MASK | AVAILABILITY_ZONE_MASK, table=number, origin=table.id))
        routes += [each for route in table.routes for each in _routes(route, zone, number, table, resolved)]
        routes.append(Route(destination=fabric.EVERYTHING, type=RouteType.BLACKHOLE, table=number, metric=transit_gateway.NO_ROUTE_METRIC, origin=f"{table.id} no route"))
    return Fragment(nodes=(NodePart(name=table.transit_gateway, rules=tuple(rules), routes=tuple(routes)),))


def _routes(route: Candidate, zone: int, number: int, table: ResolvedTransitGatewayRouteTable, resolved: Resolved) -> tuple[Route, ...]:
    """One kernel route; to a VPN connection one for each tunnel, the first tunnel's before the second's."""
    metric = transit_gateway.metric(route.priority)
    if route.attachment is None:
        return (Route(destination=route.destination, type=RouteType.BLACKHOLE, table=number, metric=metric, origin=route.origin),)
    attachment = _attachment(route.attachment, table, resolved)
    devices = vpn_connection.gateway_devices(attachment.id, resolved) if attachment.kind is AttachmentKind.VPN else (next_hop(attachment, zone),)
    return tuple(
        Route(destination=route.destination, device=device, via=fabric.FABRIC_END, onlink=True, table=number, metric=metric + place, origin=route.origin)
        for place, device in enumerate(devices)
    )


def next_hop(attachment: ResolvedTransitGatewayAttachment, zone: int) -> str:
    """The device by which packets of one zone go to an attachment; the neighbour there is `fabric.FABRIC_END`."""
    if attachment.kind is AttachmentKind.VPC:
        return transit_gateway.device(attachment.id, zone_letter(zone_in(attachment, zone)))
    if attachment.kind is AttachmentKind.PEERING:
        return transit_gateway.peering_device(attachment.id)
    return transit_gateway.device(attachment.id)


def _attachment(attachment_id: str, table: ResolvedTransitGatewayRouteTable, resolved: Resolved) -> ResolvedTransitGatewayAttachment:
    attachment = resolved.attachment(attachment_id, table.transit_gateway)
    if attachment is None:
        raise PlanError(f"{table.id}: {attachment_id} is not attached to {table.transit_gateway}")
    return attachment
