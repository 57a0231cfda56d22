"""Configuration of one end of a GRE tunnel: the two outer addresses, and the TUN device that has the inner packets."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One end. `name` is the tunnel's, as people call it; `tun` a device of the daemon's own namespace; `local_address` an address there, `remote_address` the other end's."""

    name: str
    tun: str
    local_address: IPv4Address
    remote_address: IPv4Address
