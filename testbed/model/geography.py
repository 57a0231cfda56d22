"""Where things are: cities, Regions and edge locations, and how long light in fibre takes between them.

Coordinates are city centres. A Region's city is the one that AWS names it after or the nearest known (documented in part, else assumed).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

EARTH_RADIUS_KM = 6371.0
FIBRE_KM_PER_MS = 200.0
"""Light in glass covers about two thirds of its speed in vacuum."""


@dataclass(frozen=True, slots=True, kw_only=True)
class City:
    """A city; `latitude` and `longitude` in degrees, north and east positive; `country` and `continent` by ISO and Route 53 codes."""

    name: str
    latitude: float
    longitude: float
    country: str
    continent: str


def _city(name: str, latitude: float, longitude: float, country: str, continent: str) -> City:
    return City(name=name, latitude=latitude, longitude=longitude, country=country, continent=continent)


CITIES = {
    city.name: city
    for city in (
        _city("Amsterdam", 52.37, 4.90, "NL", "EU"),
        _city("Ashburn", 39.04, -77.49, "US", "NA"),
        _city("Cape Town", -33.92, 18.42, "ZA", "AF"),
        _city("Dublin", 53.35, -6.26, "IE", "EU"),
        _city("Frankfurt", 50.11, 8.68, "DE", "EU"),
        _city("Johannesburg", -26.20, 28.05, "ZA", "AF"),
        _city("London", 51.51, -0.13, "GB", "EU"),
        _city("Los Angeles", 34.05, -118.24, "US", "NA"),
        _city("Madrid", 40.42, -3.70, "ES", "EU"),
        _city("Milan", 45.46, 9.19, "IT", "EU"),
        _city("Montreal", 45.50, -73.57, "CA", "NA"),
        _city("Mumbai", 19.08, 72.88, "IN", "AS"),
        _city("New York", 40.71, -74.01, "US", "NA"),
        _city("Paris", 48.86, 2.35, "FR", "EU"),
        _city("Portland", 45.52, -122.68, "US", "NA"),
        _city("San Francisco", 37.77, -122.42, "US", "NA"),
        _city("Sao Paulo", -23.55, -46.63, "BR", "SA"),
        _city("Seoul", 37.57, 126.98, "KR", "AS"),
        _city("Singapore", 1.35, 103.82, "SG", "AS"),
        _city("Stockholm", 59.33, 18.07, "SE", "EU"),
        _city("Sydney", -33.87, 151.21, "AU", "OC"),
        _city("Tokyo", 35.68, 139.69, "JP", "AS"),
    )
}

REGIONS = {
    "af-south-1": "Cape Town",
    "ap-northeast-1": "Tokyo",
    "ap-northeast-2": "Seoul",
    "ap-south-1": "Mumbai",
    "ap-southeast-1": "Singapore",
    "ap-southeast-2": "Sydney",
    "ca-central-1": "Montreal",
    "eu-central-1": "Frankfurt",
    "eu-north-1": "Stockholm",
    "eu-south-1": "Milan",
    "eu-south-2": "Madrid",
    "eu-west-1": "Dublin",
    "eu-west-2": "London",
    "eu-west-3": "Paris",
    "sa-east-1": "Sao Paulo",
    "us-east-1": "Ashburn",
    "us-west-1": "San Francisco",
    "us-west-2": "Portland",
}

EDGE_LOCATIONS = {
    "AMS": "Amsterdam",
    "ARN": "Stockholm",
    "BOM": "Mumbai",
    "CDG": "Paris",
    "CPT": "Cape Town",
    "DUB": "Dublin",
    "FRA": "Frankfurt",
    "GRU": "Sao Paulo",
    "IAD": "Ashburn",
    "ICN": "Seoul",
    "JFK": "New York",
    "JNB": "Johannesburg",
    "LAX": "Los Angeles",
    "LHR": "London",
    "MAD": "Madrid",
    "MXP": "Milan",
    "NRT": "Tokyo",
    "SFO": "San Francisco",
    "SIN": "Singapore",
    "SYD": "Sydney",
    "YUL": "Montreal",
}


def distance_km(a: City, b: City) -> float:
    """Great-circle distance by the haversine formula, in kilometres."""
    lat_a, lat_b = math.radians(a.latitude), math.radians(b.latitude)
    half = math.sin((lat_b - lat_a) / 2) ** 2 + math.cos(lat_a) * math.cos(lat_b) * math.sin(math.radians(b.longitude - a.longitude) / 2) ** 2
    return 2 * EARTH_RADIUS_KM * math.asin(math.sqrt(half))


def round_trip_ms(a: City, b: City) -> float:
    """There and back over fibre along the great circle, in milliseconds."""
    return 2 * distance_km(a, b) / FIBRE_KM_PER_MS
