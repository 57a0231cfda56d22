"""Configuration of a transit gateway's flow logs: its devices, what they stand for, and what is logged.

The daemon runs in the gateway's namespace, whose nftables sets count (`testbed.compile.transit_gateway_flow_log`).
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network

from services.flow_log.config import Service


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A device of the gateway: the `attachment` that it is a part of, and of a VPC's attachment the VPC, the subnet, the interface and the zone there (else empty).

    `blackholes` are the blackhole routes of the table with which the attachment is associated."""

    name: str
    attachment: str
    vpc_id: str = ""
    subnet_id: str = ""
    interface_id: str = ""
    az_id: str = ""
    blackholes: tuple[IPv4Network, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """One flow log; `attachment` is empty for one of the whole gateway."""

    id: str
    attachment: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A gateway's logs. `table` is the nftables table (family ip) whose sets count."""

    account: str
    region: str
    transit_gateway: str
    table: str
    interval_s: int
    devices: tuple[Device, ...]
    logs: tuple[Log, ...]
    services: tuple[Service, ...] = ()
