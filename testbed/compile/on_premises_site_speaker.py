"""A site's BGP speaker: the router tells its LAN to AWS over every connection that speaks BGP, and sends by the best: the lowest metric that its administrator gave.

Private addresses that no connection leads to are not sent to the internet instead: they vanish here.
Source: Site-to-Site VPN user guide, "Your customer gateway device"; Direct Connect user guide, "Routing policies and BGP communities" (documented).
"""

from __future__ import annotations

from ipaddress import IPv4Network

from services.bgp.config import Neighbour, Originated, Table
from testbed.compile import bgp_speaker, public_virtual_interface, transit_gateway_connect, virtual_interface, vpn_connection
from testbed.compile.fragment import Fragment, NodePart
from testbed.plan import MAIN_TABLE, Route, RouteType
from testbed.resolve.resolved import Resolved, ResolvedSite

TABLE = "site"
PUBLIC_TABLE = "site-public"
"""The site's public prefixes: told over public virtual interfaces only."""
LAST_RESORT_METRIC = 9001
CONNECT_METRIC = 50
"""Of what Connect peers tell: before the bare fibre that carries them."""
MOST_PATHS = 16
PRIVATE = tuple(IPv4Network(block) for block in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))


def lower(site: ResolvedSite, resolved: Resolved) -> Fragment:
    """The speaker of a site's router, if it has anybody to speak with."""
    private, public = site_neighbours(site, resolved), public_virtual_interface.site_neighbours(site, resolved, table=TABLE, told_from=PUBLIC_TABLE)
    neighbours = (*private, *public)
    if not neighbours:
        return Fragment()
    announced = {site.network} | {prefix.prefix for neighbour in private for prefix in neighbour.advertise.prefixes or ()}
    originated = (*(Originated(prefix=prefix, table=TABLE) for prefix in sorted(announced)), *public_virtual_interface.originated(site, resolved, table=PUBLIC_TABLE))
    tables = (Table(name=TABLE, kernel=MAIN_TABLE, paths=MOST_PATHS), *((Table(name=PUBLIC_TABLE),) if public else ()))
    asn = next(neighbour.local_asn for neighbour in neighbours if neighbour.local_asn is not None)
    services = bgp_speaker.speaker(
        site.node, asn, tables=tables, neighbours=neighbours, originated=originated, origin=site.id
    )
    routes = tuple(Route(destination=block, type=RouteType.BLACKHOLE, metric=LAST_RESORT_METRIC, origin=f"{site.node}: private addresses do not leave by the internet") for block in PRIVATE)
    return Fragment(nodes=(NodePart(name=site.node, routes=routes),), services=services)


def site_neighbours(site: ResolvedSite, resolved: Resolved) -> tuple[Neighbour, ...]:
    """The sessions of the site's router with AWS's private side."""
    return (
        *virtual_interface.site_neighbours(site, resolved, table=TABLE),
        *vpn_connection.site_neighbours(site, resolved, table=TABLE),
        *transit_gateway_connect.appliance_neighbours(site.node, resolved, table=TABLE, metric=CONNECT_METRIC),
    )
