"""The BGP speaker of a city: sessions with AWS's routers at Direct Connect locations, with Global Accelerator's edge locations, and with other cities."""

from __future__ import annotations

from testbed.compile import accelerator_speaker, bgp_speaker, public_virtual_interface
from testbed.compile.fragment import Fragment
from testbed.model.virtual_interface import AMAZON
from testbed.resolve.resolved import Resolved, ResolvedCity


def lower(city: ResolvedCity, resolved: Resolved) -> Fragment:
    """One speaker for all nouns whose sessions end in the city; nothing where there are none."""
    public, anycast = public_virtual_interface.city_neighbours(city, resolved), accelerator_speaker.city_neighbours(city, resolved)
    tables = (*(public_virtual_interface.CITY_TABLES if public else ()), *(accelerator_speaker.city_tables(resolved) if anycast else ()))
    asn = AMAZON if public else accelerator_speaker.asn(city)
    return Fragment(services=bgp_speaker.speaker(city.node, asn, tables=tables, neighbours=(*public, *anycast), origin=f"AWS in {city.city.name}"))
