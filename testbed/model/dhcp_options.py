"""DHCP option sets: what a VPC tells its instances of names and time. A VPC without one has its Region's default set.

Source: VPC user guide, "DHCP option sets in Amazon VPC" (documented). What runs in an instance sees them in its resolv.conf.
NOT MODELLED: `ntp_servers` reach no program (a host's clock is the machine's); NetBIOS options (nothing here speaks it).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.model.values import Fault, address, address_faults, id_faults

AMAZON_PROVIDED_DNS = "AmazonProvidedDNS"
MOST_SERVERS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class DhcpOptions:
    """An option set. `domain_name_servers` are addresses, or ``AmazonProvidedDNS``: the VPC's own resolver. `domain_name` may hold several, separated by spaces."""

    id: str
    domain_name: str | None = None
    domain_name_servers: tuple[IPv4Address | str, ...] = (AMAZON_PROVIDED_DNS,)
    ntp_servers: tuple[IPv4Address, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "domain_name_servers", tuple(address(server) for server in self.domain_name_servers))
        object.__setattr__(self, "ntp_servers", tuple(address(server) for server in self.ntp_servers))

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the set by itself."""
        own = (server for server in self.domain_name_servers if server != AMAZON_PROVIDED_DNS)
        return (
            *id_faults(self.id),
            *(fault for server in own for fault in address_faults(self.id, "domain_name_servers", server)),
            *(fault for server in self.ntp_servers for fault in address_faults(self.id, "ntp_servers", server)),
            *self._count_faults(),
        )

    def _count_faults(self) -> Iterator[Fault]:
        for name, servers in (("domain_name_servers", self.domain_name_servers), ("ntp_servers", self.ntp_servers)):
            if len(servers) > MOST_SERVERS:
                yield Fault(resource=self.id, problem=f"{len(servers)} {name}", remedy=f"give {MOST_SERVERS} at most")
        if AMAZON_PROVIDED_DNS in self.domain_name_servers and len(self.domain_name_servers) > 1:
            yield Fault(resource=self.id, problem=f"{AMAZON_PROVIDED_DNS} beside other name servers", remedy=f"give {AMAZON_PROVIDED_DNS} alone, or addresses")


def default_domain_name(region: str) -> str:
    """The domain that a Region's default option set gives."""
    return "ec2.internal" if region == "us-east-1" else f"{region}.compute.internal"
