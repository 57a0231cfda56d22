"""Route 53 Resolver endpoints: where a network outside AWS asks a VPC's resolver, and from where a VPC's resolver asks a network outside.

    inbound    other network's DNS server ─▶ endpoint's address ─▶ answers as base+2 of the VPC
    outbound   base+2 ─ a rule matches ─▶ from an endpoint's address ─▶ the rule's targets

Source: Route 53 developer guide, "Resolving DNS queries between VPCs and your network", "Considerations when creating inbound and outbound endpoints";
CloudFormation, "AWS::Route53Resolver::ResolverEndpoint", "IpAddressRequest" (documented).
NOT MODELLED: DNS over HTTPS, IPv6 endpoints, the limit of queries per second, delegation endpoints.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.model.values import Fault, address, address_faults, choice_faults, id_faults

INBOUND, OUTBOUND = "INBOUND", "OUTBOUND"
FEWEST_ADDRESSES, MOST_ADDRESSES = 2, 6
"""IP addresses per endpoint ("Quotas on Route 53 VPC Resolver"; documented)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IpAddressRequest:
    """An address of an endpoint: `ip` of the subnet, None for a free one."""

    subnet_id: str
    ip: IPv4Address | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "ip", address(self.ip))


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolverEndpoint:
    """An endpoint in the VPC of its subnets; `direction` is INBOUND or OUTBOUND."""

    id: str
    direction: str
    ip_addresses: tuple[IpAddressRequest, ...]
    security_group_ids: tuple[str, ...]

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the endpoint by itself."""
        return (*id_faults(self.id), *choice_faults(self.id, "direction", self.direction, (INBOUND, OUTBOUND)), *self._own_faults())

    def _own_faults(self) -> Iterator[Fault]:
        if not FEWEST_ADDRESSES <= len(self.ip_addresses) <= MOST_ADDRESSES:
            yield Fault(resource=self.id, problem=f"{len(self.ip_addresses)} IP addresses", remedy=f"give {FEWEST_ADDRESSES} to {MOST_ADDRESSES}, in different Availability Zones")
        if not self.security_group_ids:
            yield Fault(resource=self.id, problem="no security group", remedy="name one that admits TCP and UDP port 53")
        for request in self.ip_addresses:
            yield from address_faults(self.id, f"{request.subnet_id} ip", request.ip)
