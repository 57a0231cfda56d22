"""Faults of hosted zones across resources: zones of one name, and alias targets.

Source: Route 53 developer guide, "Choosing between alias and non-alias records" (documented).
NOT MODELLED: several public zones of one name (AWS allows them; only the one that the registrar points to is used).
"""

from __future__ import annotations

from collections.abc import Iterator

from testbed.model.accelerator import Accelerator
from testbed.model.distribution import Distribution
from testbed.model.hosted_zone import HostedZone, RecordSet
from testbed.model.load_balancer import LoadBalancer
from testbed.model.values import Fault, did_you_mean
from testbed.resolve.interfaces import Wanted
from testbed.resolve.references import References

ALIASED_TYPES = ("A", "AAAA")
"""Types of an alias to a distribution, load balancer or accelerator. NOT MODELLED: AAAA answers (IPv6)."""


def faults(references: References, _: tuple[Wanted, ...]) -> Iterator[Fault]:
    """Second zones of a name, and aliases that lead nowhere."""
    first: dict[str, str] = {}
    for zone in references.topology.of(HostedZone):
        if zone.name in first and not zone.is_private:
            yield Fault(resource=zone.id, problem=f"{zone.name} already is the zone {first[zone.name]}", remedy="put all records into one zone")
        if not zone.is_private:
            first.setdefault(zone.name, zone.id)
        for record in zone.record_sets:
            if record.alias_target is not None:
                yield from _alias_faults(zone, record, record.alias_target, references)


def _alias_faults(zone: HostedZone, record: RecordSet, alias_target: str, references: References) -> Iterator[Fault]:
    name = f"{zone.id} {record.name} {record.type}"
    target = references.named(alias_target)
    if isinstance(target, Accelerator | Distribution | LoadBalancer):
        if record.type not in ALIASED_TYPES:
            yield Fault(resource=name, problem=f"an alias of type {record.type} to {alias_target}", remedy="use type A")
        if isinstance(target, Distribution) and record.name not in target.aliases:
            problem = f"{alias_target} does not have the alias {record.name}"
            yield Fault(resource=name, problem=problem, remedy=f"add {record.name} to the distribution's aliases")
        return
    same_name = [other for other in zone.record_sets if other.name == alias_target]
    if not same_name:
        known = {other.name for other in zone.record_sets}
        known |= {distribution.id for distribution in references.topology.of(Distribution)} | {balancer.id for balancer in references.topology.of(LoadBalancer)}
        known |= {accelerator.id for accelerator in references.topology.of(Accelerator)}
        problem = f"alias_target {alias_target!r} is neither a distribution, nor a load balancer, nor an accelerator, nor a record of the zone"
        yield Fault(resource=name, problem=problem, remedy=did_you_mean(alias_target, known - {record.name}))
    elif record.type not in {other.type for other in same_name}:
        yield Fault(resource=name, problem=f"{alias_target} has no record of type {record.type}", remedy=f"an alias has its target's type: use {same_name[0].type}")
    elif alias_target == record.name or _is_circular(zone, record):
        yield Fault(resource=name, problem="the alias leads back to itself", remedy="point it at a record with values, a distribution or a load balancer")


def _is_circular(zone: HostedZone, record: RecordSet) -> bool:
    targets = {other.name: other.alias_target for other in zone.record_sets if other.type == record.type}
    seen: set[str] = set()
    name: str | None = record.name
    while name is not None and name in targets:
        if name in seen:
            return True
        seen.add(name)
        name = targets[name]
    return False
