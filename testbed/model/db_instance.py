"""RDS DB instances: a PostgreSQL server behind a network interface in a group of subnets.

Source: CloudFormation, "AWS::RDS::DBInstance"; RDS user guide, "Working with a DB instance in a VPC" (documented).
NOT MODELLED yet: Multi-AZ standby, read replicas.
"""

from __future__ import annotations

from dataclasses import dataclass

from testbed.model.values import Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class DBInstance:
    """A DB instance. `db_subnet_group` are subnet ids; it lives in the one of `availability_zone`, or in the first."""

    id: str
    engine: str = "postgres"
    db_name: str
    master_username: str
    master_user_password: str
    port: int = 5432
    db_subnet_group: tuple[str, ...] = ()
    availability_zone: str | None = None
    vpc_security_groups: tuple[str, ...] = ()

    def faults(self) -> tuple[Fault, ...]:
        return ()
