"""Configuration of Global Accelerator at one edge location: the listeners with their endpoint groups, nearest first, and the kernel's maps that choose among their endpoints.

A map has `SLOTS` keys, 0 to SLOTS - 1, each with one address of an endpoint; a hash of a new flow picks one. `spread` says which endpoint has which slot, and depends on its arguments alone:

    dials      the nearest group keeps its percentage of what comes, the next one its percentage of the rest, and so on
    failover   a group without a healthy endpoint of weight above 0 leaves its share to the nearest of three more groups that has one, whatever its dial says
    fail open  none of them has: its share goes to the endpoints of the nearest group, healthy or not
    weights    a group's share is split in proportion; an unhealthy endpoint's slots go to the others of its group, whose own slots stay

Source: Global Accelerator developer guide, "Adjusting traffic flow with traffic dials", "Endpoint weights" (documented).
Assumed: what all dials together leave is spread over the groups as their shares are; with all dials at 0 nothing is accepted; failing open ignores weights of 0 only if all are 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from itertools import accumulate

from services.common.config import HealthCheck

SLOTS = 256
MORE_GROUPS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One address of an endpoint, as AWS's own network knows it. `health_file` is where a balancer tells how its zone is (`services.common.zone_health`); empty: the address is asked."""

    address: IPv4Address
    health_file: str = ""

    @property
    def element(self) -> str:
        """As the value of a map's element."""
        return str(self.address)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An endpoint; a load balancer has a way in each zone."""

    id: str
    weight: int
    ways: tuple[Way, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointGroup:
    """The endpoints of one Region. `health_check` has its protocol and port; times in seconds before scaling."""

    id: str
    region: str
    traffic_dial_percentage: float
    health_check: HealthCheck
    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A listener with its endpoint groups, the nearest to this edge location first."""

    id: str
    map: str
    groups: tuple[EndpointGroup, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One edge location; `table` is the nftables table (family ip) of its maps."""

    edge_location: str
    table: str
    listeners: tuple[Listener, ...]


IsHealthy = Callable[[EndpointGroup, Endpoint, Way], bool]


def spread(groups: Sequence[EndpointGroup], is_healthy: IsHealthy, slots: int) -> tuple[Way, ...]:
    """The way of each slot; `groups` are the nearest first. Empty where nothing takes traffic."""
    healthy = {group.id: tuple((endpoint, ways) for endpoint in group.endpoints if endpoint.weight and (ways := tuple(way for way in endpoint.ways if is_healthy(group, endpoint, way)))) for group in groups}
    found: list[Way] = []
    for group, count in _dialled(groups, slots):
        others = [other for other in groups if other is not group][:MORE_GROUPS]
        serving = next((each for each in (group, *others) if healthy[each.id]), None)
        if serving is not None:
            found += _within(serving, healthy[serving.id], count)
        else:
            found += _open(groups, count)
    return tuple(found) if len(found) == slots else ()


def _dialled(groups: Sequence[EndpointGroup], slots: int) -> list[tuple[EndpointGroup, int]]:
    """How many slots each group has by the dials alone, whatever its health."""
    rest, shares = 1.0, []
    for group in groups:
        shares.append((group, rest * group.traffic_dial_percentage / 100))
        rest -= shares[-1][1]
    return [(group, count) for group, count in zip(groups, apportioned([share for _, share in shares], slots), strict=True) if count]


def _within(group: EndpointGroup, healthy: Sequence[tuple[Endpoint, tuple[Way, ...]]], count: int) -> list[Way]:
    """The slots of one group: of all its endpoints by weight, those of unhealthy ones again of the healthy ones by weight."""
    usable = {endpoint.id: ways for endpoint, ways in healthy}
    owners = _shared(group.endpoints, count)
    stand_ins = iter(_shared([endpoint for endpoint, _ in healthy], sum(owner.id not in usable for owner in owners)))
    return _ways([owner if owner.id in usable else next(stand_ins) for owner in owners], lambda endpoint: usable[endpoint.id])


def _open(groups: Sequence[EndpointGroup], count: int) -> list[Way]:
    """The nearest group that has endpoints, healthy or not."""
    for group in groups:
        endpoints = [endpoint for endpoint in group.endpoints if endpoint.ways]
        if endpoints:
            weighted = [endpoint for endpoint in endpoints if endpoint.weight]
            return _ways(_shared(weighted, count) if weighted else [endpoints[slot % len(endpoints)] for slot in range(count)], lambda endpoint: endpoint.ways)
    return []


def _shared(endpoints: Sequence[Endpoint], count: int) -> list[Endpoint]:
    counts = apportioned([endpoint.weight for endpoint in endpoints], count)
    return [endpoint for endpoint, own in zip(endpoints, counts, strict=True) for _ in range(own)]


def _ways(owners: Sequence[Endpoint], ways_of: Callable[[Endpoint], Sequence[Way]]) -> list[Way]:
    """Each endpoint's slots by its ways in turn."""
    turns: dict[str, int] = {}
    found = []
    for owner in owners:
        turn = turns.get(owner.id, 0)
        turns[owner.id] = turn + 1
        ways = ways_of(owner)
        found.append(ways[turn % len(ways)])
    return found


def apportioned(shares: Sequence[float], count: int) -> list[int]:
    """`count` in whole numbers, in proportion to `shares`; all 0 if these are."""
    total = sum(shares)
    if not total:
        return [0] * len(shares)
    bounds = [round(count * sum_so_far / total) for sum_so_far in accumulate(shares)]
    return [bound - before for before, bound in zip([0, *bounds], bounds, strict=False)]
