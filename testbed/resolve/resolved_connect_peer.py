"""A part of `resolved`: what `resolve` hands to `compile` of Connect peers."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedConnectPeer:
    """A GRE tunnel of the Connect attachment `connect`, over the attachment `transport`. `node` is the appliance's, None if nobody in this lab has its address; it is an `instance`'s or a `site`'s router.

    `peer_asn` is the one that AWS expects, `device_asn` the one that the appliance has. `mtu_bytes` is the tunnel's own."""

    id: str
    connect: str
    transit_gateway: str
    transport: str
    node: str | None
    instance: str | None
    site: str | None
    peer_address: IPv4Address
    transit_gateway_address: IPv4Address
    inside: IPv4Network
    amazon_asn: int
    peer_asn: int
    device_asn: int
    mtu_bytes: int
