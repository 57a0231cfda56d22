"""Network interfaces (ENIs): a private address in a subnet, its security groups, and whose it is.

Source: EC2 user guide, "Elastic network interfaces"; "Infrastructure security in Amazon EC2" for the source/destination check (documented).
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.model.values import Fault, address, address_faults, id_faults


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkInterface:
    """An ENI made by itself and attached to `instance_id`. Instances, balancers, NAT gateways and databases make their own."""

    id: str
    subnet_id: str
    private_ip_address: IPv4Address | None = None
    group_set: tuple[str, ...] = ()
    source_dest_check: bool = True
    instance_id: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "private_ip_address", address(self.private_ip_address))

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the interface by itself."""
        return (*id_faults(self.id), *address_faults(self.id, "private_ip_address", self.private_ip_address))
