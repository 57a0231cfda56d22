"""What `resolve` hands to `compile`: every reference followed, every address chosen, every membership listed.

All tuples are sorted by id (routes by destination). Nothing here is derived from what a kernel does, and the oracle does not use the
effective routes: it computes its own (see `testbed.oracle`).
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import TypeVar, cast

from testbed.model.connection_tracking import DEFAULT_TIMEOUTS, ConnectionTrackingSpecification
from testbed.model.distribution import Distribution
from testbed.model.geography import City
from testbed.model.instance import Instance
from testbed.model.network_acl import NetworkAcl
from testbed.model.route_table import RoutePriority
from testbed.model.security_group import SecurityGroup
from testbed.model.subnet import Subnet
from testbed.model.topology import Topology
from testbed.model.vpc import Vpc
from testbed.resolve.resolved_accelerator import AcceleratedWay, AcceleratorEdge, AcceleratorExit, ResolvedAccelerator
from testbed.resolve.resolved_connect_peer import ResolvedConnectPeer
from testbed.resolve.resolved_transit_gateway import ResolvedTransitGatewayAttachment, ResolvedTransitGatewayRouteTable
from testbed.resolve.resolved_virtual_interface import ResolvedVirtualInterface

T = TypeVar("T")


class TargetKind(enum.StrEnum):
    """Where a route leads. A BLACKHOLE's target was named and does not exist any more."""

    LOCAL = "local"
    INTERNET_GATEWAY = "internet-gateway"
    NAT_GATEWAY = "nat-gateway"
    NETWORK_INTERFACE = "network-interface"
    TRANSIT_GATEWAY = "transit-gateway"
    VPC_ENDPOINT = "vpc-endpoint"
    VPC_PEERING_CONNECTION = "vpc-peering-connection"
    VPN_GATEWAY = "vpn-gateway"
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
    RESOLVER_ENDPOINT = "resolver-endpoint"
    NETWORK_FIREWALL = "network-firewall"


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
class ResolvedSite:
    """An on-premises site: `node` is its router, `public_address` the router's on the internet of `city`, `gateway` its address on the LAN (.1).

    `hosts` are pairs of a host's node and its address, by node."""

    id: str
    node: str
    city: str
    network: IPv4Network
    gateway: IPv4Address
    public_address: IPv4Address
    reverse_path_filter: str
    hosts: tuple[tuple[str, IPv4Address], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedVpnTunnel:
    """A tunnel of a VPN connection, `number` 1 or 2. `node` is AWS's endpoint, with `outside_address`; `inside` the /30, AWS's address first. `cause`: why it stays down, or None."""

    number: int
    node: str
    outside_address: IPv4Address
    inside: IPv4Network
    pre_shared_key: str
    device_pre_shared_key: str
    mtu_bytes: int
    cause: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedVpnConnection:
    """A VPN connection. `gateway` is the virtual private or transit gateway at AWS's end, `device_address` the customer's outside address, `site` its site (None: not in this lab).

    `customer_routes` are what the site's router sends into a static connection."""

    id: str
    customer_gateway: str
    customer_asn: int
    gateway: str
    is_transit: bool
    amazon_asn: int
    region: str
    site: str | None
    device_address: IPv4Address
    static: bool
    static_routes: tuple[IPv4Network, ...]
    customer_routes: tuple[IPv4Network, ...]
    transport: str | None = None
    """Of a private-IP VPN: the attachment that its outside lies on."""
    tunnels: tuple[ResolvedVpnTunnel, ...]


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
    sites: tuple[ResolvedSite, ...] = ()
    vpn_connections: tuple[ResolvedVpnConnection, ...] = ()
    transit_gateway_attachments: tuple[ResolvedTransitGatewayAttachment, ...]
    transit_gateway_route_tables: tuple[ResolvedTransitGatewayRouteTable, ...]
    connect_peers: tuple[ResolvedConnectPeer, ...] = ()
    virtual_interfaces: tuple[ResolvedVirtualInterface, ...] = ()
    """By session."""
    public_virtual_interfaces: tuple[ResolvedVirtualInterface, ...] = ()
    """By session; `gateway` is the virtual interface itself, `node` its own router."""

    accelerators: tuple[ResolvedAccelerator, ...] = ()
    accelerator_edges: tuple[AcceleratorEdge, ...] = ()
    accelerator_exits: tuple[AcceleratorExit, ...] = ()
    accelerated_ways: tuple[AcceleratedWay, ...] = ()

    _indexes: dict[str, dict[str, tuple[object, ...]]] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What the look-ups below have gathered: each lowering asks for its own VPC's share, and there may be thousands."""

    def vpc(self, vpc_id: str) -> ResolvedVpc:
        """The VPC with this id. Raises KeyError."""
        return self._by("vpc", self.vpcs, lambda vpc: vpc.vpc.id)[vpc_id][0]

    def subnet(self, subnet_id: str) -> ResolvedSubnet:
        """The subnet with this id. Raises KeyError."""
        return self._by("subnet", self.subnets, lambda subnet: subnet.subnet.id)[subnet_id][0]

    def route_table(self, table_id: str) -> ResolvedRouteTable:
        """The route table with this id. Raises KeyError."""
        return self._by("route table", self.route_tables, lambda table: table.id)[table_id][0]

    def subnets_in(self, vpc_id: str) -> tuple[ResolvedSubnet, ...]:
        """The subnets of one VPC, by id."""
        return self._by("subnets in", self.subnets, lambda subnet: subnet.subnet.vpc_id).get(vpc_id, ())

    def route_tables_in(self, vpc_id: str) -> tuple[ResolvedRouteTable, ...]:
        """The route tables of one VPC, by id."""
        return self._by("route tables in", self.route_tables, lambda table: table.vpc).get(vpc_id, ())

    def instance(self, instance_id: str) -> Instance:
        """The instance with this id. Raises KeyError."""
        return self._by("instance", self.topology.of(Instance), lambda instance: instance.id)[instance_id][0]

    def interface(self, interface_id: str) -> ResolvedInterface | None:
        """The interface with this id; None if it is attached to nothing."""
        return next(iter(self._by("interface", self.interfaces, lambda interface: interface.id).get(interface_id, ())), None)

    def interfaces_in(self, vpc_id: str) -> tuple[ResolvedInterface, ...]:
        """The interfaces in one VPC, by id."""
        return self._by("interfaces in", self.interfaces, lambda interface: interface.vpc).get(vpc_id, ())

    def attachments_of(self, transit_gateway_id: str) -> tuple[ResolvedTransitGatewayAttachment, ...]:
        """The attachments at one transit gateway, by id."""
        return self._by("attachments of", self.transit_gateway_attachments, lambda attachment: attachment.transit_gateway).get(transit_gateway_id, ())

    def attachments_to(self, resource: str) -> tuple[ResolvedTransitGatewayAttachment, ...]:
        """The attachments by which a VPC, or anything else, is attached, by id."""
        return self._by("attachments to", self.transit_gateway_attachments, lambda attachment: attachment.resource).get(resource, ())

    def attachment(self, attachment_id: str, transit_gateway_id: str) -> ResolvedTransitGatewayAttachment | None:
        """An attachment at one transit gateway; None if it is not attached there."""
        found = self._by("attachment", self.transit_gateway_attachments, lambda attachment: attachment.id).get(attachment_id, ())
        return next((attachment for attachment in found if attachment.transit_gateway == transit_gateway_id), None)

    def transit_gateway_route_table(self, table_id: str) -> ResolvedTransitGatewayRouteTable:
        """The transit gateway route table with this id. Raises KeyError."""
        return self._by("transit gateway route table", self.transit_gateway_route_tables, lambda table: table.id)[table_id][0]

    def interfaces_of(self, owner: str) -> tuple[ResolvedInterface, ...]:
        """The interfaces of one owner, by id."""
        return self._by("interfaces of", self.interfaces, lambda interface: interface.owner).get(owner, ())

    @property
    def members_of(self) -> Mapping[str, tuple[IPv4Address, ...]]:
        """`members`, by group."""
        found = self._indexes.setdefault("members of", {})
        if not found:
            found.update(self.members)
        return cast("Mapping[str, tuple[IPv4Address, ...]]", found)

    def groups(self, group_ids: Iterable[str]) -> tuple[SecurityGroup, ...]:
        """The security groups with these ids, each once, by id. Raises KeyError."""
        groups = self._by("groups", self.security_groups, lambda group: group.id)
        return tuple(groups[group_id][0] for group_id in sorted(set(group_ids)))

    def _by(self, name: str, items: Iterable[T], key: Callable[[T], str]) -> Mapping[str, tuple[T, ...]]:
        """The items by key, gathered once under `name`, in their order."""
        if name not in self._indexes:
            gathered: dict[str, list[object]] = {}
            for item in items:
                gathered.setdefault(key(item), []).append(item)
            self._indexes[name] = {value: tuple(found) for value, found in gathered.items()}
        return cast("Mapping[str, tuple[T, ...]]", self._indexes[name])

    def distribution(self, distribution_id: str) -> Distribution:
        """The distribution with this id. Raises KeyError."""
        for distribution in self.topology.of(Distribution):
            if distribution.id == distribution_id:
                return distribution
        raise KeyError(distribution_id)
