"""Elastic IP addresses: public addresses that stay yours, whatever they are associated with.

Source: VPC user guide, "Internet gateways" (documented); CloudFormation, "AWS::EC2::EIP".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.model.geography import REGIONS
from testbed.model.values import Fault, address, address_faults, id_faults, unknown_faults


@dataclass(frozen=True, slots=True, kw_only=True)
class ElasticIp:
    """An allocation. `public_ip` None takes a free address of the Region's pool. A NAT gateway names the allocation itself.

    `private_ip_address` is the address of the interface that it is associated with; None is the primary one.
    """

    id: str
    region: str
    public_ip: IPv4Address | None = None
    instance_id: str | None = None
    network_interface_id: str | None = None
    private_ip_address: IPv4Address | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "public_ip", address(self.public_ip))
        object.__setattr__(self, "private_ip_address", address(self.private_ip_address))

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the allocation by itself."""
        return (
            *id_faults(self.id),
            *unknown_faults(self.id, "region", self.region, REGIONS),
            *address_faults(self.id, "public_ip", self.public_ip),
            *address_faults(self.id, "private_ip_address", self.private_ip_address),
            *self._association_faults(),
        )

    def _association_faults(self) -> Iterator[Fault]:
        if self.instance_id is not None and self.network_interface_id is not None:
            yield Fault(resource=self.id, problem="associated with an instance and with a network interface", remedy="give instance_id or network_interface_id, not both")
