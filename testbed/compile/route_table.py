"""A route table becomes a kernel table, chosen by the mark that the sender's subnet gives.

What is local is thrown back to the main table, which knows every interface. A route that is more specific than local wins by its length; it never
sees what stays in a subnet, which uses no route table. `resolve` has left one route for each destination.

A table that leads to a transit gateway is a kernel table for each zone of its subnets, since packets leave in the zone of their sender: without an attachment's subnet there they
die. A table of an attachment's subnet is one more, for what has arrived from the transit gateway: that may go to interfaces, NAT gateways and an internet gateway (which drops what it cannot
translate), but to no other transit gateway, peering or gateway endpoint, which serve the VPC's own interfaces ("Gateway endpoints", "VPC peering basics"; documented. From one transit
gateway to another, or back: assumed).
Source: VPC user guide, "Configure route tables", "How route priority works", "Gateway route tables" (documented).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from testbed.compile import fabric
from testbed.compile.fragment import Fragment, NodePart
from testbed.compile.transit_gateway_vpc_attachment import zone_letter
from testbed.model.route_table import NEVER_FORWARDED
from testbed.plan import NftChain, NftRule, PlanError, PolicyRule, Route, RouteType
from testbed.plan.marks import ARRIVED, AVAILABILITY_ZONE_MASK, AVAILABILITY_ZONE_SHIFT, ROUTE_TABLE_MASK
from testbed.plan.names import identifier
from testbed.resolve.resolved import EffectiveRoute, OwnerKind, Resolved, ResolvedInterface, ResolvedRouteTable, TargetKind

NOT_FOR_ARRIVALS = "not for what comes from a transit gateway"


def lower(table: ResolvedRouteTable, resolved: Resolved) -> Fragment:
    """The table's rule and routes in its VPC's fabric, and what sends a gateway's arrivals to it."""
    return Fragment(nodes=(*(_part(table, variant, resolved) for variant in _variants(table, resolved)), *_edges(table)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Variant:
    """A kernel table of a route table: for packets whose mark under `mask` is `mark`. `zone` is the zone that they come from, where that matters."""

    mark: int
    mask: int
    number: int
    zone: int = 0
    has_arrived: bool = False


def _variants(table: ResolvedRouteTable, resolved: Resolved) -> Iterator[_Variant]:
    """One, for all packets, unless a transit gateway is near. They exclude each other."""
    served = [subnet for subnet in resolved.subnets_in(table.vpc) if subnet.route_table == table.id]
    attached = {subnet for attachment in resolved.attachments_to(table.vpc) for _, subnet in attachment.subnets}
    arrives = any(subnet.subnet.id in attached for subnet in served)
    if any(route.target_kind is TargetKind.TRANSIT_GATEWAY for route in table.routes):
        numbers = dict(resolved.vpc(table.vpc).zone_numbers)
        for zone in sorted({numbers[subnet.subnet.availability_zone] for subnet in served}):
            mark = zone << AVAILABILITY_ZONE_SHIFT | table.number
            yield _Variant(mark=mark, mask=ROUTE_TABLE_MASK | AVAILABILITY_ZONE_MASK | ARRIVED, number=fabric.FIRST_TABLE + mark, zone=zone)
    else:
        yield _Variant(mark=table.number, mask=ROUTE_TABLE_MASK | ARRIVED if arrives else ROUTE_TABLE_MASK, number=fabric.FIRST_TABLE + table.number)
    if arrives:
        number = fabric.FIRST_TABLE + (AVAILABILITY_ZONE_MASK | table.number)
        yield _Variant(mark=ARRIVED | table.number, mask=ROUTE_TABLE_MASK | ARRIVED, number=number, has_arrived=True)


def kernel_tables(table: ResolvedRouteTable, resolved: Resolved) -> tuple[int, ...]:
    """The kernel tables for what the VPC's own interfaces send by this table: where propagated routes go that BGP learns at run time."""
    return tuple(variant.number for variant in _variants(table, resolved) if not variant.has_arrived)


def _part(table: ResolvedRouteTable, variant: _Variant, resolved: Resolved) -> NodePart:
    rule = PolicyRule(priority=fabric.FIRST_TABLE + table.number, mark=variant.mark, mask=variant.mask, table=variant.number, origin=table.id)
    services = Route(destination=NEVER_FORWARDED, type=RouteType.THROW, table=variant.number, origin=f"{table.id} never forwards to link-local services")
    return NodePart(name=table.vpc, rules=(rule,), routes=(services, *(_route(route, table, variant, resolved) for route in table.routes)))


def _edges(table: ResolvedRouteTable) -> tuple[NodePart, ...]:
    """What arrives from an internet gateway is marked as a subnet's packets are (it has no zone)."""
    if not table.gateways:
        return ()
    chain = identifier("edge", table.id)
    arrivals = fabric.verdicts("from_interface", tuple((fabric.quoted(fabric.gateway_device(gateway)), f"goto {chain}") for gateway in table.gateways))
    return (fabric.chains(table.vpc, NftChain(name=chain, rules=(NftRule(statement=f"meta mark set {table.number:#x}", origin=table.id),)), maps=(arrivals,)),)


def _route(route: EffectiveRoute, table: ResolvedRouteTable, variant: _Variant, resolved: Resolved) -> Route:
    number = variant.number
    if route.target_kind is TargetKind.LOCAL:
        return Route(destination=route.destination, type=RouteType.THROW, table=number, origin=route.origin)
    if route.target_kind is TargetKind.BLACKHOLE:
        return Route(destination=route.destination, type=RouteType.BLACKHOLE, table=number, origin=route.origin)
    if variant.has_arrived and _serves_the_vpc_alone(route):
        return Route(destination=route.destination, type=RouteType.BLACKHOLE, table=number, origin=f"{route.origin} ({NOT_FOR_ARRIVALS})")
    if route.target_kind is TargetKind.TRANSIT_GATEWAY:
        return _to_transit_gateway(route, table, variant, resolved)
    if route.target_kind in (TargetKind.INTERNET_GATEWAY, TargetKind.VPC_ENDPOINT, TargetKind.VPN_GATEWAY):
        return fabric.through(fabric.gateway_device(route.target), route.destination, number, route.origin)
    if route.target_kind is TargetKind.VPC_PEERING_CONNECTION:
        return fabric.through(fabric.peering_device(route.target), route.destination, number, route.origin)
    interface = _next_hop(route, resolved)
    return Route(destination=route.destination, device=fabric.device(interface), via=interface.address, onlink=True, table=number, origin=route.origin)


def _next_hop(route: EffectiveRoute, resolved: Resolved) -> ResolvedInterface:
    if route.target_kind is TargetKind.NAT_GATEWAY:
        found = next((interface for interface in resolved.interfaces_of(route.target) if interface.owner_kind is OwnerKind.NAT_GATEWAY), None)
    else:
        found = resolved.interface(route.target)
    if found is not None:
        return found
    raise PlanError(f"{route.origin}: {route.target} has no interface")


def _serves_the_vpc_alone(route: EffectiveRoute) -> bool:
    return route.target_kind in (TargetKind.TRANSIT_GATEWAY, TargetKind.VPC_PEERING_CONNECTION, TargetKind.VPC_ENDPOINT)


def _to_transit_gateway(route: EffectiveRoute, table: ResolvedRouteTable, variant: _Variant, resolved: Resolved) -> Route:
    """Over the attachment, in the zone of the sender."""
    attachment = next((each for each in resolved.attachments_to(table.vpc) if each.transit_gateway == route.target), None)
    if attachment is None:
        raise PlanError(f"{route.origin}: {table.vpc} is not attached to {route.target}")
    if variant.zone not in dict(attachment.subnets):
        origin = f"{route.origin} ({attachment.id} has no subnet in zone {zone_letter(variant.zone)})"
        return Route(destination=route.destination, type=RouteType.BLACKHOLE, table=variant.number, origin=origin)
    return fabric.through(fabric.transit_gateway_device(attachment.id, zone_letter(variant.zone)), route.destination, variant.number, route.origin)
