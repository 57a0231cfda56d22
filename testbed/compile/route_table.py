"""A route table becomes a kernel table, chosen by the mark that the sender's subnet gives.

What is local is thrown back to the main table, which knows every interface. A route that is more specific than local wins by its length; it never
sees what stays in a subnet, which uses no route table. `resolve` has left one route for each destination.
Source: VPC user guide, "Configure route tables", "How route priority works", "Gateway route tables" (documented).
"""

from __future__ import annotations

from testbed.compile import fabric
from testbed.compile.fragment import Fragment, NodePart
from testbed.model.route_table import NEVER_FORWARDED
from testbed.plan import NftChain, NftRule, PlanError, PolicyRule, Route, RouteType
from testbed.plan.marks import ROUTE_TABLE_MASK
from testbed.plan.names import identifier
from testbed.resolve.resolved import EffectiveRoute, OwnerKind, Resolved, ResolvedInterface, ResolvedRouteTable, TargetKind


def lower(table: ResolvedRouteTable, resolved: Resolved) -> Fragment:
    """The table's rule and routes in its VPC's fabric, and what sends a gateway's arrivals to it."""
    number = fabric.FIRST_TABLE + table.number
    rule = PolicyRule(priority=number, mark=table.number, mask=ROUTE_TABLE_MASK, table=number, origin=table.id)
    services = Route(destination=NEVER_FORWARDED, type=RouteType.THROW, table=number, origin=f"{table.id} never forwards to link-local services")
    routes = tuple(_route(route, number, resolved) for route in table.routes)
    return Fragment(nodes=(NodePart(name=table.vpc, rules=(rule,), routes=(services, *routes)), *_edges(table)))


def _edges(table: ResolvedRouteTable) -> tuple[NodePart, ...]:
    """What arrives from an internet gateway is marked as a subnet's packets are (it has no zone)."""
    if not table.gateways:
        return ()
    chain = identifier("edge", table.id)
    arrivals = fabric.verdicts("from_interface", tuple((fabric.quoted(fabric.gateway_device(gateway)), f"goto {chain}") for gateway in table.gateways))
    return (fabric.chains(table.vpc, NftChain(name=chain, rules=(NftRule(statement=f"meta mark set {table.number:#x}", origin=table.id),)), maps=(arrivals,)),)


def _route(route: EffectiveRoute, number: int, resolved: Resolved) -> Route:
    if route.target_kind is TargetKind.LOCAL:
        return Route(destination=route.destination, type=RouteType.THROW, table=number, origin=route.origin)
    if route.target_kind is TargetKind.BLACKHOLE:
        return Route(destination=route.destination, type=RouteType.BLACKHOLE, table=number, origin=route.origin)
    if route.target_kind in (TargetKind.INTERNET_GATEWAY, TargetKind.VPC_ENDPOINT):
        return fabric.through(fabric.gateway_device(route.target), route.destination, number, route.origin)
    if route.target_kind is TargetKind.VPC_PEERING_CONNECTION:
        return fabric.through(fabric.peering_device(route.target), route.destination, number, route.origin)
    interface = _next_hop(route, resolved)
    return Route(destination=route.destination, device=fabric.device(interface), via=interface.address, onlink=True, table=number, origin=route.origin)


def _next_hop(route: EffectiveRoute, resolved: Resolved) -> ResolvedInterface:
    for interface in resolved.interfaces:
        if route.target_kind is TargetKind.NAT_GATEWAY and interface.owner_kind is OwnerKind.NAT_GATEWAY and interface.owner == route.target:
            return interface
        if route.target_kind is TargetKind.NETWORK_INTERFACE and interface.id == route.target:
            return interface
    raise PlanError(f"{route.origin}: {route.target} has no interface")
