"""What a VPC's fabric answers by itself: Amazon DNS, instance metadata, time. Neither security groups nor network ACLs filter it.

Source: VPC user guide, "Compare security groups and network ACLs", "DNS attributes for your VPC"; EC2 user guide, "Use IMDS", "Set the time" (documented).
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.model.values import Packet, Protocol
from testbed.model.vpc import Vpc

RESOLVER_HOST = 2
LINK_LOCAL_RESOLVER = IPv4Address("169.254.169.253")
INSTANCE_METADATA = IPv4Address("169.254.169.254")
TIME_SYNC = IPv4Address("169.254.169.123")


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service and the one port it answers on."""

    name: str
    protocols: tuple[Protocol, ...]
    port: int

    def answers(self, packet: Packet) -> bool:
        """Whether the packet asks this service (anything else to its address is lost; assumed)."""
        return packet.protocol in self.protocols and packet.destination_port == self.port


AMAZON_DNS = Service(name="AmazonProvidedDNS", protocols=(Protocol.UDP, Protocol.TCP), port=53)
METADATA = Service(name="instance metadata", protocols=(Protocol.TCP,), port=80)
TIME = Service(name="Amazon Time Sync", protocols=(Protocol.UDP,), port=123)


def service_at(address: IPv4Address, vpc: Vpc) -> Service | None:
    """The service at an address as seen from a VPC; its resolver only with `enable_dns_support`."""
    if address == INSTANCE_METADATA:
        return METADATA
    if address == TIME_SYNC:
        return TIME
    if vpc.enable_dns_support and (address == LINK_LOCAL_RESOLVER or int(address) - int(vpc.cidr_block.network_address) == RESOLVER_HOST):
        return AMAZON_DNS
    return None
