"""Network interfaces (ENIs): private addresses in a subnet, its security groups, and whose it is.

Source: EC2 user guide, "Elastic network interfaces", "Multiple IP addresses"; "Infrastructure security in Amazon EC2" for the source/destination check (documented).
NOT MODELLED: prefixes delegated to an interface; how many interfaces and addresses an instance type allows (instances have no type here).
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.model.connection_tracking import ConnectionTrackingSpecification
from testbed.model.values import Fault, address, address_faults, id_faults


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkInterface:
    """An ENI made by itself and attached to `instance_id`. Instances, balancers, NAT gateways and databases make their own.

    `private_ip_address` is the primary address; `secondary_private_ip_addresses` may each have an Elastic IP of their own.
    """

    id: str
    subnet_id: str
    private_ip_address: IPv4Address | None = None
    group_set: tuple[str, ...] = ()
    source_dest_check: bool = True
    instance_id: str | None = None
    secondary_private_ip_addresses: tuple[IPv4Address, ...] = ()
    connection_tracking_specification: ConnectionTrackingSpecification | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "private_ip_address", address(self.private_ip_address))
        object.__setattr__(self, "secondary_private_ip_addresses", tuple(address(value) for value in self.secondary_private_ip_addresses))

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the interface by itself."""
        return (
            *id_faults(self.id),
            *address_faults(self.id, "private_ip_address", self.private_ip_address),
            *(fault for value in self.secondary_private_ip_addresses for fault in address_faults(self.id, "secondary_private_ip_addresses", value)),
            *(() if self.connection_tracking_specification is None else self.connection_tracking_specification.faults(self.id)),
        )
