"""All faults of a topology: each resource's own, then those that only show across resources, one module for each noun."""

from __future__ import annotations

from testbed.model.values import Fault
from testbed.resolve.faults import addresses, database, distribution, elastic_ip, hosted_zone, load_balancer, network_acl, reference, route_table, security_group, topology, vpc
from testbed.resolve.interfaces import Wanted
from testbed.resolve.references import References

CHECKS = (
    topology.faults,
    reference.faults,
    vpc.faults,
    addresses.faults,
    route_table.faults,
    network_acl.faults,
    security_group.faults,
    elastic_ip.faults,
    load_balancer.faults,
    database.faults,
    hosted_zone.faults,
    distribution.faults,
)
"""Each looks at what can be looked at: where a reference leads nowhere, `reference` says so and the others keep silent."""


def all_faults(references: References, interfaces: tuple[Wanted, ...]) -> tuple[Fault, ...]:
    """Every fault once, sorted by resource, then problem."""
    found = {fault for resource in references.topology.resources for fault in resource.faults()}
    for check in CHECKS:
        found.update(check(references, interfaces))
    return tuple(sorted(found, key=lambda fault: (fault.resource, fault.problem, fault.remedy)))
