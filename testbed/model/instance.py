"""EC2 instances, and what `user_data` makes them run.

`user_data` stands for the script that a person would write: a typed value here, so that it is checked before anything starts.
Source: CloudFormation, "AWS::EC2::Instance" (documented).
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.model.values import Fault, address, address_faults, bounds_faults, id_faults


@dataclass(frozen=True, slots=True, kw_only=True)
class WebApplication:
    """Run the product catalogue (`services.instance`) on `port`, keeping its rows in the DB instance `database_id`."""

    port: int = 80
    database_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """An instance with one primary network interface; without `user_data` it is a bare Linux host."""

    id: str
    subnet_id: str
    private_ip_address: IPv4Address | None = None
    security_group_ids: tuple[str, ...] = ()
    source_dest_check: bool = True
    associate_public_ip_address: bool | None = None
    user_data: WebApplication | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "private_ip_address", address(self.private_ip_address))

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the instance by itself."""
        return (
            *id_faults(self.id),
            *address_faults(self.id, "private_ip_address", self.private_ip_address),
            *(() if self.user_data is None else bounds_faults(self.id, "user_data port", self.user_data.port, 1, 65535)),
        )
