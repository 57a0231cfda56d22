"""All faults of a topology: each resource's own, then those that only show across resources, one module for each noun."""

from __future__ import annotations

from testbed.model.values import Fault
from testbed.resolve.faults import (
    accelerator,
    addresses,
    auto_scaling_group,
    database,
    direct_connect_gateway,
    distribution,
    elastic_ip,
    flow_log,
    gateway_route_table,
    hosted_zone,
    load_balancer,
    network_acl,
    network_firewall,
    on_premises_site,
    prefix_list,
    quotas,
    reference,
    resolver_endpoint,
    route_table,
    security_group,
    shield_protection,
    topology,
    traffic_mirror,
    transit_gateway,
    transit_gateway_connect,
    transit_gateway_route_table,
    transit_gateway_vpc_attachment,
    virtual_interface,
    vpc,
    vpc_endpoint,
    vpc_peering_connection,
    vpn_connection,
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
    network_firewall.faults,
    security_group.faults,
    elastic_ip.faults,
    flow_log.faults,
    traffic_mirror.faults,
    on_premises_site.faults,
    vpn_connection.faults,
    virtual_interface.faults,
    direct_connect_gateway.faults,
    transit_gateway.faults,
    transit_gateway_connect.faults,
    transit_gateway_route_table.faults,
    transit_gateway_vpc_attachment.faults,
    load_balancer.faults,
    auto_scaling_group.faults,
    database.faults,
    hosted_zone.faults,
    resolver_endpoint.faults,
    distribution.faults,
    accelerator.faults,
    shield_protection.faults,
)
"""Each looks at what can be looked at: where a reference leads nowhere, `reference` says so and the others keep silent."""


def all_faults(references: References, interfaces: tuple[Wanted, ...]) -> tuple[Fault, ...]:
    """Every fault once, sorted by resource, then problem."""
    found = {fault for resource in references.topology.resources for fault in resource.faults()}
    for check in CHECKS:
        found.update(check(references, interfaces))
    return tuple(sorted(found, key=lambda fault: (fault.resource, fault.problem, fault.remedy)))
