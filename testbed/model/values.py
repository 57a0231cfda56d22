"""The small words every resource speaks: addresses, packets, ports, verdicts, faults, and where a verdict came from.

`address`, `network` and `interface` normalise what a topology file holds: a string becomes an `ipaddress` object;
a string that is none stays a string, so that a value with a mistake can be built and its `faults()` can name it.
Host bits in a CIDR are dropped silently, as AWS does (VPC user guide, "VPC CIDR blocks"; documented).
"""

from __future__ import annotations

import enum
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from ipaddress import IPv4Address, IPv4Network, ip_address, ip_network
from typing import cast

ANYWHERE = IPv4Network("0.0.0.0/0")
SMALLEST_PREFIX, LARGEST_PREFIX = 16, 28
"""VPCs and subnets are /16 to /28 (VPC user guide, "VPC CIDR blocks", "Subnet CIDR blocks"; documented)."""
HIGHEST_PROTOCOL = 255
NODE_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")


class Protocol(enum.IntEnum):
    """IANA protocol numbers that AWS rules name; ANY is AWS's own -1. ``Protocol(50)`` is any other number from 0 to 255: equal numbers are one object."""

    ANY = -1
    ICMP = 1
    TCP = 6
    UDP = 17

    @classmethod
    def _missing_(cls, value: object) -> Protocol | None:
        if not isinstance(value, int) or not 0 <= value <= HIGHEST_PROTOCOL:
            return None
        member = int.__new__(cls, value)
        member._name_, member._value_ = f"PROTOCOL_{value}", value
        return cast(Protocol, cls._value2member_map_.setdefault(value, member))


class Verdict(enum.Enum):
    ALLOW = "allow"
    DENY = "deny"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One mistake in a topology: the resource, what is wrong, and what to do about it."""

    resource: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.resource}: {self.problem} (remedy: {self.remedy})"


@dataclass(frozen=True, slots=True, kw_only=True)
class PortRange:
    """Inclusive range of TCP or UDP ports."""

    first: int = 0
    last: int = 65535

    @property
    def is_valid(self) -> bool:
        return 0 <= self.first <= self.last <= 65535

    def __contains__(self, port: int) -> bool:
        return self.first <= port <= self.last


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """The header fields that AWS rules look at. Ports are None where the protocol has none or the packet is a later fragment."""

    source: IPv4Address
    destination: IPv4Address
    protocol: Protocol
    source_port: int | None = None
    destination_port: int | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A verdict and the rule that gave it, as users name it: ``acl-web#100``."""

    verdict: Verdict
    origin: str


def address(value: IPv4Address | str | None) -> IPv4Address | str | None:
    """`value` as an address if it is one, else unchanged."""
    if isinstance(value, str):
        try:
            parsed = ip_address(value)
        except ValueError:
            return value
        return parsed if isinstance(parsed, IPv4Address) else value
    return value


def network(value: IPv4Network | str) -> IPv4Network | str:
    """`value` as a network, host bits dropped, if it is one, else unchanged."""
    if isinstance(value, str):
        try:
            parsed = ip_network(value, strict=False)
        except ValueError:
            return value
        return parsed if isinstance(parsed, IPv4Network) else value
    return value


def network_faults(resource: str, name: str, value: object) -> Iterable[Fault]:
    """The fault of a CIDR field that holds no IPv4 CIDR."""
    if not isinstance(value, IPv4Network):
        yield Fault(resource=resource, problem=f"{name} {value!r} is not an IPv4 CIDR block", remedy="write it as 10.0.0.0/16")


def block_faults(resource: str, name: str, value: object) -> Iterable[Fault]:
    """The faults of a VPC's or subnet's CIDR block: no CIDR at all, or of a size that AWS refuses."""
    yield from network_faults(resource, name, value)
    if isinstance(value, IPv4Network) and not SMALLEST_PREFIX <= value.prefixlen <= LARGEST_PREFIX:
        problem = f"{name} {value} has a /{value.prefixlen} netmask"
        yield Fault(resource=resource, problem=problem, remedy=f"choose a block size between a /{SMALLEST_PREFIX} and a /{LARGEST_PREFIX} netmask")


def id_faults(resource: str) -> Iterable[Fault]:
    """The fault of an id that cannot be a node's name in the lab: it is a host name as well."""
    if not NODE_NAME.fullmatch(resource):
        yield Fault(resource=resource, problem="the id cannot be the name of a node", remedy="use lower-case letters, digits and hyphens, a letter first, at most 63 in all")


def did_you_mean(value: str, known: Collection[str]) -> str:
    """A remedy for a name that nobody has: the most alike that exists, else all of them if they are few."""
    alike = get_close_matches(value, sorted(known), n=1)
    if alike:
        return f"did you mean {alike[0]}?"
    return f"use one of {', '.join(sorted(known))}" if known else "there is none in this topology: add it"


def unknown_faults(resource: str, name: str, value: str, known: Collection[str]) -> Iterable[Fault]:
    """The fault of a name that is not among those known."""
    if value not in known:
        yield Fault(resource=resource, problem=f"{name} {value!r} is not known", remedy=did_you_mean(value, known))


def bounds_faults(resource: str, name: str, value: float, lowest: float, highest: float) -> Iterable[Fault]:
    """The fault of a number outside its inclusive bounds."""
    if not lowest <= value <= highest:
        yield Fault(resource=resource, problem=f"{name} {value} is out of bounds", remedy=f"use a number from {lowest} to {highest}")


def choice_faults(resource: str, name: str, value: str, allowed: tuple[str, ...]) -> Iterable[Fault]:
    """The fault of a word that AWS does not know in this place, or that is not modelled."""
    if value not in allowed:
        yield Fault(resource=resource, problem=f"{name} {value!r} is not one of the allowed values", remedy=f"use {' or '.join(allowed)}")


def address_faults(resource: str, name: str, value: object) -> Iterable[Fault]:
    """The fault of an address field that holds neither None nor an IPv4 address."""
    if value is not None and not isinstance(value, IPv4Address):
        yield Fault(resource=resource, problem=f"{name} {value!r} is not an IPv4 address", remedy="write it as 10.0.0.10, or leave it out to get a free one")
