"""The internet between users, edge locations and Regions, and the users themselves.

Cities are joined pairwise; the delay of a pair is light in fibre over the great circle (`geography.round_trip_ms`; assumed: real paths are longer).
"""

from __future__ import annotations

from dataclasses import dataclass

from testbed.model.geography import CITIES, EDGE_LOCATIONS
from testbed.model.values import Fault, id_faults, unknown_faults


@dataclass(frozen=True, slots=True, kw_only=True)
class Internet:
    """Which of CloudFront's and Route 53's edge locations this lab has: names of `geography.EDGE_LOCATIONS` (``LHR``)."""

    id: str = "internet"
    edge_locations: tuple[str, ...] = ()

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the internet by itself."""
        return (*id_faults(self.id), *(fault for code in self.edge_locations for fault in unknown_faults(self.id, "edge location", code, EDGE_LOCATIONS)))


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person's machine in a city of `geography.CITIES`; its provider's resolver is in the same city."""

    id: str
    city: str

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the user by itself."""
        return (*id_faults(self.id), *unknown_faults(self.id, "city", self.city, CITIES))
