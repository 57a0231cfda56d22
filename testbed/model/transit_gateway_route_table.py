"""Transit gateway route tables: where packets go that arrive by the attachments associated with them.

    longest prefix ─▶ static ─▶ prefix list ─▶ VPC ─▶ Direct Connect gateway ─▶ Connect ─▶ VPN over Direct Connect ─▶ VPN
                      of one kind: shorter AS_PATH ─▶ lower MED ─▶ eBGP before iBGP

An attachment is associated with one table, and may propagate into many.
Source: Transit Gateway guide, "How AWS Transit Gateway works": "Routing", "Route evaluation order"; CloudFormation, "AWS::EC2::TransitGatewayRouteTable",
"AWS::EC2::TransitGatewayRouteTableAssociation", "…Propagation", "AWS::EC2::TransitGatewayRoute" (documented).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from testbed.model.transit_gateway_attachment import TransitGatewayRoutePriority
from testbed.model.values import Fault, id_faults, network, network_faults


@dataclass(frozen=True, slots=True, kw_only=True)
class TransitGatewayRoute:
    """A static route to an attachment, or a `blackhole`. With `destination_prefix_list_id` it is what AWS calls a prefix list reference."""

    destination_cidr_block: IPv4Network | None = None
    destination_prefix_list_id: str | None = None
    attachment_id: str | None = None
    blackhole: bool = False

    def __post_init__(self) -> None:
        if self.destination_cidr_block is not None:
            object.__setattr__(self, "destination_cidr_block", network(self.destination_cidr_block))

    @property
    def destination(self) -> str:
        """What it leads to, as written: a block or a prefix list's id."""
        return self.destination_prefix_list_id or str(self.destination_cidr_block)

    def faults(self, table_id: str) -> Iterator[Fault]:
        """What is wrong with the route by itself."""
        name = f"{table_id} {self.destination}"
        if self.destination_cidr_block is not None:
            yield from network_faults(table_id, "destination_cidr_block", self.destination_cidr_block)
        if (self.destination_cidr_block is None) == (self.destination_prefix_list_id is None):
            problem = "the route has no destination" if self.destination_cidr_block is None else "the route has two destinations"
            yield Fault(resource=name, problem=problem, remedy="give exactly one of destination_cidr_block and destination_prefix_list_id")
        if (self.attachment_id is None) != self.blackhole:
            problem = "the route has an attachment, and is a blackhole" if self.blackhole else "the route has no target"
            yield Fault(resource=name, problem=problem, remedy="give either attachment_id or blackhole=True")


@dataclass(frozen=True, slots=True, kw_only=True)
class TransitGatewayRouteTable:
    """A table. `associations` and `propagations` are ids of attachments (see `transit_gateway_attachment`)."""

    id: str
    transit_gateway_id: str
    associations: tuple[str, ...] = ()
    propagations: tuple[str, ...] = ()
    routes: tuple[TransitGatewayRoute, ...] = ()

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
            *(
                Fault(resource=self.id, problem=f"{noun} {attachment} is named {times} times", remedy="name it once")
                for noun, named in (("association", self.associations), ("propagation", self.propagations))
                for attachment, times in Counter(named).items()
                if times > 1
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A route that a table has, static or propagated. `attachment` None is a blackhole. The last three are BGP's; a missing MED counts as 0 on Direct Connect, as 100 on VPN and Connect."""

    destination: IPv4Network
    attachment: str | None
    priority: TransitGatewayRoutePriority
    origin: str
    as_path_length: int = 0
    multi_exit_discriminator: int = 0
    is_internal: bool = False


def rank(candidate: Candidate) -> tuple[int, TransitGatewayRoutePriority, int, int, bool, str]:
    """Sorts routes that hold one destination, the best first. Of equal ones AWS keeps to one; here it is the first by name."""
    path = (candidate.as_path_length, candidate.multi_exit_discriminator, candidate.is_internal)
    return (-candidate.destination.prefixlen, candidate.priority, *path, candidate.origin)


def evaluate(candidates: Iterable[Candidate], destination: IPv4Address) -> Candidate | None:
    """The route that takes packets to `destination`; None if no route does, and they are dropped."""
    return min((candidate for candidate in candidates if destination in candidate.destination), key=rank, default=None)
