"""Faults of DB instances with the subnets of their group.

Source: RDS user guide, "Working with a DB instance in a VPC" (a DB subnet group covers at least two Availability Zones; documented).
"""

from __future__ import annotations

from collections.abc import Iterator

from testbed.model.db_instance import DBInstance
from testbed.model.subnet import Subnet
from testbed.model.values import Fault
from testbed.resolve.interfaces import Wanted
from testbed.resolve.references import References


def faults(references: References, _: tuple[Wanted, ...]) -> Iterator[Fault]:
    """Groups in fewer than two zones or of several VPCs, and zones that the group does not cover."""
    for database in references.topology.of(DBInstance):
        subnets = [subnet for subnet_id in database.db_subnet_group if (subnet := references.get(Subnet, subnet_id)) is not None]
        zones = sorted({subnet.availability_zone for subnet in subnets})
        if len(zones) < 2 and len(subnets) == len(database.db_subnet_group):
            problem = f"db_subnet_group covers {len(zones)} Availability Zones"
            yield Fault(resource=database.id, problem=problem, remedy="name subnets in at least two Availability Zones")
        vpcs = sorted({subnet.vpc_id for subnet in subnets})
        if len(vpcs) > 1:
            yield Fault(resource=database.id, problem=f"db_subnet_group has subnets of {' and '.join(vpcs)}", remedy="name subnets of one VPC")
        if database.availability_zone is not None and zones and database.availability_zone not in zones:
            problem = f"availability_zone {database.availability_zone} has no subnet in db_subnet_group"
            yield Fault(resource=database.id, problem=problem, remedy=f"choose {' or '.join(zones)}, or leave it out")
