"""A transit gateway's route table as it is in force: every route that it has, which of them takes a destination's packets, and why.

AWS shows the best route only; here the others are shown too. What BGP teaches a running transit gateway is not among them (`testbed bgp`).
Source: Transit Gateway guide, "How AWS Transit Gateway works": "Route evaluation order" (documented); the words of `why` are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from testbed.model.topology import Topology
from testbed.model.transit_gateway_attachment import TransitGatewayRoutePriority
from testbed.model.transit_gateway_route_table import Candidate, rank
from testbed.oracle.transit_gateway import TransitGateways

WORDS = {TransitGatewayRoutePriority.STATIC: "static", TransitGatewayRoutePriority.PREFIX_LIST: "prefix list"}
PROPAGATED = "propagated"


@dataclass(frozen=True, slots=True, kw_only=True)
class TransitGatewayRouteInForce:
    """One route. `attachment` None is a blackhole; `by` is ``static``, ``prefix list`` or ``propagated``; `wins` whether it takes packets to its destination, `why` says so or why not."""

    destination: IPv4Network
    attachment: str | None
    by: str
    wins: bool
    origin: str
    why: str
    is_learned: bool = False
    """Whether BGP brings it, so that it comes and goes by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransitGatewayTableInForce:
    """A table, the attachments whose packets it routes, those that propagate into it, those that do in vain (and whose blocks they meet), and its routes, longest prefix first."""

    table: str
    transit_gateway: str
    associations: tuple[str, ...]
    propagations: tuple[str, ...]
    not_propagated: tuple[tuple[str, str], ...]
    routes: tuple[TransitGatewayRouteInForce, ...]

    def taking(self, destination: IPv4Address) -> TransitGatewayRouteInForce | None:
        """The route that takes packets to an address."""
        return next((route for route in self.routes if route.wins and destination in route.destination), None)


def transit_gateway_tables_in_force(name: str, topology: Topology) -> tuple[TransitGatewayTableInForce, ...]:
    """The table with this id, or all tables of the transit gateway with this id.

    Raises:
        LookupError: it is neither.
    """
    hubs = TransitGateways(topology)
    gateway = hubs.gateway_of(name)
    if gateway is None:
        raise LookupError(f"{name} is neither a transit gateway nor one of its route tables")
    return tuple(_table(gateway, table, hubs) for table in hubs.tables_of(gateway) if name in (gateway, table))


def _table(gateway: str, table: str, hubs: TransitGateways) -> TransitGatewayTableInForce:
    candidates = sorted(hubs.candidates(gateway, table), key=lambda candidate: (-candidate.destination.prefixlen, candidate.destination, rank(candidate)))
    return TransitGatewayTableInForce(
        table=table,
        transit_gateway=gateway,
        associations=tuple(sorted(attachment for attachment in hubs.attached_to(gateway) if hubs.table_of(gateway, attachment) == table)),
        propagations=hubs.propagating(gateway, table),
        not_propagated=tuple(sorted(hubs.unpropagated(gateway, table).items())),
        routes=tuple(_route(candidate, candidates) for candidate in candidates),
    )


def _route(candidate: Candidate, candidates: list[Candidate]) -> TransitGatewayRouteInForce:
    equal = [other for other in candidates if other.destination == candidate.destination]
    best = min(equal, key=rank)
    shorter = {other.destination for other in candidates if other.destination != candidate.destination and candidate.destination.subnet_of(other.destination)}
    if best is not candidate:
        why = f"loses to {best.attachment or 'the blackhole'}: {_reason(best, candidate)}"
    else:
        beaten = [f"{_reason(candidate, other)}, {other.attachment or 'blackhole'}" for other in equal if other is not candidate]
        longer = [f"/{candidate.destination.prefixlen} is longer than {', '.join(f'/{length}' for length in sorted({block.prefixlen for block in shorter}, reverse=True))}"] if shorter else []
        why = "; ".join([*beaten, *longer]) or "the only route to it"
    return TransitGatewayRouteInForce(destination=candidate.destination, attachment=candidate.attachment, by=_by(candidate), wins=best is candidate, origin=candidate.origin, why=why, is_learned=candidate.priority > TransitGatewayRoutePriority.VPC)


def _reason(best: Candidate, other: Candidate) -> str:
    if best.priority is not other.priority:
        return f"{_kind(best)} comes before {_kind(other)}"
    return "of equal routes AWS keeps to one, here the first by name"


def _kind(candidate: Candidate) -> str:
    if candidate.priority in WORDS:
        return f"a {WORDS[candidate.priority]} route" if candidate.priority is TransitGatewayRoutePriority.STATIC else "a prefix list"
    return f"a route that a {candidate.priority.name.replace('_', ' ').title().replace('Vpc', 'VPC').replace('Vpn', 'VPN').replace('Ip ', 'IP ')} attachment propagates"


def _by(candidate: Candidate) -> str:
    return WORDS.get(candidate.priority, PROPAGATED)
