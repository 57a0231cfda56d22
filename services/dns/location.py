"""Where clients are, by address, and which of several places is nearest to them.

The table stands for the geolocation data that Route 53 has of the internet. The longest matching network decides.
`scope` tells for which prefix around an address the same entry decides (RFC 7871, 7.2.1), so that a resolver may reuse an answer for
all of it and for no more.
Source: Route 53 developer guide, "How Amazon Route 53 uses EDNS0 to estimate the location of a user" (documented).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from ipaddress import IPv4Address

from services.dns.config import Location, NetworkLocation

UNKNOWN = -1
"""The class of addresses that no network of the table holds."""
_BITS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an address is: the table's entry (`class_`), its location if known, and the prefix length for which this holds."""

    class_: int
    location: Location | None
    scope: int


class LocationTable:
    """Networks and where they are."""

    def __init__(self, entries: tuple[NetworkLocation, ...]) -> None:
        self._entries = entries
        by_length: dict[int, dict[int, int]] = {}
        for index, entry in enumerate(entries):
            by_length.setdefault(entry.network.prefixlen, {})[int(entry.network.network_address)] = index
        self._by_length = tuple(sorted(by_length.items(), reverse=True))  # longest prefix first

    def class_of(self, address: IPv4Address) -> int:
        """Addresses of one class get the same answers."""
        bits = int(address)
        for length, networks in self._by_length:
            index = networks.get(bits >> (_BITS - length) << (_BITS - length))
            if index is not None:
                return index
        return UNKNOWN

    def find(self, address: IPv4Address) -> Place:
        """Where `address` is."""
        class_ = self.class_of(address)
        scope = 0 if class_ == UNKNOWN else self._entries[class_].network.prefixlen
        for entry in self._entries:  # narrow the scope until it holds no other network
            network = entry.network
            if network.prefixlen > scope and address not in network:
                common = _BITS - (int(address) ^ int(network.network_address)).bit_length()
                scope = max(scope, common + 1)
        return Place(class_=class_, location=None if class_ == UNKNOWN else self._entries[class_].location, scope=scope)


def distance(one: Location, other: Location) -> float:
    """The great-circle distance in radians."""
    latitude_1, latitude_2 = math.radians(one.latitude), math.radians(other.latitude)
    longitudes = math.radians(other.longitude - one.longitude)
    half_chord = math.sin((latitude_2 - latitude_1) / 2) ** 2 + math.cos(latitude_1) * math.cos(latitude_2) * math.sin(longitudes / 2) ** 2
    return 2 * math.asin(math.sqrt(min(1.0, half_chord)))
