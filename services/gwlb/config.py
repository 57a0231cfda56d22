"""Configuration of one Gateway Load Balancer node: the endpoints that it serves and its appliances.

An endpoint's packets come and go by a TUN device of its own, `tun`, in the endpoint's namespace.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from ipaddress import IPv4Address

from services.common.config import HealthCheck

DEFAULT_CHECK = HealthCheck(protocol="TCP", port=80, interval_s=10.0, timeout_s=5.0, healthy_threshold=5, unhealthy_threshold=2)
"""Elastic Load Balancing, "Health checks for GWLB target groups" (documented)."""


class Stickiness(enum.StrEnum):
    """What makes a flow; AWS's ``stickiness.type``."""

    FIVE_TUPLE = "source_ip_dest_ip_source_port_dest_port_proto"
    THREE_TUPLE = "source_ip_dest_ip_proto"
    TWO_TUPLE = "source_ip_dest_ip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A Gateway Load Balancer endpoint: its id here, the two 64-bit numbers that appliances see, and its device, in the node called `namespace` (None: the daemon's own)."""

    id: str
    tun: str
    namespace: str | None = None
    interface_number: int
    attachment_number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Appliance:
    """A registered target."""

    id: str
    address: IPv4Address
    availability_zone: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One node. Times in seconds before scaling.

    `rebalance`: flows of an appliance that is unhealthy or gone move to another; else they stay where they are, and are lost.
    """

    address: IPv4Address
    availability_zone: str
    endpoints: tuple[Endpoint, ...]
    appliances: tuple[Appliance, ...]
    cross_zone: bool = False
    stickiness: Stickiness = Stickiness.FIVE_TUPLE
    rebalance: bool = False
    tcp_idle_s: float = 350.0
    other_idle_s: float = 120.0
    deregistration_delay_s: float = 300.0
    health_check: HealthCheck = DEFAULT_CHECK
