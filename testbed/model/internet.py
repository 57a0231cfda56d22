"""The internet between users, edge locations and Regions, and the users themselves.

Cities are joined pairwise; the delay of a pair is light in fibre over the great circle (`geography.round_trip_ms`; assumed: real paths are longer). It does not vary, unless the lab asks for
jitter: what queues of other people's traffic do to a packet, and what a fibre of one's own spares it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from testbed.model.geography import CITIES, EDGE_LOCATIONS
from testbed.model.values import Fault, id_faults, unknown_faults

MOST_JITTER_MS = 1000
MOST_DETOUR = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Internet:
    """Which of CloudFront's and Route 53's edge locations this lab has: names of `geography.EDGE_LOCATIONS` (``LHR``).

    `jitter_ms` is by how much a packet between two cities comes earlier or later than others at most; never more than the way takes. Packets keep their order.
    `detour` is by what factor a public path is longer than the great circle (AWS's own network is taken to follow that): providers' routing is not by distance.
    """

    id: str = "internet"
    edge_locations: tuple[str, ...] = ()
    jitter_ms: float = 0.0
    detour: float = 1.0
    shield_standard: bool = True
    """NOT an AWS setting, but a teacher's: Shield Standard cannot be switched off at AWS. False shows what it spares everybody (`testbed attack --compare`)."""

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the internet by itself."""
        return (*id_faults(self.id), *(fault for code in self.edge_locations for fault in unknown_faults(self.id, "edge location", code, EDGE_LOCATIONS)), *self._jitter_faults(), *self._detour_faults())

    def _jitter_faults(self) -> Iterator[Fault]:
        if not 0 <= self.jitter_ms <= MOST_JITTER_MS:
            yield Fault(resource=self.id, problem=f"jitter_ms {self.jitter_ms:g}", remedy=f"use 0 to {MOST_JITTER_MS} milliseconds")

    def _detour_faults(self) -> Iterator[Fault]:
        if not 1 <= self.detour <= MOST_DETOUR:
            yield Fault(resource=self.id, problem=f"detour {self.detour:g}", remedy=f"use 1 (light's own way) to {MOST_DETOUR}")


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person's machine in a city of `geography.CITIES`; its provider's resolver is in the same city."""

    id: str
    city: str

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the user by itself."""
        return (*id_faults(self.id), *unknown_faults(self.id, "city", self.city, CITIES))
