"""Faults of on-premises sites across resources: names and public addresses that meet, more sites in a city than it has addresses for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from ipaddress import IPv4Address

from testbed.model.geography import CITIES
from testbed.model.internet import User
from testbed.model.on_premises_site import OnPremisesSite
from testbed.model.values import Fault
from testbed.resolve.interfaces import Wanted
from testbed.resolve.on_premises_sites import LAST_SITE_HOST
from testbed.resolve.references import References
from testbed.resolve.world import FIRST_USER_HOST


def faults(references: References, _: tuple[Wanted, ...]) -> Iterator[Fault]:
    """Node names, public addresses, and the room of a city."""
    sites = references.topology.of(OnPremisesSite)
    owners = Counter(host.id for site in sites for host in site.hosts)
    for site in sites:
        for host in site.hosts:
            if references.named(host.id) is not None or owners[host.id] > len([own for own in site.hosts if own.id == host.id]):
                yield Fault(resource=host.id, problem="the id belongs to something else as well", remedy=f"choose another id for {site.id}'s host")
        if references.named(site.router) is not None:
            yield Fault(resource=site.router, problem=f"the id is the name of {site.id}'s router", remedy="choose another id")
    public = Counter(site.public_ip for site in sites if isinstance(site.public_ip, IPv4Address))
    for address, count in public.items():
        if count > 1:
            yield Fault(resource=str(address), problem=f"the public_ip of {count} sites", remedy="give each site an address of its own")
    for city, count in Counter(site.city for site in sites).items():
        users = sum(user.city == city for user in references.topology.of(User))
        if city in CITIES and users + count > LAST_SITE_HOST - FIRST_USER_HOST:
            yield Fault(resource=references.topology.name, problem=f"{users} users and {count} sites in {city}", remedy="a city has too few addresses for that: move some to another")
