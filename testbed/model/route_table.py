"""Route tables: where a subnet's packets go once they leave it, and where a gateway's go once they have entered.

    longest prefix ─▶ of equal ones: static CIDR ─▶ prefix list ─▶ propagated

Source: VPC user guide, "Configure route tables", "How route priority works", "Gateway route tables" (documented).
Propagated routes are not written here: a `VpnGatewayRoutePropagation` says which tables get them.
NOT MODELLED yet: gateway route tables of virtual private gateways.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network

from testbed.model.values import Fault, choice_faults, id_faults, network, network_faults

NEVER_FORWARDED = IPv4Network("169.254.168.0/22")
"""Link-local services: a route inside it is refused; a wider one is accepted, but such packets are not forwarded."""
ACTIVE, BLACKHOLE = "active", "blackhole"


class RoutePriority(enum.IntEnum):
    """Which of several routes with one prefix wins: the lowest."""

    STATIC = 1
    PREFIX_LIST = 2
    PROPAGATED_DIRECT_CONNECT = 3
    PROPAGATED_VPN_STATIC = 4
    PROPAGATED_VPN_BGP = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One route: a CIDR or a prefix list as destination, and exactly one target.

    `state` "blackhole" is what AWS shows once the target has been deleted: the id is kept, nobody has it any more, and what matches is dropped.
    To take a NAT gateway out of a running lab and see its routes die, say so in each of them; an id that leads nowhere is a fault otherwise.
    A route for a whole CIDR of the VPC replaces the target of its local route.
    """

    destination_cidr_block: IPv4Network | None = None
    destination_prefix_list_id: str | None = None
    gateway_id: str | None = None
    nat_gateway_id: str | None = None
    network_interface_id: str | None = None
    instance_id: str | None = None
    vpc_peering_connection_id: str | None = None
    transit_gateway_id: str | None = None
    vpc_endpoint_id: str | None = None
    """A Gateway Load Balancer endpoint, or a firewall's (see `network_firewall`): ``vpce-<firewall>-<letter of its zone>``."""
    state: str = ACTIVE

    def __post_init__(self) -> None:
        if self.destination_cidr_block is not None:
            object.__setattr__(self, "destination_cidr_block", network(self.destination_cidr_block))

    @property
    def destination(self) -> str:
        """What it leads to, as written: a block or a prefix list's id."""
        return self.destination_prefix_list_id or str(self.destination_cidr_block)

    def targets(self) -> tuple[str, ...]:
        """The ids that the route names: one, unless it has a fault."""
        named = (self.gateway_id, self.nat_gateway_id, self.network_interface_id, self.instance_id, self.vpc_peering_connection_id, self.transit_gateway_id, self.vpc_endpoint_id)
        return tuple(target for target in named if target is not None)

    def faults(self, table_id: str) -> Iterator[Fault]:
        """What is wrong with the route by itself."""
        name = f"{table_id} {self.destination}"
        if self.destination_cidr_block is not None:
            yield from network_faults(table_id, "destination_cidr_block", self.destination_cidr_block)
        if (self.destination_cidr_block is None) == (self.destination_prefix_list_id is None):
            problem = "the route has no destination" if self.destination_cidr_block is None else "the route has two destinations"
            yield Fault(resource=name, problem=problem, remedy="give exactly one of destination_cidr_block and destination_prefix_list_id")
        if len(self.targets()) != 1:
            problem = f"the route has {len(self.targets())} targets" if self.targets() else "the route has no target"
            remedy = "give exactly one of gateway_id, nat_gateway_id, network_interface_id, instance_id, vpc_peering_connection_id, transit_gateway_id and vpc_endpoint_id"
            yield Fault(resource=name, problem=problem, remedy=remedy)
        if isinstance(self.destination_cidr_block, IPv4Network) and self.destination_cidr_block.subnet_of(NEVER_FORWARDED):
            yield Fault(resource=name, problem=f"the destination is within {NEVER_FORWARDED}, which AWS keeps for its services", remedy="remove the route")
        yield from choice_faults(name, "state", self.state, (ACTIVE, BLACKHOLE))


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteTable:
    """A VPC's route table. `associations` are subnet ids; the `main` table serves every subnet that has none of its own.

    `gateway_associations` are internet gateways: what enters by them is routed by this table (a gateway route table).
    """

    id: str
    vpc_id: str
    routes: tuple[Route, ...] = ()
    associations: tuple[str, ...] = ()
    main: bool = False
    gateway_associations: tuple[str, ...] = ()

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the table by itself."""
        times_used = Counter(route.destination for route in self.routes)
        return (
            *id_faults(self.id),
            *(fault for route in self.routes for fault in route.faults(self.id)),
            *(
                Fault(resource=f"{self.id} {destination}", problem=f"{times} routes have this destination", remedy="keep one route for each destination")
                for destination, times in times_used.items()
                if times > 1
            ),
        )
