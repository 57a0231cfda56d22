"""On-premises hosts as places, and what a site's router does with their packets.

    host ─▶ own LAN? at once ─▶ a tunnel whose routes hold the destination ─▶ its gateway      routes known, but no tunnel up ─▶ lost
                             └▶ neither ─▶ the internet, behind the router's public address

NOT MODELLED: sites in the matrix of who reaches whom (`reach`).
Source: as in `model.on_premises_site`; what the router does beside is ours. Hosts of one LAN meet without anybody's judgement.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.model.on_premises_site import OnPremisesSite
from testbed.resolve.resolved import Resolved


@dataclass(frozen=True, slots=True, kw_only=True)
class SitePlace:
    """A host of a site's LAN."""

    node: str
    address: IPv4Address
    site: OnPremisesSite
    public_address: IPv4Address


class Sites:
    """The hosts of all sites, by node, and by address within each site."""

    def __init__(self, resolved: Resolved) -> None:
        self.written = {site.id: site for site in resolved.topology.of(OnPremisesSite)}
        places = [SitePlace(node=node, address=address, site=self.written[site.id], public_address=site.public_address) for site in resolved.sites for node, address in site.hosts]
        self.by_node = {place.node: place for place in places}
        self.routers = {site.public_address: site.node for site in resolved.sites}
        self._hosts = {(place.site.id, place.address): place for place in places}

    def host(self, site_id: str, address: IPv4Address) -> SitePlace | None:
        """The host of a site that has an address."""
        return self._hosts.get((site_id, address))
