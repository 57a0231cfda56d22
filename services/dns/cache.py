"""What a resolver remembers: answers, refusals to answer ("no such name"), and which servers answer for which zone.

Time is an argument, in seconds of any steady clock. What is found has its TTLs counted down to that moment and is gone once they end.

- An answer is kept per name and type, and per client network if the server said that it holds only for that (RFC 7871, 7.3).
- NXDOMAIN is kept per name for all types, NODATA per name and type, for the TTL of the SOA that came along or its minimum if that is less (RFC 2308, 5);
  without SOA not at all.
- Delegations are kept apart, with their glue: glue leads to servers, it never answers a client (RFC 2181, 5.4.1).

Invariants: at most `capacity` entries of each kind; the oldest leave first. NOT MODELLED: prefetch, answers served after their end (RFC 8767).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network

from services.dns.message import ROOT, Name, Rcode, ResourceRecord, Type

LONGEST_S = 7 * 86400
LONGEST_NEGATIVE_S = 3 * 3600
_ANY_TYPE = -1
_EVERYONE = IPv4Network("0.0.0.0/0")
_SOA_MINIMUM = 4
_Key = tuple[Name, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known about a name and type: `records`, or, if there are none, why (`rcode`, `soa`). `scope` is the prefix length that it holds for."""

    rcode: Rcode = Rcode.NOERROR
    records: tuple[ResourceRecord, ...] = ()
    soa: ResourceRecord | None = None
    scope: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegation:
    """The servers of a zone: their names, and the addresses that came as glue."""

    zone: Name
    servers: tuple[Name, ...] = ()
    addresses: tuple[tuple[Name, IPv4Address], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    known: Known
    since: float
    until: float


class Cache:
    """A resolver's memory."""

    def __init__(self, capacity: int = 20_000) -> None:
        self._capacity = capacity
        self._answers: dict[_Key, dict[IPv4Network, _Kept]] = {}
        self._delegations: dict[Name, tuple[Delegation, float]] = {}

    def __len__(self) -> int:
        return len(self._answers)

    def keep(self, name: Name, type_: int, known: Known, now: float, network: IPv4Network | None = None) -> None:
        """Remember `known` for `network` (None: for everyone), for as long as its TTLs say."""
        if known.records:
            ttl = min(min(record.ttl for record in known.records), LONGEST_S)
        elif known.soa is not None:
            ttl = min(known.soa.ttl, known.soa.data.times[_SOA_MINIMUM], LONGEST_NEGATIVE_S)
        else:
            return
        if ttl <= 0:
            return
        if known.soa is not None:
            known = replace(known, soa=replace(known.soa, ttl=ttl))
        key = (name, _ANY_TYPE if known.rcode is Rcode.NXDOMAIN else type_)
        by_network = self._answers.pop(key, {})
        by_network[network or _EVERYONE] = _Kept(known=known, since=now, until=now + ttl)
        if len(by_network) > self._capacity:
            del by_network[next(iter(by_network))]
        self._answers[key] = by_network
        if len(self._answers) > self._capacity:
            del self._answers[next(iter(self._answers))]

    def find(self, name: Name, type_: int, client: IPv4Address, now: float) -> Known | None:
        """What is known for `client`: the type itself, an alias (CNAME) of the name, or that there is nothing."""
        types = (type_, Type.CNAME, _ANY_TYPE) if type_ != Type.CNAME else (type_, _ANY_TYPE)
        for each in types:
            kept = self._alive((name, each), client, now)
            if kept is not None and (each != Type.CNAME or type_ == Type.CNAME or kept.known.records):
                return _aged(kept, now)
        return None

    def keep_delegation(self, delegation: Delegation, ttl: int, now: float) -> None:
        """Remember who answers for a zone."""
        self._delegations.pop(delegation.zone, None)
        if ttl > 0:
            self._delegations[delegation.zone] = (delegation, now + min(ttl, LONGEST_S))
        if len(self._delegations) > self._capacity:
            del self._delegations[next(iter(self._delegations))]

    def delegation(self, name: Name, now: float) -> Delegation | None:
        """The nearest known delegation at or above `name`, None if only the root is left."""
        for skip in range(len(name)):
            found = self._delegations.get(name[skip:])
            if found is not None and found[1] > now:
                return found[0]
        found = self._delegations.get(ROOT)
        return found[0] if found is not None and found[1] > now else None

    def _alive(self, key: _Key, client: IPv4Address, now: float) -> _Kept | None:
        by_network = self._answers.get(key)
        if by_network is None:
            return None
        for network in [network for network, kept in by_network.items() if kept.until <= now]:
            del by_network[network]
        if not by_network:
            del self._answers[key]
            return None
        return max(((network.prefixlen, kept) for network, kept in by_network.items() if client in network), key=lambda each: each[0], default=(0, None))[1]


def _aged(kept: _Kept, now: float) -> Known:
    elapsed = int(now - kept.since)
    known = kept.known
    return replace(
        known,
        records=tuple(_count_down(known.records, elapsed)),
        soa=None if known.soa is None else replace(known.soa, ttl=max(0, known.soa.ttl - elapsed)),
    )


def _count_down(records: Iterable[ResourceRecord], elapsed: int) -> Iterable[ResourceRecord]:
    return (replace(record, ttl=max(0, record.ttl - elapsed)) for record in records)
