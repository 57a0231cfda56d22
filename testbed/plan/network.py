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

    CITY = "city"
    DATABASE = "database"
    EDGE_LOCATION = "edge-location"
    FABRIC = "fabric"
    GATEWAY_ENDPOINT = "gateway-endpoint"
    INSTANCE = "instance"
    INTERFACE_ENDPOINT = "interface-endpoint"
    INTERNET_GATEWAY = "internet-gateway"
    LOAD_BALANCER = "load-balancer"
    NAME_SERVER = "name-server"
    NAT_GATEWAY = "nat-gateway"
    NETWORK_INTERFACE = "network-interface"
    """The port of an interface that forwards for others, with the state of its own groups."""
    RESOLVER = "resolver"
    SERVICES_PLANE = "services-plane"
    USER = "user"


class RouteType(enum.StrEnum):
    UNICAST = "unicast"
    BLACKHOLE = "blackhole"
    UNREACHABLE = "unreachable"
    THROW = "throw"


MAIN_TABLE = 254


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One kernel route. UNICAST has `device`, and `via` where there is a next hop; `onlink` skips the check that `via` is reachable."""

    destination: IPv4Network
    type: RouteType = RouteType.UNICAST
    device: str | None = None
    via: IPv4Address | None = None
    onlink: bool = False
    table: int = MAIN_TABLE
    source: IPv4Address | None = None
    mtu_bytes: int | None = None
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRule:
    """One `ip rule`: packets whose mark under `mask` is `mark`, and that come from `source` if it is given, use `table`.

    Lower `priority` is asked first (the kernel's main table is 32766). A `mask` of 0 looks at no mark.
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
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """What a link does to frames in each direction. All zero or None: an ideal veth pair."""

    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    loss_percent: float = 0.0
    rate_mbit: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Two interfaces joined; `a` sorts before `b` by (node, name). `wire` None is a veth pair."""

    a: Interface
    b: Interface
    wire: Wire | None = None
    origin: str = ""

    @property
    def key(self) -> tuple[str, str, str, str]:
        return (self.a.node, self.a.name, self.b.node, self.b.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One namespace, sorted by `name` in a plan. `loopback` addresses sit on lo; `sysctls` are paths under ``net/`` (``ipv4/ip_forward``) and values.

    `name_servers`, `search` and `hosts` become resolv.conf and hosts of whatever runs in the node by `exec`. `city` is where it stands.
    Routes are sorted by (table, destination, type, device), rules by priority, neighbours by (device, address).
    """

    name: str
    kind: NodeKind
    label: str = ""
    origin: str = ""
    city: str | None = None
    group: str | None = None
    """The VPC or city that it is drawn in."""
    loopback: tuple[IPv4Interface, ...] = ()
    sysctls: tuple[tuple[str, str], ...] = ()
    routes: tuple[Route, ...] = ()
    rules: tuple[PolicyRule, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()
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
