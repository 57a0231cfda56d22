"""Configuration of a VPC's flow logs: which interfaces are logged, how, and what the records say of them.

The daemon runs in the fabric's namespace, whose nftables sets count (`testbed.compile.flow_log`).
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """One flow log on one interface. `interval_s` is AWS's; `traffic_type` ACCEPT, REJECT or ALL."""

    id: str
    traffic_type: str
    interval_s: int
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """A logged interface: `device` is its fabric end; `outside_path` is traffic-path for what leaves the VPC, 0 where it is not known."""

    device: str
    interface_id: str
    subnet_id: str
    instance_id: str
    address: IPv4Address
    addresses: tuple[IPv4Address, ...]
    az_id: str
    outside_path: int
    logs: tuple[Log, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A VPC's logs. `table` is the nftables table (family ip) whose sets count; `networks` are the VPC's blocks, `peered` those of its peers."""

    account: str
    region: str
    vpc_id: str
    table: str
    networks: tuple[IPv4Network, ...]
    peered: tuple[IPv4Network, ...]
    interfaces: tuple[Interface, ...]
