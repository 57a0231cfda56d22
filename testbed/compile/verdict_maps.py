"""Rules as interval maps: one look-up decides, however many there are, and leads to the chain of the rule that decided.

    (remote address, protocol, port)     TCP and UDP
    (remote address, type, code)         ICMP
    (remote address, protocol)           everything else

Rules that overlap are cut into disjoint boxes first (see `boxes`), each protocol in a space of its own.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network

from testbed.compile.boxes import LAST_ADDRESS, LAST_KEY, Box
from testbed.model.values import ANYWHERE, Protocol
from testbed.plan import NftMap, NftRule

PORTS = ((Protocol.TCP, "tcp"), (Protocol.UDP, "udp"))
LAST_PROTOCOL, LAST_ICMP = 255, 255
OTHER = "other"
"""The space of protocols without ports, ICMP aside: a box's key is the protocol's number."""

Cut = Callable[[Iterable[Box]], tuple[Box, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """What one rule matches: remote address ranges, a protocol number (None: every protocol) and spans of keys in its space (None: all). `chain` is where it leads."""

    chain: str
    ranges: tuple[tuple[int, int], ...]
    protocol: int | None = None
    keys: tuple[tuple[int, int], ...] | None = None


@lru_cache(maxsize=4096)
def look_ups(name: str, remote: str, matches: tuple[Match, ...], cut: Cut) -> tuple[tuple[NftMap, ...], tuple[NftRule, ...]]:
    """Maps named after `name` and the rules that look `remote` (``saddr`` or ``daddr``) up in them; what is in no map falls through.

    Remembered, so that a live change cuts again only what it concerns.
    """
    found = (
        (_ports_map(name, matches, cut), f"meta l4proto {{ tcp, udp }} ip {remote} . meta l4proto . th dport"),
        (_icmp_map(name, matches, cut), f"meta l4proto icmp ip {remote} . icmp type . icmp code"),
        (_other_map(name, matches, cut), f"ip {remote} . meta l4proto"),
    )
    used = tuple((nft_map, key) for nft_map, key in found if nft_map.elements)
    return tuple(nft_map for nft_map, _ in used), tuple(NftRule(statement=f"{key} vmap @{nft_map.name}") for nft_map, key in used)


def icmp_keys(icmp_type: int | None, code: int | None) -> tuple[tuple[int, int], ...] | None:
    """The keys of an ICMP type and code, None meaning any."""
    if code is None:
        return None if icmp_type is None else ((icmp_type << 8, icmp_type << 8 | LAST_ICMP),)
    types = range(LAST_ICMP + 1) if icmp_type is None else (icmp_type,)
    return tuple((t << 8 | code, t << 8 | code) for t in types)


def network_range(network: IPv4Network) -> tuple[int, int]:
    """First and last address."""
    first = int(network.network_address)
    return first, first | LAST_ADDRESS >> network.prefixlen


def _ports_map(name: str, matches: tuple[Match, ...], cut: Cut) -> NftMap:
    elements = tuple(
        (f"{_addresses(box)} . {word} . {_span(box.first_key, box.last_key)}", f"goto {box.decider}") for protocol, word in PORTS for box in cut(_boxes(matches, protocol))
    )
    return NftMap(name=f"ports.{name}", type="ipv4_addr . inet_proto . inet_service", value_type="verdict", flags=("interval",), elements=elements)


def _icmp_map(name: str, matches: tuple[Match, ...], cut: Cut) -> NftMap:
    elements = tuple(
        (f"{_addresses(box)} . {_span(*types)} . {_span(*codes)}", f"goto {box.decider}")
        for box in cut(_boxes(matches, Protocol.ICMP))
        for types, codes in types_and_codes(box.first_key, box.last_key)
    )
    return NftMap(name=f"icmp.{name}", type="ipv4_addr . icmp_type . icmp_code", value_type="verdict", flags=("interval",), elements=elements)


def _other_map(name: str, matches: tuple[Match, ...], cut: Cut) -> NftMap:
    elements = tuple((f"{_addresses(box)} . {_span(box.first_key, box.last_key)}", f"goto {box.decider}") for box in cut(_boxes(matches, OTHER)))
    return NftMap(name=f"other.{name}", type="ipv4_addr . inet_proto", value_type="verdict", flags=("interval",), elements=elements)


def _boxes(matches: tuple[Match, ...], space: Protocol | str) -> Iterator[Box]:
    for match in matches:
        for first_key, last_key in _keys(match, space):
            for first, last in match.ranges:
                yield Box(first_address=first, last_address=last, first_key=first_key, last_key=last_key, decider=match.chain)


def _keys(match: Match, space: Protocol | str) -> tuple[tuple[int, int], ...]:
    """The keys that a rule matches in one protocol's space, none if it does not speak of it."""
    if match.protocol is None:
        return ((0, LAST_PROTOCOL),) if space == OTHER else ((0, LAST_KEY),)
    if match.protocol not in (Protocol.TCP, Protocol.UDP, Protocol.ICMP):
        return ((match.protocol, match.protocol),) if space == OTHER else ()
    if space != match.protocol:
        return ()
    return ((0, LAST_KEY),) if match.keys is None else match.keys


def types_and_codes(first: int, last: int) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """A range of ``type << 8 | code`` as rectangles over types and codes."""
    while first <= last:
        icmp_type, code = divmod(first, LAST_ICMP + 1)
        whole_types = (last + 1) // (LAST_ICMP + 1) - icmp_type
        if code == 0 and whole_types > 0:
            yield (icmp_type, icmp_type + whole_types - 1), (0, LAST_ICMP)
            first = (icmp_type + whole_types) << 8
        else:
            end = min(last, icmp_type << 8 | LAST_ICMP)
            yield (icmp_type, icmp_type), (code, end & LAST_ICMP)
            first = end + 1


def _addresses(box: Box) -> str:
    """A range of addresses as nft writes it: a CIDR where it is one."""
    if (box.first_address, box.last_address) == (0, LAST_ADDRESS):
        return str(ANYWHERE)
    size = box.last_address - box.first_address + 1
    first = _address(box.first_address)
    if size == 1:
        return first
    if size & (size - 1) == 0 and box.first_address % size == 0:
        return f"{first}/{33 - size.bit_length()}"
    return f"{first}-{_address(box.last_address)}"


def _address(number: int) -> str:
    return socket.inet_ntoa(number.to_bytes(4, "big"))


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"
