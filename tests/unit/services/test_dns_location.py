"""Where clients are, and what is near."""

from ipaddress import ip_address, ip_network

from hypothesis import given, settings
from hypothesis import strategies as st

from services.dns.config import Location, NetworkLocation
from services.dns.location import UNKNOWN, LocationTable, distance

LONDON, FRANKFURT, NEW_YORK = Location(latitude=51.5, longitude=-0.1), Location(latitude=50.1, longitude=8.7), Location(latitude=40.7, longitude=-74.0)
EARTH_KM = 6371


def table(*entries: tuple[str, Location]) -> LocationTable:
    return LocationTable(tuple(NetworkLocation(network=ip_network(network), location=location) for network, location in entries))


def test_the_longest_network_decides():
    locations = table(("198.18.0.0/15", LONDON), ("198.18.7.0/24", NEW_YORK))
    assert locations.find(ip_address("198.18.7.9")).location == NEW_YORK
    assert locations.find(ip_address("198.18.8.9")).location == LONDON


def test_the_scope_holds_no_address_that_another_entry_decides():
    locations = table(("198.18.0.0/15", LONDON), ("198.18.7.0/24", NEW_YORK))
    assert locations.find(ip_address("198.18.7.9")).scope == 24
    assert locations.find(ip_address("198.18.6.9")).scope == 24  # its neighbour is in New York
    assert locations.find(ip_address("198.19.0.1")).scope == 16


def test_an_unknown_address_has_no_location_and_a_class_of_its_own():
    place = table(("198.18.0.0/15", LONDON)).find(ip_address("203.0.113.1"))
    assert (place.location, place.class_) == (None, UNKNOWN)


def test_distance_follows_the_great_circle():
    assert abs(distance(LONDON, NEW_YORK) * EARTH_KM - 5570) < 30
    assert distance(LONDON, FRANKFURT) < distance(LONDON, NEW_YORK)
    assert distance(Location(latitude=0, longitude=179), Location(latitude=0, longitude=-179)) < distance(Location(latitude=0, longitude=0), Location(latitude=0, longitude=3))


networks = st.builds(lambda bits, length: ip_network((bits << 24 >> (32 - length) << (32 - length), length)), st.integers(0, 15), st.integers(4, 8))


@settings(deadline=None, max_examples=60)
@given(entries=st.lists(networks, unique=True, max_size=6), address=st.integers(0, 2**28 - 1), other=st.integers(0, 2**28 - 1))
def test_every_address_within_the_scope_gets_the_same_answer(entries, address, other):
    locations = LocationTable(tuple(NetworkLocation(network=network, location=LONDON) for network in entries))
    place = locations.find(ip_address(address))
    neighbour = address >> (32 - place.scope) << (32 - place.scope) | other & ((1 << 32 - place.scope) - 1)
    assert locations.class_of(ip_address(neighbour)) == place.class_
