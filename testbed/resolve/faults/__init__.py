"""All faults of a topology: each resource's own, then those that only show across resources, one module for each noun."""

from __future__ import annotations

from testbed.model.values import Fault
from testbed.resolve.faults import (
    addresses,
    database,
    distribution,
    elastic_ip,
    flow_log,
    gateway_route_table,
    hosted_zone,
    load_balancer,
    network_acl,
    prefix_list,
    quotas,
    reference,
    route_table,
    security_group,
    topology,
    traffic_mirror,
    vpc,
    vpc_endpoint,
    vpc_peering_connection,
)
from testbed.resolve.interfaces import Wanted
from testbed.resolve.references import References

CHECKS = (
    topology.faults,
    quotas.faults,
    reference.faults,
    vpc.faults,
    vpc_endpoint.faults,
    vpc_peering_connection.faults,
    prefix_list.faults,
    addresses.faults,
    route_table.faults,
    gateway_route_table.faults,
    network_acl.faults,
    security_group.faults,
    elastic_ip.faults,
    flow_log.faults,
    traffic_mirror.faults,
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
