"""NAT gateways: outward port translation for private subnets, one per Availability Zone.

Source: VPC user guide, "NAT gateway basics", "Troubleshoot NAT gateways" (documented).
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.model.values import Fault, address, address_faults, id_faults


@dataclass(frozen=True, slots=True, kw_only=True)
class NatGateway:
    """A public NAT gateway: a private address in `subnet_id`, which the internet gateway maps to the Elastic IP `allocation_id`."""

    id: str
    subnet_id: str
    allocation_id: str
    private_ip_address: IPv4Address | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "private_ip_address", address(self.private_ip_address))

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the gateway by itself."""
        return (*id_faults(self.id), *address_faults(self.id, "private_ip_address", self.private_ip_address))
