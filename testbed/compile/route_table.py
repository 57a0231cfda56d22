"""A route table becomes a kernel table, chosen by the mark that the sender's subnet gives.

What is local is thrown back to the main table, which knows every interface. A route that is more specific than local wins by its length.
Source: VPC user guide, "Configure route tables", "How route priority works" (documented).
"""

from __future__ import annotations

from ipaddress import IPv4Network

from testbed.compile import fabric
from testbed.compile.fragment import Fragment, NodePart
from testbed.plan import PlanError, PolicyRule, Route, RouteType
from testbed.plan.marks import ROUTE_TABLE_MASK
from testbed.resolve.resolved import EffectiveRoute, OwnerKind, Resolved, ResolvedInterface, ResolvedRouteTable, TargetKind

LINK_LOCAL = IPv4Network("169.254.0.0/16")


def lower(table: ResolvedRouteTable, resolved: Resolved) -> Fragment:
    """The table's rule and routes in its VPC's fabric."""
    number = fabric.FIRST_TABLE + table.number
    rule = PolicyRule(priority=number, mark=table.number, mask=ROUTE_TABLE_MASK, table=number, origin=table.id)
    link_local = Route(destination=LINK_LOCAL, type=RouteType.THROW, table=number, origin=f"{table.id} link-local addresses are never routed")
    routes = tuple(_route(route, number, resolved) for route in table.routes)
    return Fragment(nodes=(NodePart(name=table.vpc, rules=(rule,), routes=(link_local, *routes)),))


def _route(route: EffectiveRoute, number: int, resolved: Resolved) -> Route:
    if route.target_kind is TargetKind.LOCAL:
        return Route(destination=route.destination, type=RouteType.THROW, table=number, origin=route.origin)
    if route.target_kind is TargetKind.BLACKHOLE:
        return Route(destination=route.destination, type=RouteType.BLACKHOLE, table=number, origin=route.origin)
    if route.target_kind is TargetKind.INTERNET_GATEWAY:
        return Route(
            destination=route.destination, device=fabric.gateway_device(route.target), via=fabric.GATEWAY_END, onlink=True, table=number, origin=route.origin
        )
    interface = _next_hop(route, resolved)
    return Route(destination=route.destination, device=fabric.device(interface), via=interface.address, onlink=True, table=number, origin=route.origin)


def _next_hop(route: EffectiveRoute, resolved: Resolved) -> ResolvedInterface:
    for interface in resolved.interfaces:
        if route.target_kind is TargetKind.NAT_GATEWAY and interface.owner_kind is OwnerKind.NAT_GATEWAY and interface.owner == route.target:
            return interface
        if route.target_kind is TargetKind.NETWORK_INTERFACE and interface.id == route.target:
            return interface
    raise PlanError(f"{route.origin}: {route.target} has no interface")
