"""What `resolve` hands to `compile`: every reference followed, every address chosen, every membership listed.

All tuples are sorted by id (routes by destination). Nothing here is derived from what a kernel does, and the oracle does not use the
effective routes: it computes its own (see `testbed.oracle`).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from testbed.model.connection_tracking import DEFAULT_TIMEOUTS, ConnectionTrackingSpecification
from testbed.model.distribution import Distribution
from testbed.model.geography import City
from testbed.model.network_acl import NetworkAcl
from testbed.model.route_table import RoutePriority
from testbed.model.security_group import SecurityGroup
from testbed.model.subnet import Subnet
from testbed.model.topology import Topology
from testbed.model.vpc import Vpc


class TargetKind(enum.StrEnum):
    """Where a route leads. A BLACKHOLE's target was named and does not exist any more."""

    LOCAL = "local"
    INTERNET_GATEWAY = "internet-gateway"
    NAT_GATEWAY = "nat-gateway"
    NETWORK_INTERFACE = "network-interface"
    VPC_ENDPOINT = "vpc-endpoint"
    VPC_PEERING_CONNECTION = "vpc-peering-connection"
    BLACKHOLE = "blackhole"


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectiveRoute:
    """One route in force; `origin` as a person would name it: ``rtb-private-a 0.0.0.0/0 -> nat-a``. `prefix_list` is the one that brought it."""

    destination: IPv4Network
    target_kind: TargetKind
    target: str
    origin: str
    priority: RoutePriority = RoutePriority.STATIC
    prefix_list: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedRouteTable:
    """A route table with its effective routes, the local ones included, one for each destination; `number` is 1-3071 and unique in its VPC.

    `gateways` are the internet gateways whose arrivals it routes."""

    id: str
    vpc: str
    number: int
    routes: tuple[EffectiveRoute, ...]
    gateways: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedSubnet:
    """A subnet with the one route table and the one network ACL that serve it (explicit, main or default)."""

    subnet: Subnet
    route_table: str
    network_acl: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedVpc:
    """A VPC; `resolver` is base+2. `internet_gateway` is the attached one's id. `zone_numbers` numbers its Region's zones from 1."""

    vpc: Vpc
    resolver: IPv4Address
    internet_gateway: str | None
    zone_numbers: tuple[tuple[str, int], ...]


class OwnerKind(enum.StrEnum):
    """What a network interface belongs to."""

    INSTANCE = "instance"
    LOAD_BALANCER = "load-balancer"
    NAT_GATEWAY = "nat-gateway"
    DATABASE = "database"
    VPC_ENDPOINT = "vpc-endpoint"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondaryAddress:
    """A secondary private address of an ENI, with its Elastic IP if it has one."""

    address: IPv4Address
    public_address: IPv4Address | None = None
    public_origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedInterface:
    """An ENI, made by itself or by its owner. `node` is the namespace it lives in (``web-a``; a balancer has one per zone: ``alb-shop-a``),
    `device` its name there (``eth0``). `public_address` is what the internet gateway maps it to, `public_origin` why (an allocation's id, or ``auto-assigned``)."""

    id: str
    owner: str
    owner_kind: OwnerKind
    node: str
    device: str
    vpc: str
    subnet: str
    availability_zone: str
    address: IPv4Address
    mac: str
    public_address: IPv4Address | None = None
    public_origin: str = ""
    security_groups: tuple[str, ...] = ()
    source_dest_check: bool = True
    secondary: tuple[SecondaryAddress, ...] = ()
    connection_tracking: ConnectionTrackingSpecification = DEFAULT_TIMEOUTS

    @property
    def addresses(self) -> tuple[IPv4Address, ...]:
        """Every private address, the primary one first."""
        return (self.address, *(each.address for each in self.secondary))

    @property
    def mapped(self) -> tuple[SecondaryAddress, ...]:
        """Every private address that has a public one, the primary one first."""
        primary = SecondaryAddress(address=self.address, public_address=self.public_address, public_origin=self.public_origin)
        return tuple(each for each in (primary, *self.secondary) if each.public_address is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedCity:
    """A city of the lab: the public network of its users, its router's address (.1), and its providers' recursive resolver (.2) if there is need of one.

    `node` is the router's namespace, `resolver_node` the resolver's."""

    city: City
    node: str
    network: IPv4Network
    router: IPv4Address
    resolver_node: str
    resolver: IPv4Address


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedUser:
    """A user's machine."""

    node: str
    city: str
    address: IPv4Address


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedEdge:
    """An edge location: `pop` is its name in X-Amz-Cf-Pop; `address` its own public address, used by every distribution there."""

    code: str
    node: str
    pop: str
    city: str
    address: IPv4Address


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsService:
    """An AWS service of a Region: ``s3`` and its public addresses, which its managed prefix list holds if it has one."""

    name: str
    block: IPv4Network
    prefix_list: str | None

    @property
    def addresses(self) -> tuple[IPv4Address, ...]:
        return tuple(self.block)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedRegion:
    """A Region in use: its city, its pool of public addresses, its services plane's node and public address, and the services that run there (none, or all)."""

    id: str
    city: str
    node: str
    address: IPv4Address
    public_pool: IPv4Network
    aws_services: tuple[AwsService, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NameServer:
    """A name server with an address of its own: Route 53's are anycast from every edge location, the root's and the top level's stand in one city."""

    host_name: str
    address: IPv4Address


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedDatabase:
    """A DB instance's public name in DNS, and its interface."""

    id: str
    endpoint: str
    interface: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """A topology without faults, with nothing left to look up."""

    topology: Topology
    vpcs: tuple[ResolvedVpc, ...]
    subnets: tuple[ResolvedSubnet, ...]
    route_tables: tuple[ResolvedRouteTable, ...]
    network_acls: tuple[NetworkAcl, ...]
    """Written ones and every VPC's default (``acl-default-<vpc>``)."""
    security_groups: tuple[SecurityGroup, ...]
    """Written ones and every VPC's default (``sg-default-<vpc>``)."""
    members: tuple[tuple[str, tuple[IPv4Address, ...]], ...]
    """Private addresses of the interfaces that hold each group."""
    interfaces: tuple[ResolvedInterface, ...]
    databases: tuple[ResolvedDatabase, ...]
    cities: tuple[ResolvedCity, ...]
    users: tuple[ResolvedUser, ...]
    edges: tuple[ResolvedEdge, ...]
    regions: tuple[ResolvedRegion, ...]
    root_servers: tuple[NameServer, ...]
    top_level_servers: tuple[NameServer, ...]
    route53_servers: tuple[NameServer, ...]
    load_balancer_names: tuple[tuple[str, str], ...]
    """DNS name of each load balancer."""
    distribution_names: tuple[tuple[str, str], ...]
    """Own domain name of each distribution (``d<hash>.cloudfront.net``)."""

    def interfaces_of(self, owner: str) -> tuple[ResolvedInterface, ...]:
        """The interfaces of one owner, by id."""
        return tuple(i for i in self.interfaces if i.owner == owner)

    def distribution(self, distribution_id: str) -> Distribution:
        """The distribution with this id. Raises KeyError."""
        for distribution in self.topology.of(Distribution):
            if distribution.id == distribution_id:
                return distribution
        raise KeyError(distribution_id)
