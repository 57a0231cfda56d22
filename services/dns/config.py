"""Configuration of the DNS daemon, in one of two roles.

authoritative: zones served on some listeners (Route 53, and the root and top-level servers of the lab's internet).
resolver: recursion for clients. A provider's resolver follows referrals from `root_hints`; a VPC's resolver (+2) also has `local_zones`
per network: names that only exist inside it, such as an RDS endpoint's private address.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from services.common.config import Listen


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """Coordinates in degrees, for nearest-location answers."""

    latitude: float
    longitude: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkLocation:
    """Where the addresses of a network are."""

    network: IPv4Network
    location: Location


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """One possible value of a nearest-location record, and where it is."""

    value: str
    location: Location


@dataclass(frozen=True, slots=True, kw_only=True)
class Failover:
    """A value that is answered while its `health_file` (`services.common.zone_health`) does not say otherwise."""

    value: str
    health_file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """All values of one name and type. `name` is absolute, without the final dot, lower case; values are in master-file form.

    Exactly one of four forms: `values` (simple); `failover` (those of them that are healthy, or all: a balancer's zones); `nearest` (the value nearest to the client, by EDNS Client Subnet or else by the
    resolver's address; what an alias to CloudFront answers); `alias` (the answer of another name and the same type of the same daemon, shown as
    this name's own, with that record's TTL). `ttl` in seconds. `origin` is the AWS resource.
    """

    name: str
    type: str
    ttl: int = 300
    values: tuple[str, ...] = ()
    failover: tuple[Failover, ...] = ()
    nearest: tuple[Placed, ...] = ()
    alias: str | None = None
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """An authoritative zone, apex `name` (``""`` for the root). NS records below the apex are delegations; `glue` are addresses of name servers.

    `soa` is the SOA's data in master-file form, with `soa_ttl`; its NS records are ordinary records at the apex.
    """

    name: str
    soa: str
    soa_ttl: int = 900
    records: tuple[Record, ...] = ()
    glue: tuple[Record, ...] = ()
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """The zones that are answered on some listeners; a query for no zone of them is REFUSED."""

    listen: tuple[Listen, ...]
    zones: tuple[Zone, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalZone:
    """Names that a VPC's resolver answers by itself; a missing name falls through to recursion unless `captures` (a private hosted zone)."""

    name: str
    records: tuple[Record, ...]
    captures: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardingRule:
    """Names of `domain` (``""`` for all) are asked of `targets`; without targets they are resolved here, though a shorter rule says otherwise.

    `via` are the addresses from which they are asked, sockets in other namespaces (an outbound endpoint's interfaces); empty for the daemon's own.
    """

    domain: str
    targets: tuple[IPv4Address, ...] = ()
    target_port: int = 53
    via: tuple[Listen, ...] = ()
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolver:
    """Recursion for the clients of some listeners. `packets_per_second` limits each client address (VPC resolver: 1024), None not at all."""

    listen: tuple[Listen, ...]
    root_hints: tuple[IPv4Address, ...]
    local_zones: tuple[LocalZone, ...] = ()
    rules: tuple[ForwardingRule, ...] = ()
    packets_per_second: int | None = None
    client_subnet: bool = False
    """Send EDNS Client Subnet upstream (/24)."""
    source: IPv4Address | None = None
    """Address to ask upstream from; None lets the kernel choose."""
    upstream_port: int = 53
    """Where other servers listen; anything but 53 only outside a lab."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One daemon may hold several authorities and resolvers (a Region's resolver serves every VPC of the Region)."""

    name: str
    authorities: tuple[Authority, ...] = ()
    resolvers: tuple[Resolver, ...] = ()
    locations: tuple[NetworkLocation, ...] = ()
    edge_location: str | None = None
    """Written into query logs."""
