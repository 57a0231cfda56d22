"""Configuration of a VPC's traffic mirroring: at which fabric ends, what, and to whom.

The daemon runs in the fabric's namespace.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One filter rule. `protocol` -1 is any; ports are inclusive ranges."""

    inbound: bool
    accept: bool
    protocol: int
    source: IPv4Network
    destination: IPv4Network
    source_ports: tuple[int, int]
    destination_ports: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """`rules` in the order in which they are tried; `length_bytes` 0 copies whole packets."""

    id: str
    target: IPv4Address
    vni: int
    length_bytes: int
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A mirrored interface: `device` is its fabric end, `address` what copies come from; `sessions` in the order of their numbers."""

    device: str
    address: IPv4Address
    sessions: tuple[Session, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All of a VPC's mirror sources. `mtu_bytes` is what a copy with its outer headers may have: a longer one is cut."""

    mtu_bytes: int
    sources: tuple[Source, ...]
