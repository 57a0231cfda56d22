"""Faults of network ACLs across resources: associations and quotas.

Source: VPC user guide, "Network ACLs"; "Amazon VPC quotas" (documented).
"""

from __future__ import annotations

from collections.abc import Iterator

from testbed.model.network_acl import Direction, NetworkAcl
from testbed.model.values import Fault, id_faults
from testbed.resolve.faults.route_table import association_faults, shared_subnet_faults
from testbed.resolve.interfaces import Wanted
from testbed.resolve.references import References


def faults(references: References, _: tuple[Wanted, ...]) -> Iterator[Fault]:
    """Subnets of other VPCs or with two ACLs, and more entries than the quota."""
    acls = references.topology.of(NetworkAcl)
    quota = references.topology.quotas.entries_per_network_acl
    for acl in acls:
        yield from id_faults(acl.id)
        yield from association_faults(acl.id, acl.vpc_id, acl.associations, "network ACL", references)
        for direction in Direction:
            count = len(acl.in_order(direction))
            if count > quota:
                yield Fault(resource=acl.id, problem=f"{count} {direction.value} rules", remedy=f"the quota is {quota} (40 on request: Quotas.entries_per_network_acl): merge some")
    yield from shared_subnet_faults([(acl.id, acl.associations) for acl in acls], "network ACL")
