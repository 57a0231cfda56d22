"""The internet between users, edge locations and Regions, and the users themselves.

Cities are joined pairwise; the delay of a pair is light in fibre over the great circle (`geography.round_trip_ms`; assumed: real paths are longer).
"""

from __future__ import annotations

from dataclasses import dataclass

from testbed.model.values import Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Internet:
    """Which of CloudFront's and Route 53's edge locations this lab has: names of `geography.EDGE_LOCATIONS` (``LHR``)."""

    id: str = "internet"
    edge_locations: tuple[str, ...] = ()

    def faults(self) -> tuple[Fault, ...]:
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person's machine in a city of `geography.CITIES`; its provider's resolver is in the same city."""

    id: str
    city: str

    def faults(self) -> tuple[Fault, ...]:
        return ()
