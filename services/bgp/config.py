"""Configuration of a BGP speaker: a BIRD 2 of the distribution's package, in the namespace of the router that it speaks for.

    neighbour ──accept, limit──► its own table ──propagates_to──► Table ──kernel──► kernel routing table
    neighbour ◄──advertise────── its own table ◄──associated───── Table ◄────────── Originated (what this router announces by itself)

A `Table` is a routing table of the router (a virtual gateway has one; a transit gateway one per route table). What a neighbour announces goes into every table of its `propagates_to`,
and it is told what its `associated` table holds. Within a table, the lowest `metric` wins before any BGP attribute: it is how one kind of attachment beats another; then the highest local preference, the shortest AS path, the lowest MED, eBGP before iBGP, the lowest router id (RFC 4271, 9.1).

NOT MODELLED: sessions over several hops (AWS's are all on a link or in a tunnel), IPv6, graceful restart.
In the kernel, all that a table learns has one metric: the lowest of the neighbours that propagate to it. Routes that the plan lays (static ones) have metrics of their own there: higher, if any of
those neighbours beats them. Name them in `originated` with the metric that ranks them: they are announced, and what they beat is kept out of the kernel.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

Community = tuple[int, int]
"""An RFC 1997 community: ``7224:7300`` is (7224, 7300)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A routing table. What is learned goes to the kernel's table `kernel` (254 is main; None: nowhere), over `paths` equally good next hops at most (1: no ECMP)."""

    name: str
    kernel: int | None = None
    paths: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Originated:
    """A prefix that this router announces from `table` although no neighbour told it. `metric` ranks it among learned routes to the same prefix (0: before all).

    It never goes to the kernel: the plan lays the route that it stands for, if there is one.
    """

    prefix: IPv4Network
    table: str
    metric: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bfd:
    """Bidirectional forwarding detection, asynchronous (RFC 5880); not divided by the lab's time scale."""

    interval_ms: int = 300
    multiplier: int = 3
    passive: bool = False
    """Wait until the neighbour begins, as AWS's end of a virtual interface does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixRange:
    """Prefixes inside `prefix` that are at most `longest` bits long (None: exactly `prefix`)."""

    prefix: IPv4Network
    longest: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Accept:
    """What is taken from a neighbour, and what is made of it.

    `prefixes` None takes all; `rejected` are refused even so. More than `limit` announced prefixes take the session down until the neighbour announces fewer (AWS's quotas do so).
    `local_preferences` are looked at in order; the first community that a route bears decides, else `local_preference` (None: 100, or over iBGP what the neighbour says).
    `missing_med` is the MED of a route without one. `communities` are added.
    """

    prefixes: tuple[PrefixRange, ...] | None = None
    rejected: tuple[PrefixRange, ...] = ()
    limit: int | None = None
    local_preference: int | None = None
    local_preferences: tuple[tuple[Community, int], ...] = ()
    missing_med: int = 0
    communities: tuple[Community, ...] = ()
    needs_as_path: bool = False
    """Over iBGP: nothing is taken that the neighbour originates itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advertise:
    """What a neighbour is told. `prefixes` None: everything in its associated table. `learned` False: nothing of other neighbours; `originated` False: nothing that is originated here."""

    prefixes: tuple[PrefixRange, ...] | None = None
    learned: bool = True
    originated: bool = True
    med: int | None = None
    prepend: int = 0
    communities: tuple[Community, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """One session. `name` is unique in the speaker and what `testbed bgp` calls the session (``dxvif-a``, ``vpn-a-tunnel-1``).

    `local_asn` None is the speaker's own; an `asn` equal to it makes the session iBGP. The neighbour is on a link of ours, `device` (None: whichever has its address).
    `hold_s` and `keepalive_s` are AWS's (divided by the lab's time scale, not below 3 and 1 s). `bfd` None: only the hold timer notices a silent loss. `passive` only answers.
    `metric`, 1-4294967295, ranks its routes in a table: the lowest wins. `mtu_bytes` is the path MTU of its routes where the link's is not.
    """

    name: str
    address: IPv4Address
    asn: int
    propagates_to: tuple[str, ...]
    associated: str | None
    metric: int
    local_address: IPv4Address | None = None
    local_asn: int | None = None
    device: str | None = None
    passive: bool = False
    relays: bool = False
    """Over iBGP: it is told what other iBGP neighbours have said, too (a client of ours as a route reflector, RFC 4456)."""
    password: str | None = None
    hold_s: float = 90.0
    keepalive_s: float = 30.0
    bfd: Bfd | None = None
    mtu_bytes: int | None = None
    accept: Accept = Accept()
    advertise: Advertise = Advertise()
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One BGP speaker. Its control socket is `control_socket(name)`, in the lab's own /run; `name` is the node's."""

    name: str
    router_id: IPv4Address
    asn: int
    tables: tuple[Table, ...]
    neighbours: tuple[Neighbour, ...]
    originated: tuple[Originated, ...] = ()


FOLDER = "/run/testbed/bgp"


def control_socket(name: str) -> str:
    """Where the BIRD of the speaker `name` takes commands."""
    return f"{FOLDER}/{name}.ctl"
