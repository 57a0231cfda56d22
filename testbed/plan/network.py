"""The neutral words of a plan: namespaces, the links between them, their routes, and the services they run.

Nothing here knows AWS: a `Node` is a network namespace, a `Link` two interfaces, a `ServiceSpec` a process. `origin` says which
AWS resource or rule asked for the thing (``rtb-private-a 0.0.0.0/0 -> nat-a``), so that whatever happens can be explained by it.

Invariants: every tuple is sorted by the field named in its class's docstring; a plan is equal to another when, and only when, both
configure the same network. Rendering to JSON is the engine's and the CLI's; this package is stdlib only.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from testbed.plan.nftables import Ruleset


class NodeKind(enum.StrEnum):
    """What a namespace stands for; how it is drawn, and which nodes forward packets."""

    ACCELERATOR = "accelerator"
    """Where accelerated traffic leaves the provider's own network."""
    CITY = "city"
    CUSTOMER_GATEWAY = "customer-gateway"
    """The router of an on-premises site."""
    DATABASE = "database"
    DIRECT_CONNECT = "direct-connect"
    """A port at a Direct Connect location, or the router behind it."""
    EDGE_LOCATION = "edge-location"
    FABRIC = "fabric"
    GATEWAY_ENDPOINT = "gateway-endpoint"
    GATEWAY_LOAD_BALANCER_ENDPOINT = "gateway-load-balancer-endpoint"
    INSTANCE = "instance"
    INTERFACE_ENDPOINT = "interface-endpoint"
    INTERNET_GATEWAY = "internet-gateway"
    LOAD_BALANCER = "load-balancer"
    NAME_SERVER = "name-server"
    NAT_GATEWAY = "nat-gateway"
    NETWORK_FIREWALL = "network-firewall"
    """A firewall's endpoint, or the engine behind it."""
    NETWORK_INTERFACE = "network-interface"
    """The port of an interface that forwards for others, with the state of its own groups."""
    ON_PREMISES_HOST = "on-premises-host"
    RESOLVER = "resolver"
    RESOLVER_ENDPOINT = "resolver-endpoint"
    SERVICES_PLANE = "services-plane"
    TRANSIT_GATEWAY = "transit-gateway"
    USER = "user"
    VPN_ENDPOINT = "vpn-endpoint"
    """AWS's end of one tunnel."""
    VPN_GATEWAY = "vpn-gateway"


class RouteType(enum.StrEnum):
    UNICAST = "unicast"
    LOCAL = "local"
    BLACKHOLE = "blackhole"
    UNREACHABLE = "unreachable"
    THROW = "throw"


MAIN_TABLE = 254


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One kernel route. UNICAST has `device`, LOCAL ("for this node itself") the device ``lo``, and `via` where there is a next hop; `onlink` skips the check that `via` is reachable.

    Of several routes of a table to one destination the kernel takes the one with the lowest `metric`.
    """

    destination: IPv4Network
    type: RouteType = RouteType.UNICAST
    device: str | None = None
    via: IPv4Address | None = None
    onlink: bool = False
    table: int = MAIN_TABLE
    source: IPv4Address | None = None
    mtu_bytes: int | None = None
    metric: int = 0
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRule:
    """One `ip rule`: packets whose mark under `mask` is `mark`, and that come from `source` if it is given, use `table`.

    Lower `priority` is asked first (the kernel's main table is 32766); rules of one priority exclude each other. A `mask` of 0 looks at no mark.
    """

    priority: int
    mark: int = 0
    mask: int = 0
    table: int
    source: IPv4Network | None = None
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """A permanent ARP entry on `device`."""

    address: IPv4Address
    mac: str
    device: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """One end of a link, in the namespace of `node`. `name` has at most 15 bytes; `mac` is ``02:00:…``, lower case.

    `sysctls` are under ``net/ipv4/conf/<name>/`` when their key has no slash (``proxy_arp``), else under ``net/`` as given, ``{}`` standing for `name` (``ipv4/neigh/{}/proxy_delay``).
    """

    node: str
    name: str
    mac: str
    addresses: tuple[IPv4Interface, ...] = ()
    mtu_bytes: int = 1500
    sysctls: tuple[tuple[str, str], ...] = ()
    offloads: bool = True
    """False: frames leave it as they would be on a wire, segments cut and checksums filled in, for a program that reads them at the other end."""
    coalesces: bool = False
    """True: segments that arrive one by one, from a far end without offloads, are joined before they go on, where the kernel can."""
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tun:
    """A TUN device of a node: packets that are routed to it go to the daemon that has attached to it, and that daemon's come from it. It is there before and after any daemon; without one it takes packets and loses them."""

    name: str
    mtu_bytes: int = 1500
    addresses: tuple[IPv4Interface, ...] = ()
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """What a link does to frames in each direction. All zero or None: an ideal veth pair."""

    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    loss_percent: float = 0.0
    rate_mbit: float | None = None


LinkKey = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Vlan:
    """A link that is an 802.1Q VLAN on another, which has the key `trunk`; at least one end is in the node of one of the trunk's ends. What happens to the trunk happens to it."""

    tag: int
    trunk: LinkKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Two interfaces joined; `a` sorts before `b` by (node, name). `wire` None is a veth pair, or with `vlan` a part of its trunk's wire."""

    a: Interface
    b: Interface
    wire: Wire | None = None
    vlan: Vlan | None = None
    origin: str = ""

    @property
    def key(self) -> LinkKey:
        return (self.a.node, self.a.name, self.b.node, self.b.name)

    @property
    def parents(self) -> tuple[tuple[str, str], tuple[str, str]]:
        """The trunk's ends under the ends of a VLAN, as (node, interface): an end is on the trunk's end in its own node, or on the one that is left."""
        if self.vlan is None:
            raise ValueError(f"{self.key} is not a VLAN")
        one, other = self.vlan.trunk[:2], self.vlan.trunk[2:]
        return (one, other) if self.a.node == one[0] or (self.b.node == other[0] and self.a.node != other[0]) else (other, one)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One namespace, sorted by `name` in a plan. `loopback` addresses sit on lo; `sysctls` are paths under ``net/`` (``ipv4/ip_forward``) and values.

    `name_servers`, `search` and `hosts` become resolv.conf and hosts of whatever runs in the node by `exec`. `city` is where it stands.
    Routes are sorted by (table, destination, metric), rules by (priority, mark), neighbours by (device, address).
    """

    name: str
    kind: NodeKind
    label: str = ""
    origin: str = ""
    city: str | None = None
    group: str | None = None
    """The VPC or city that it is drawn in."""
    zone: str = ""
    """What it shares power and network with, and fails with (an Availability Zone); empty: nothing."""
    loopback: tuple[IPv4Interface, ...] = ()
    tuns: tuple[Tun, ...] = ()
    sysctls: tuple[tuple[str, str], ...] = ()
    routes: tuple[Route, ...] = ()
    rules: tuple[PolicyRule, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()
    keeps_ttl: bool = False
    """What it forwards keeps its TTL: it is no hop."""
    ruleset: Ruleset | None = None
    name_servers: tuple[IPv4Address, ...] = ()
    search: tuple[str, ...] = ()
    hosts: tuple[tuple[IPv4Address, str], ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    """Variables of whatever runs in the node by `exec`, sorted by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A certificate that the lab's authority issues before the service starts: PEM chain at `certificate_file`, key at `key_file`, both absolute."""

    host_names: tuple[str, ...]
    certificate_file: str
    key_file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSpec:
    """One process: `services.<kind>` in the namespace of `node`, sorted by `name` in a plan.

    `config` is the JSON that ``python -m services.<kind> --config`` reads. It is started once every service of `after` is ready.
    `unprivileged` runs it as a user other than root, in a user namespace of its own (PostgreSQL refuses root).
    """

    name: str
    kind: str
    node: str
    config: str
    after: tuple[str, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    unprivileged: bool = False
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A whole lab: what the engine makes true. `name` is the topology's."""

    name: str
    time_scale: float = 1.0
    nodes: tuple[Node, ...] = ()
    links: tuple[Link, ...] = ()
    services: tuple[ServiceSpec, ...] = ()

    def node(self, name: str) -> Node:
        """The node called `name`. Raises KeyError."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)
