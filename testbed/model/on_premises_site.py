"""On-premises sites: an office or data centre with a LAN, its hosts, and a router, which is the customer gateway device of a VPN or of Direct Connect.

    host ─┐
    host ─┤ LAN (`cidr_block`, .1 is the router) ── router-<site> ── public address in `city`
    host ─┘

The router forwards between the LAN and whatever AWS connections end on it. It hides the LAN behind its public address on the internet.
Source: Site-to-Site VPN user guide, "Your customer gateway device" (documented); the site's inside is ours.
NOT MODELLED: a second router, VLANs inside the site, a firewall on the router.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from testbed.model.geography import CITIES
from testbed.model.values import Fault, address, address_faults, choice_faults, id_faults, network, network_faults, unknown_faults

LARGEST_LAN, SMALLEST_LAN = 8, 29
RPF_OFF, RPF_LOOSE, RPF_STRICT = "off", "loose", "strict"


@dataclass(frozen=True, slots=True, kw_only=True)
class OnPremisesHost:
    """A machine on a site's LAN; `private_ip_address` None takes the next free one from .10."""

    id: str
    private_ip_address: IPv4Address | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "private_ip_address", address(self.private_ip_address))


@dataclass(frozen=True, slots=True, kw_only=True)
class OnPremisesSite:
    """A site in a city of `geography.CITIES`. `public_ip` is its router's address on the internet; None takes one of the city.

    `reverse_path_filter` is the router's: ``strict`` drops what comes by another interface than the one that leads back to its source (RFC 3704).
    """

    id: str
    city: str
    cidr_block: IPv4Network
    hosts: tuple[OnPremisesHost, ...] = ()
    public_ip: IPv4Address | None = None
    reverse_path_filter: str = RPF_OFF

    def __post_init__(self) -> None:
        object.__setattr__(self, "cidr_block", network(self.cidr_block))
        object.__setattr__(self, "public_ip", address(self.public_ip))

    @property
    def router(self) -> str:
        """The name of the router's node."""
        return f"router-{self.id}"

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the site by itself."""
        return (
            *id_faults(self.id),
            *unknown_faults(self.id, "city", self.city, CITIES),
            *network_faults(self.id, "cidr_block", self.cidr_block),
            *address_faults(self.id, "public_ip", self.public_ip),
            *choice_faults(self.id, "reverse_path_filter", self.reverse_path_filter, (RPF_OFF, RPF_LOOSE, RPF_STRICT)),
            *(fault for host in self.hosts for fault in (*id_faults(host.id), *address_faults(host.id, "private_ip_address", host.private_ip_address))),
            *self._lan_faults(),
        )

    def _lan_faults(self) -> Iterator[Fault]:
        for host_id, count in Counter(host.id for host in self.hosts).items():
            if count > 1:
                yield Fault(resource=self.id, problem=f"{count} hosts are called {host_id}", remedy="give each host an id of its own")
        if not isinstance(self.cidr_block, IPv4Network):
            return
        if not LARGEST_LAN <= self.cidr_block.prefixlen <= SMALLEST_LAN:
            yield Fault(resource=self.id, problem=f"cidr_block {self.cidr_block} has a /{self.cidr_block.prefixlen} netmask", remedy=f"use a LAN from a /{LARGEST_LAN} to a /{SMALLEST_LAN}")
            return
        taken = {self.cidr_block[0]: "the network itself", self.cidr_block[1]: "the router", self.cidr_block[-1]: "the broadcast address"}
        if len(self.hosts) > self.cidr_block.num_addresses - len(taken):
            yield Fault(resource=self.id, problem=f"{len(self.hosts)} hosts on a /{self.cidr_block.prefixlen}", remedy="choose a larger cidr_block")
        for host in self.hosts:
            if not isinstance(host.private_ip_address, IPv4Address):
                continue
            if host.private_ip_address not in self.cidr_block:
                yield Fault(resource=host.id, problem=f"private_ip_address {host.private_ip_address} is outside {self.id}'s {self.cidr_block}", remedy="choose an address of the LAN")
            elif host.private_ip_address in taken:
                yield Fault(resource=host.id, problem=f"private_ip_address {host.private_ip_address} belongs to {taken[host.private_ip_address]}", remedy="choose another address of the LAN")
            taken.setdefault(host.private_ip_address, host.id)
