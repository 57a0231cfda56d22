"""Configuration of the instance metadata service: where it listens, and which instance asks from which address there."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from services.common.config import Listen


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """A network interface of an instance, as its metadata tell. `public` pairs a private address with the public one it is mapped to."""

    id: str
    device_number: int
    mac: str
    addresses: tuple[IPv4Address, ...]
    public: tuple[tuple[IPv4Address, IPv4Address], ...] = ()
    security_groups: tuple[str, ...] = ()
    subnet_id: str
    subnet_cidr_block: IPv4Network
    vpc_id: str
    vpc_cidr_blocks: tuple[IPv4Network, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """An instance and its metadata options. Its primary interface comes first."""

    id: str
    account: str
    region: str
    availability_zone: str
    interfaces: tuple[Interface, ...]
    http_endpoint: str = "enabled"
    http_tokens: str = "required"
    http_put_response_hop_limit: int = 1
    user_data: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A VPC: the listener in its fabric, and the instances that ask there."""

    listen: Listen
    instances: tuple[Instance, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All VPCs of a Region."""

    name: str
    networks: tuple[Network, ...]
