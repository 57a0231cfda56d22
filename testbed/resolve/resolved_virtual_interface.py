"""Virtual interfaces as `resolve` hands them to `compile`."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Interface

from testbed.model.virtual_interface import VirtualInterface


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedVirtualInterface:
    """One BGP session of a virtual interface on one fibre. `gateway` is at AWS's end (a virtual private or a Direct Connect gateway), `node` its router at the location."""

    id: str
    session: str
    connection: str
    site: str
    location: str
    region: str
    gateway: str
    gateway_asn: int
    node: str
    interface: VirtualInterface
    amazon_address: IPv4Interface
    customer_address: IPv4Interface
    auth_key: str
