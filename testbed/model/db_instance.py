"""RDS DB instances: a PostgreSQL server behind a network interface in a group of subnets.

Source: CloudFormation, "AWS::RDS::DBInstance"; RDS user guide, "Working with a DB instance in a VPC" (documented).
NOT MODELLED yet: Multi-AZ standby, read replicas.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from testbed.model.values import Fault, bounds_faults, choice_faults, id_faults

DATABASE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
PASSWORD_LENGTH = range(8, 129)
"""CloudFormation, "AWS::RDS::DBInstance", MasterUserPassword for PostgreSQL (documented)."""


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
        """What is wrong with the DB instance by itself."""
        return (
            *id_faults(self.id),
            *choice_faults(self.id, "engine", self.engine, ("postgres",)),
            *bounds_faults(self.id, "port", self.port, 1150, 65535),
            *self._name_faults(),
        )

    def _name_faults(self) -> Iterator[Fault]:
        for field, value in (("db_name", self.db_name), ("master_username", self.master_username)):
            if not DATABASE_NAME.fullmatch(value):
                yield Fault(resource=self.id, problem=f"{field} {value!r} is not a PostgreSQL name", remedy="use letters, digits and underscores, a letter first, at most 63 in all")
        if len(self.master_user_password) not in PASSWORD_LENGTH or any(character in '/"@ ' for character in self.master_user_password):
            yield Fault(resource=self.id, problem="the master user's password is not one that RDS accepts", remedy='use 8 to 128 characters, none of them /, ", @ or a space')
