"""Global Accelerator with nothing left to look up: addresses, edge locations, and the places at which its traffic leaves AWS's own network."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedAccelerator:
    """An accelerator's DNS name and its two static addresses, one of each network zone."""

    id: str
    dns_name: str
    addresses: tuple[IPv4Address, ...]
    enabled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceleratorEdge:
    """Global Accelerator at an edge location; `number` is the location's own and marks its flows, `address` is what asks endpoints for their health."""

    code: str
    number: int
    node: str
    city: str
    address: IPv4Address


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceleratorExit:
    """Where accelerated traffic leaves AWS's network: into a VPC, by Global Accelerator's interfaces there, with the client's address (`vpc`); or to public addresses of a Region, from `address`."""

    node: str
    region: str
    city: str
    vpc: str | None = None
    address: IPv4Address | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceleratedWay:
    """One address of an endpoint: a load balancer has one in each zone. `inside` stands for `address` between the edges and the exit `exit`; `balancer_node` tells its health by a file (None: it is asked).

    `keeps_client`: the endpoint sees the client's address.
    """

    group: str
    endpoint: str
    address: IPv4Address
    inside: IPv4Address
    exit: str
    keeps_client: bool
    balancer_node: str | None = None
