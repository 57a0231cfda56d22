"""Configuration of one Network Load Balancer node's relay: its listeners, each with what its target group asks for.

A new connection leaves for `TARGETS_ADDRESS`, the listener's port, with a slot's number as its socket's mark: the node's ruleset turns that into the slot's target (decision 0011),
so who is healthy is known in one place. The other marks tell the ruleset of a connection from a client's address, and of a packet that nobody shall see.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from services.common.config import Tls

TARGETS_ADDRESS = IPv4Address("169.254.63.1")
"""Stands for "a target" in a connection's beginning; never in a packet."""
IDLE_S = 350.0
FORGET_MARK = 0x20000
"""Of a socket whose connection is forgotten without a word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrance:
    """An address at which the node listens; `vpc_endpoint` is the endpoint that leads there, empty for the node's own address."""

    address: IPv4Address
    vpc_endpoint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A listener. TLS ends here if `tls` is not empty (the first certificate is the default one; SNI chooses); `alpn` is what the policy prefers, empty for none.

    `slots`: of its group's map, 0 if no target is served here. `encrypts`: TLS to targets. `keeps_client`: they see the client's address. `idle_timeout_s` before scaling.
    """

    id: str
    port: int
    tls: tuple[Tls, ...] = ()
    alpn: tuple[str, ...] = ()
    idle_timeout_s: float = IDLE_S
    target_group: str
    slots: int
    encrypts: bool = False
    proxy_protocol: bool = False
    keeps_client: bool = False
    by_source: bool = False
    """Stickiness: a client's address has one slot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One node's relay: each listener at each entrance."""

    load_balancer: str
    entrances: tuple[Entrance, ...]
    listeners: tuple[Listener, ...]
