"""Direct Connect connections: a fibre between a site's router and AWS's router at a Direct Connect location; and LAGs of several.

    dedicated   a port of your own: 50 private virtual interfaces, 4 transit ones, 51 in all
    hosted      a partner's capacity: one virtual interface, and what exceeds the capacity is dropped

Source: Direct Connect user guide, "Dedicated and hosted connections", "Direct Connect quotas", "Link aggregation groups"; CloudFormation, "AWS::DirectConnect::Connection", "AWS::DirectConnect::Lag" (documented).
A location is a city of ours (assumed; AWS's are buildings in it). Not encrypted. NOT MODELLED: MACsec, LACP (a LAG's fibres have a session each, see `virtual_interface`),
the speed of a dedicated port (this machine is slower than light), orders and their letters of authorization.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from testbed.model.geography import CITIES, REGIONS
from testbed.model.values import Fault, bounds_faults, choice_faults, id_faults, unknown_faults

DEDICATED_MBIT = {"1Gbps": 1_000, "10Gbps": 10_000, "100Gbps": 100_000, "400Gbps": 400_000}
HOSTED_MBIT = {
    "50Mbps": 50, "100Mbps": 100, "200Mbps": 200, "300Mbps": 300, "400Mbps": 400, "500Mbps": 500,
    "1Gbps": 1_000, "2Gbps": 2_000, "5Gbps": 5_000, "10Gbps": 10_000, "25Gbps": 25_000,
}  # fmt: skip
MOST_VIRTUAL_INTERFACES, MOST_PRIVATE_AND_PUBLIC, MOST_TRANSIT = 51, 50, 4
MOST_ON_HOSTED = 1
LARGE_PORT_MBIT = 100_000
MOST_PORTS, MOST_LARGE_PORTS = 4, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectConnectConnection:
    """A fibre from `site_id`'s router to the `location` in a city of `geography.CITIES`, which belongs to `region`. `lag_id` makes it a member of a LAG."""

    id: str
    site_id: str
    location: str
    region: str
    bandwidth: str = "1Gbps"
    hosted: bool = False
    lag_id: str | None = None

    @property
    def policed_mbit(self) -> float | None:
        """The capacity beyond which AWS drops; None for a port of one's own."""
        return HOSTED_MBIT[self.bandwidth] if self.hosted else None

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the connection by itself."""
        return (
            *id_faults(self.id),
            *unknown_faults(self.id, "location", self.location, CITIES),
            *unknown_faults(self.id, "region", self.region, REGIONS),
            *choice_faults(self.id, "bandwidth", self.bandwidth, tuple(HOSTED_MBIT if self.hosted else DEDICATED_MBIT)),
            *self._lag_faults(),
        )

    def _lag_faults(self) -> Iterator[Fault]:
        if self.hosted and self.lag_id is not None:
            yield Fault(resource=self.id, problem="a hosted connection in a LAG", remedy="a LAG is made of dedicated connections: set hosted=False, or leave lag_id out")


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectConnectLag:
    """A link aggregation group: the connections that name it in `lag_id`, all from one site to one location with one bandwidth. `minimum_links` 0 asks for none."""

    id: str
    minimum_links: int = 0

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the group by itself."""
        return (*id_faults(self.id), *bounds_faults(self.id, "minimum_links", self.minimum_links, 0, MOST_PORTS))
