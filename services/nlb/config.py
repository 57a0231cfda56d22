"""Configuration of one Network Load Balancer node: the target groups that it serves, and the kernel's maps that choose among their targets.

A map has `slots` keys, 0 to slots - 1, each with the address and port of a target; a hash of a new flow picks one. `spread` says which target has which slot.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv4Address

from services.common.config import HealthCheck

SLOTS = 64
SLOTS_PER_TARGET = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A registered target."""

    id: str
    address: IPv4Address
    port: int

    @property
    def element(self) -> str:
        """As the value of a map's element."""
        return f"{self.address} . {self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetGroup:
    """A target group on one node: `targets` are those that this node serves, by its zone or all. Times in seconds before scaling.

    Below `minimum_healthy_targets` healthy ones it fails open, below the minimum for DNS the node leaves DNS. `terminate_…`: established flows of a deregistered target end when its delay is over, of an unhealthy one at once
    (or, if not, `unhealthy_draining_s` later, 0 meaning never).
    """

    id: str
    map: str
    slots: int
    protocols: tuple[str, ...]
    targets: tuple[Target, ...]
    health_check: HealthCheck
    minimum_healthy_targets: int = 1
    minimum_healthy_targets_for_dns: int = 1
    deregistration_delay_s: float = 300.0
    terminate_deregistered: bool = False
    terminate_unhealthy: bool = True
    unhealthy_draining_s: float = 0.0
    proxy_protocol: bool = False
    """Health checks begin with a PROXY header that names no client."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One node; `table` is the nftables table (family ip) of its maps."""

    load_balancer: str
    availability_zone: str
    zone_health_file: str = ""
    """Where the node tells DNS how its zone is (`services.common.zone_health`); empty: nowhere."""
    table: str
    target_groups: tuple[TargetGroup, ...]


def slots_for(targets: int) -> int:
    """How many slots a map for so many targets has: a power of two, so that one target more rarely changes it, and no target's share is far from another's."""
    return max(SLOTS, 1 << (SLOTS_PER_TARGET * targets - 1).bit_length()) if targets else SLOTS


def spread(targets: tuple[Target, ...], usable: Collection[Target], slots: int) -> tuple[Target, ...]:
    """The target of each slot: in turn, and where that one is not usable, those that are in turn. So one target's change moves its own slots (and others' that are not usable) only.

    Depends on its arguments alone; empty if nothing is usable.
    """
    count, good = len(targets), [target in usable for target in targets]
    instead = [target for target, is_good in zip(targets, good, strict=True) if is_good]
    if not instead:
        return ()
    return tuple(targets[slot % count] if good[slot % count] else instead[slot // count % len(instead)] for slot in range(slots))
