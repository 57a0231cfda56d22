"""Configuration of an inspecting appliance: what it drops, and where it answers health checks."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Packets whose TCP or UDP payload contains one of `signatures` are dropped. Health checks are answered at `health_check_port` (200, any path)."""

    address: IPv4Address
    signatures: tuple[str, ...] = ()
    health_check_port: int = 80
