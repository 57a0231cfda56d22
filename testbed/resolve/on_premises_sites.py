"""Sites with every address chosen: the router's on the internet, .1 on the LAN, the hosts' from .10.

A site's public address is one of its city's network, from .254 downward in the order of ids (users count upward from .10).
"""

from __future__ import annotations

from ipaddress import IPv4Address

from testbed.model.on_premises_site import OnPremisesSite
from testbed.model.topology import Topology
from testbed.resolve.resolved import ResolvedCity, ResolvedSite

LAST_SITE_HOST = 254
FIRST_LAN_HOST = 10


def sites(topology: Topology, cities: tuple[ResolvedCity, ...]) -> tuple[ResolvedSite, ...]:
    """All sites, by id."""
    networks = {resolved.city.name: resolved.network for resolved in cities}
    counts: dict[str, int] = {}
    found = []
    for site in topology.of(OnPremisesSite):
        index = counts.get(site.city, 0)
        counts[site.city] = index + 1
        found.append(
            ResolvedSite(
                id=site.id,
                node=site.router,
                city=site.city,
                network=site.cidr_block,
                gateway=site.cidr_block[1],
                public_address=site.public_ip or networks[site.city][LAST_SITE_HOST - index],
                reverse_path_filter=site.reverse_path_filter,
                hosts=_hosts(site),
            )
        )
    return tuple(found)


def _hosts(site: OnPremisesSite) -> tuple[tuple[str, IPv4Address], ...]:
    taken = {host.private_ip_address for host in site.hosts}
    small = site.cidr_block.num_addresses <= 2 * FIRST_LAN_HOST
    first = 2 if small else FIRST_LAN_HOST
    free = (address for number in range(first, site.cidr_block.num_addresses - 1) if (address := site.cidr_block[number]) not in taken)
    return tuple(sorted((host.id, host.private_ip_address or next(free)) for host in site.hosts))
