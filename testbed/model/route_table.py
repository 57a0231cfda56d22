"""Route tables: where a subnet's packets go once they leave it.

Source: VPC user guide, "Configure route tables", "How route priority works" (documented).
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network

from testbed.model.values import Fault, network, network_faults


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One route; exactly one of the targets is set."""

    destination_cidr_block: IPv4Network
    gateway_id: str | None = None
    nat_gateway_id: str | None = None
    network_interface_id: str | None = None
    instance_id: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "destination_cidr_block", network(self.destination_cidr_block))


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteTable:
    """A VPC's route table. `associations` are subnet ids; the `main` table serves every subnet that has none of its own."""

    id: str
    vpc_id: str
    routes: tuple[Route, ...] = ()
    associations: tuple[str, ...] = ()
    main: bool = False

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the table by itself."""
        return tuple(fault for route in self.routes for fault in network_faults(self.id, "destination_cidr_block", route.destination_cidr_block))
