"""Which route of a node takes a packet: Linux's policy routing, worked out from the plan, so that the deciding AWS route can be named.

    rules by priority: mark & mask == mark of the rule? ─▶ its table ─▶ longest prefix, lowest metric ─┬─ unicast, blackhole ─▶ done
                                                                                       └─ throw, or none ─▶ next rule … main table

The first matching route of a marked table is the one that AWS's route table has; a ``throw`` is its ``local`` route, after which the main table only finds the interface.
Source: ip-rule(8), ip-route(8).
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.plan import Node, Route, RouteType
from testbed.plan.network import MAIN_TABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """`route` carries the packet, or swallows it; None where nothing matched. `deciding` is the first match in a table that a rule chose, None if only the main table was asked; `asked` names that table's rule."""

    route: Route | None
    deciding: Route | None = None
    asked: str = ""

    @property
    def is_dead_end(self) -> bool:
        """Whether the packet ends here."""
        return self.route is None or self.route.type in (RouteType.BLACKHOLE, RouteType.UNREACHABLE)


def choose(node: Node, destination: IPv4Address, mark: int) -> Chosen:
    """The route of `node` for a packet with this destination and mark."""
    deciding: Route | None = None
    asked = ""
    for rule in sorted(node.rules, key=lambda rule: rule.priority):
        if mark & rule.mask != rule.mark:
            continue
        asked = asked or rule.origin
        match = _longest(node, destination, rule.table)
        deciding = deciding or match
        if match is not None and match.type is not RouteType.THROW:
            return Chosen(route=match, deciding=deciding, asked=asked)
    return Chosen(route=_longest(node, destination, MAIN_TABLE), deciding=deciding, asked=asked)


def _longest(node: Node, destination: IPv4Address, table: int) -> Route | None:
    matches = (route for route in node.routes if route.table == table and destination in route.destination)
    return max(matches, key=lambda route: (route.destination.prefixlen, -route.metric), default=None)
