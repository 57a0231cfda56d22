"""Configuration of a VPC's flow logs: which interfaces are logged, how, and what the records say of them.

The daemon runs in the fabric's namespace, whose nftables sets count (`testbed.compile.flow_log`).
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from services.common.config import Listen


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """One flow log on one interface. `interval_s` is AWS's; `traffic_type` ACCEPT, REJECT or ALL."""

    id: str
    traffic_type: str
    interval_s: int
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """What traffic-path says of packets to `network`; 0 for nothing."""

    network: IPv4Network
    path: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Public addresses of an AWS service, by the name that pkt-src-aws-service and pkt-dst-aws-service have for it."""

    name: str
    network: IPv4Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """The namespace of an interface that forwards for others, where its groups are asked: `at` is an address there, which nobody uses, `device` its side to the guest."""

    at: Listen
    device: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """A logged interface: `device` is its fabric end; `ways` are its subnet's routes, the longest first; `port` is None for one that is no forwarder."""

    device: str
    interface_id: str
    subnet_id: str
    instance_id: str
    address: IPv4Address
    addresses: tuple[IPv4Address, ...]
    az_id: str
    ways: tuple[Way, ...]
    logs: tuple[Log, ...]
    port: Port | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A VPC's logs. `table` is the nftables table (family ip) whose sets count, in the fabric and in ports."""

    account: str
    region: str
    vpc_id: str
    table: str
    services: tuple[Service, ...]
    interfaces: tuple[Interface, ...]
