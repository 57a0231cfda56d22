"""Route 53 public hosted zones and their record sets.

How an answer is built is the daemon's: `services/dns`. Source: Route 53 developer guide, "NS and SOA records that Amazon Route 53
creates for a public hosted zone", "Choosing between alias and non-alias records" (documented).
"""

from __future__ import annotations

from dataclasses import dataclass

from testbed.model.values import Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSet:
    """A simple record (`resource_records` and `ttl`) or an alias (`alias_target`: the id of a distribution or load balancer, or a record name of the same zone)."""

    name: str
    type: str
    ttl: int | None = None
    resource_records: tuple[str, ...] = ()
    alias_target: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedZone:
    """A public zone; the registrar points its name at the zone's name servers."""

    id: str
    name: str
    record_sets: tuple[RecordSet, ...] = ()

    def faults(self) -> tuple[Fault, ...]:
        return ()
