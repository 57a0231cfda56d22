"""Route tables: where a subnet's packets go once they leave it.

Source: VPC user guide, "Configure route tables", "How route priority works" (documented).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network

from testbed.model.values import Fault, id_faults, network, network_faults

NEVER_FORWARDED = IPv4Network("169.254.168.0/22")
"""Link-local services: a route inside it is refused; a wider one is accepted, but such packets are not forwarded."""


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

    def targets(self) -> tuple[str, ...]:
        """The ids that the route names: one, unless it has a fault."""
        named = (self.gateway_id, self.nat_gateway_id, self.network_interface_id, self.instance_id)
        return tuple(target for target in named if target is not None)

    def faults(self, table_id: str) -> Iterator[Fault]:
        """What is wrong with the route by itself."""
        name = f"{table_id} {self.destination_cidr_block}"
        yield from network_faults(table_id, "destination_cidr_block", self.destination_cidr_block)
        if len(self.targets()) != 1:
            problem = f"the route has {len(self.targets())} targets" if self.targets() else "the route has no target"
            yield Fault(resource=name, problem=problem, remedy="give exactly one of gateway_id, nat_gateway_id, network_interface_id and instance_id")
        if isinstance(self.destination_cidr_block, IPv4Network) and self.destination_cidr_block.subnet_of(NEVER_FORWARDED):
            yield Fault(resource=name, problem=f"the destination is within {NEVER_FORWARDED}, which AWS keeps for its services", remedy="remove the route")


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
        times_used = Counter(route.destination_cidr_block for route in self.routes)
        return (
            *id_faults(self.id),
            *(fault for route in self.routes for fault in route.faults(self.id)),
            *(
                Fault(resource=f"{self.id} {destination}", problem=f"{times} routes have this destination", remedy="keep one route for each destination")
                for destination, times in times_used.items()
                if times > 1
            ),
        )
