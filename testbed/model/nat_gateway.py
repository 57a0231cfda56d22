"""NAT gateways: outward port translation for private subnets, one per Availability Zone.

Source: VPC user guide, "NAT gateways", "NAT gateway basics", "Troubleshoot NAT gateways"; CloudFormation, "AWS::EC2::NatGateway" (documented).
NOT MODELLED: NAT64 (comes with IPv6), regional NAT gateways (one id for all zones: no part of this testbed yet), the 5 to 100 Gbit/s and packets/s at which AWS drops.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.model.values import Fault, Packet, Protocol, address, address_faults, bounds_faults, choice_faults, id_faults

PUBLIC, PRIVATE = "public", "private"
CONNECTIONS_PER_DESTINATION = 55_000
FIRST_PORT, LAST_PORT = 1024, 65535
IDLE_TIMEOUT_S = 350
MTU_BYTES = 8500
MOST_ADDRESSES = 8
TRANSLATED = frozenset((Protocol.TCP, Protocol.UDP, Protocol.ICMP))
FRAGMENTS_FORWARDED = frozenset((Protocol.UDP,))


@dataclass(frozen=True, slots=True, kw_only=True)
class NatGateway:
    """A NAT gateway with its private address in `subnet_id`.

    A public one (`connectivity_type`) needs `allocation_id`, the Elastic IP to which the internet gateway maps that address; a private one has none, so an
    internet gateway drops what comes from it. Up to seven secondary addresses, each with as many connections again: `secondary_allocation_ids` of a
    public one (each gets a private address of its own), `secondary_private_ip_addresses` of a private one.
    `connections_per_destination` is AWS's limit for each address and each (destination address, port, protocol); a lab may lower it to see it reached.
    """

    id: str
    subnet_id: str
    allocation_id: str | None = None
    connectivity_type: str = PUBLIC
    private_ip_address: IPv4Address | None = None
    secondary_allocation_ids: tuple[str, ...] = ()
    secondary_private_ip_addresses: tuple[IPv4Address, ...] = ()
    connections_per_destination: int = CONNECTIONS_PER_DESTINATION

    def __post_init__(self) -> None:
        object.__setattr__(self, "private_ip_address", address(self.private_ip_address))
        object.__setattr__(self, "secondary_private_ip_addresses", tuple(address(a) for a in self.secondary_private_ip_addresses))

    @property
    def allocations(self) -> tuple[str, ...]:
        """All Elastic IPs, the first address's first."""
        return ((self.allocation_id,) if self.allocation_id is not None else ()) + self.secondary_allocation_ids

    @property
    def secondary_count(self) -> int:
        """How many addresses it has beside the first."""
        return max(len(self.secondary_allocation_ids), len(self.secondary_private_ip_addresses))

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the gateway by itself."""
        return (
            *id_faults(self.id),
            *address_faults(self.id, "private_ip_address", self.private_ip_address),
            *(fault for each in self.secondary_private_ip_addresses for fault in address_faults(self.id, "secondary_private_ip_addresses", each)),
            *choice_faults(self.id, "connectivity_type", self.connectivity_type, (PUBLIC, PRIVATE)),
            *bounds_faults(self.id, "connections_per_destination", self.connections_per_destination, 1, CONNECTIONS_PER_DESTINATION),
            *self._allocation_faults(),
        )

    def _allocation_faults(self) -> Iterator[Fault]:
        if self.connectivity_type == PUBLIC and self.allocation_id is None:
            yield Fault(resource=self.id, problem="a public NAT gateway needs an Elastic IP address", remedy='give allocation_id, or connectivity_type="private"')
        if self.connectivity_type == PRIVATE and self.allocations:
            yield Fault(resource=self.id, problem="an Elastic IP address cannot be associated with a private NAT gateway", remedy="leave the allocation out")
        if 1 + self.secondary_count > MOST_ADDRESSES:
            yield Fault(resource=self.id, problem=f"{1 + self.secondary_count} addresses", remedy=f"a NAT gateway has {MOST_ADDRESSES} at most: add another gateway")
        if self.connectivity_type == PUBLIC and len(self.secondary_private_ip_addresses) > len(self.secondary_allocation_ids):
            yield Fault(resource=self.id, problem="a secondary private address without an Elastic IP", remedy="give a secondary_allocation_ids entry for each of them")


def evaluate(gateway: NatGateway, packet: Packet, *, is_fragment: bool) -> str | None:
    """Why the gateway does not translate a packet from inside, or None if it does. Fragments are looked at before they are put together.

    Source: VPC user guide, "Compare NAT gateways and NAT instances", "NAT gateway basics" (documented).
    """
    if packet.protocol not in TRANSLATED:
        return f"{gateway.id} translates TCP, UDP and ICMP only"
    if is_fragment and packet.protocol not in FRAGMENTS_FORWARDED:
        return f"{gateway.id} drops fragments of TCP and ICMP"
    return None
