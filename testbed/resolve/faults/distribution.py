"""Faults of distributions across resources: an alternate domain name belongs to one distribution.

Source: CloudFront developer guide, "Values that you specify" (alternate domain names; documented).
"""

from __future__ import annotations

from collections.abc import Iterator

from testbed.model.distribution import Distribution
from testbed.model.values import Fault
from testbed.resolve.interfaces import Wanted
from testbed.resolve.references import References


def faults(references: References, _: tuple[Wanted, ...]) -> Iterator[Fault]:
    """Alternate domain names that are used twice."""
    first: dict[str, str] = {}
    for distribution in references.topology.of(Distribution):
        for alias in distribution.aliases:
            if alias in first:
                yield Fault(resource=distribution.id, problem=f"alias {alias} already belongs to {first[alias]}", remedy="an alternate domain name belongs to one distribution: remove it from one")
            first.setdefault(alias, distribution.id)
