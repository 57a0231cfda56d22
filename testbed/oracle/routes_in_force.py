"""A route table as it is in force: for each destination the route that takes its packets, and why that one.

Sources as in `route_selection`; the words of `why` are ours.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from testbed.model.network_interface import NetworkInterface
from testbed.model.prefix_list import PrefixList
from testbed.model.route_table import ACTIVE, BLACKHOLE, RoutePriority, RouteTable
from testbed.model.subnet import Subnet
from testbed.model.topology import Topology
from testbed.model.vpc import Vpc
from testbed.model.vpc_peering_connection import VpcPeeringConnection
from testbed.oracle.private_access import with_gateway_routes
from testbed.oracle.route_selection import NEVER_FORWARDED, Selected, in_order, table_of, target_of
from testbed.oracle.vpn_connection import PropagatedRoute, with_propagated_routes
from testbed.resolve.references import References, default_route_table

LOCAL = "local"
WORDS = {
    RoutePriority.STATIC: "a static route",
    RoutePriority.PREFIX_LIST: "a prefix list",
    RoutePriority.PROPAGATED_DIRECT_CONNECT: "a propagated route of Direct Connect",
    RoutePriority.PROPAGATED_VPN_STATIC: "a propagated static route of a VPN",
    RoutePriority.PROPAGATED_VPN_BGP: "a propagated BGP route of a VPN",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteInForce:
    """The route for one destination. `target` is an id or ``local``; `state` AWS's; `beaten` are routes that it keeps from packets: equal ones, and shorter ones."""

    destination: IPv4Network
    target: str
    state: str
    prefix_list: str | None
    origin: str
    why: str
    beaten: tuple[str, ...]
    propagated: str | None = None
    """Of which connection a virtual private gateway has propagated it."""

    @property
    def is_learned(self) -> bool:
        """Whether BGP brings it, so that it comes and goes by itself."""
        return self.propagated is not None and self.propagated.endswith(" BGP")


@dataclass(frozen=True, slots=True, kw_only=True)
class TableInForce:
    """A route table, for whom it routes, and its routes, longest prefix first."""

    table: str
    vpc: str
    main: bool
    subnets: tuple[str, ...]
    gateways: tuple[str, ...]
    routes: tuple[RouteInForce, ...]

    def taking(self, destination: IPv4Address) -> RouteInForce | None:
        """The route that takes packets to an address; None if there is none, or nothing routes there."""
        if destination in NEVER_FORWARDED:
            return None
        return next((route for route in self.routes if destination in route.destination), None)


def table_in_force(name: str, topology: Topology) -> TableInForce:
    """The table with this id, or the one that serves the subnet with this id.

    Raises:
        LookupError: it is neither.
    """
    references = References(topology)
    subnet = references.get(Subnet, name)
    table = table_of(subnet, topology) if subnet is not None else _table(name, references)
    vpc = references.get(Vpc, table.vpc_id)
    if vpc is None:
        raise LookupError(f"{table.id} is of no VPC")
    served = tuple(each.id for each in topology.of(Subnet) if each.vpc_id == vpc.id and table_of(each, topology).id == table.id)
    table = with_propagated_routes(with_gateway_routes(table, topology), topology)
    routes = in_order(table, vpc, {prefix_list.id: prefix_list for prefix_list in topology.of(PrefixList)})
    winners = {selected.destination: selected for selected in reversed(routes)}
    in_force = tuple(_in_force(selected, routes, references) for selected in routes if winners[selected.destination] is selected)
    return TableInForce(table=table.id, vpc=vpc.id, main=table.main, subnets=served, gateways=tuple(sorted(table.gateway_associations)), routes=in_force)


def _table(name: str, references: References) -> RouteTable:
    written = references.get(RouteTable, name)
    if written is not None:
        return written
    for vpc in references.topology.of(Vpc):
        if name == default_route_table(vpc.id):
            return RouteTable(id=name, vpc_id=vpc.id, main=True)
    raise LookupError(f"{name} is neither a subnet nor a route table")


def _in_force(selected: Selected, routes: Iterable[Selected], references: References) -> RouteInForce:
    equal = [other for other in routes if other.destination == selected.destination and other is not selected]
    shorter = [other for other in routes if other.destination != selected.destination and selected.destination.subnet_of(other.destination)]
    route = selected.route
    return RouteInForce(
        destination=selected.destination,
        target=LOCAL if route is None else target_of(route),
        state=ACTIVE if route is None or not _is_blackhole(selected, references) else BLACKHOLE,
        prefix_list=None if route is None else route.destination_prefix_list_id,
        origin=selected.origin,
        why=_why(selected, equal, shorter),
        beaten=tuple(other.origin for other in (*equal, *shorter)),
        propagated=route.source if isinstance(route, PropagatedRoute) else None,
    )


def _why(selected: Selected, equal: list[Selected], shorter: list[Selected]) -> str:
    reasons = []
    if selected.route is None:
        reasons.append("every table has it")
    for other in equal:
        if other.priority is selected.priority:
            reasons.append(f"of two prefix lists AWS keeps to one, here the first by id, before {_list(other)}")
        else:
            reasons.append(f"{WORDS[selected.priority]} comes before {WORDS[other.priority]}, {_list(other)}")
    if shorter:
        reasons.append(f"/{selected.destination.prefixlen} is longer than {', '.join(dict.fromkeys(f'/{other.destination.prefixlen}' for other in shorter))}")
    return "; ".join(reasons) or "the only route to it"


def _list(selected: Selected) -> str:
    if isinstance(selected.route, PropagatedRoute):
        return f"of {selected.route.source}"
    return "" if selected.route is None else selected.route.destination_prefix_list_id or ""


def _is_blackhole(selected: Selected, references: References) -> bool:
    route = selected.route
    if route is None:
        return False
    interface, peering = references.get(NetworkInterface, route.network_interface_id), references.get(VpcPeeringConnection, route.vpc_peering_connection_id)
    detached = interface is not None and interface.instance_id is None
    pending = peering is not None and not peering.accepted
    return route.state == BLACKHOLE or detached or pending
