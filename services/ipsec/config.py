"""Configuration of one end of an IPsec tunnel: a strongSwan charon of the distribution's package, and the interface at which the tunnel ends.

Algorithms are in AWS's words (``AES128-GCM-16``, ``SHA2-256``, group numbers); times are AWS's, divided by the lab's time scale.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

MAIN_TABLE = 254


class Esp(enum.StrEnum):
    """Who carries ESP: the kernel by an XFRM interface, charon by a TUN device, or the kernel where it can."""

    AUTOMATIC = "automatic"
    KERNEL = "kernel"
    USERSPACE = "userspace"


@dataclass(frozen=True, slots=True, kw_only=True)
class Algorithms:
    """What one phase may use: an initiator offers them, a responder takes the first in these orders that it is offered."""

    encryption: tuple[str, ...]
    integrity: tuple[str, ...]
    dh_groups: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelRoute:
    """A route that leads into the tunnel while it is up."""

    destination: IPv4Network
    metric: int
    table: int = MAIN_TABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """A link over which decrypted packets go on: `device` is up while the tunnel is, so that its far end sees the tunnel's state as a carrier.

    While up, `table` has a default route by it to `next_hop`, whose hardware address is `mac`.
    """

    device: str
    table: int
    next_hop: IPv4Address
    mac: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One end. `initiates` says that it begins, and begins again whenever the tunnel is down; the other end only answers.

    `inside_address` goes on the tunnel's interface (None: none), whose block is `inside`. `ike_port` is 500 unless several ends share a namespace.
    """

    name: str
    connection: str
    tunnel: int
    local_address: IPv4Address
    remote_address: IPv4Address
    pre_shared_key: str
    initiates: bool
    phase1: Algorithms
    phase2: Algorithms
    phase1_lifetime_s: int
    phase2_lifetime_s: int
    rekey_margin_s: int
    rekey_fuzz_percent: int
    replay_window: int
    dpd_timeout_s: int
    mtu_bytes: int
    inside: IPv4Network
    inside_address: IPv4Address | None = None
    ike_port: int = 500
    nat_t_port: int = 4500
    esp: Esp = Esp.AUTOMATIC
    routes: tuple[TunnelRoute, ...] = ()
    handover: Handover | None = None


def peer_of(config: Config) -> IPv4Address:
    """The other inside address of the tunnel's block."""
    return next(address for address in config.inside.hosts() if address != config.inside_address)


FOLDER = "/run/testbed/ipsec"


def control_socket(name: str) -> str:
    """Where the charon of the end `name` takes commands: ``swanctl --list-sas --uri unix://…`` in the lab."""
    return f"{FOLDER}/{name}.vici"
