"""Authoritative answers: what a zone says to a question, for a client somewhere.

    no zone holds the name ─► REFUSED
    below a delegation ─► referral: the child's NS, with glue, not authoritative
    name exists ─┬─ CNAME, another type asked ─► the CNAME, followed as far as this zone knows
                 ├─ type exists ─► its values (in turn), the nearest of them, or those of the alias's target
                 └─ else ─► NODATA
    name does not exist ─┬─ a wildcard covers it ─► as if it existed
                         ├─ names below it exist ─► NODATA (empty non-terminal)
                         └─ else ─► NXDOMAIN

Successes carry the zone's NS set in Authority, NXDOMAIN and NODATA its SOA with the time for which "no" may be remembered: the smaller of the SOA's
minimum and its TTL. Addresses of names in the answer go into Additional where known.

Pure: the order of values comes from `turn`, the client's place from its address. The tables of a zone are made once and never changed.

Sources, Route 53 developer guide (documented where not said otherwise): "NS and SOA records that Amazon Route 53 creates" (NXDOMAIN, NODATA, negative TTL),
"DNS constraints and behaviors" (sections), "DNS domain name format" (wildcards), "Choosing between alias and non-alias records", "Simple routing" (all
values, random order; here they rotate: assumed). That a wildcard stops at an existing name is RFC 4592's rule (assumed). ANY returns every record set (assumed).
NOT MODELLED: DNSSEC, zone transfer (REFUSED).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from dnslib import RD

from services.common.config import ConfigError
from services.dns import config
from services.dns.location import LocationTable, distance
from services.dns.message import CLASS_IN, Answer, ClientSubnet, Name, Question, Rcode, ResourceRecord, Type, format_name, is_under, parse_data, parse_name, type_number

MOST_ALIASES = 8
MOST_CNAMES = 8
MOST_ROTATIONS = 8
_WILDCARD = b"*"
_SOA_MINIMUM = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSet:
    """The values of one name and type, ready to be sent."""

    type: int
    ttl: int
    values: tuple[RD, ...] = ()
    nearest: tuple[tuple[config.Location, RD], ...] = ()
    alias: Name | None = None


Node = dict[int, RecordSet]


class Zone:
    """One zone's tables. Raises ConfigError for a value that cannot be read, or an alias beside values."""

    def __init__(self, source: config.Zone) -> None:
        self.apex = parse_name(source.name)
        self.name = source.name or "."
        self.captures = True
        soa = parse_data("SOA", source.soa)
        self.soa = ResourceRecord(name=self.apex, type=Type.SOA, ttl=source.soa_ttl, data=soa)
        self.negative_soa = replace(self.soa, ttl=min(source.soa_ttl, soa.times[_SOA_MINIMUM]))
        self.nodes: dict[Name, Node] = {}
        self.glue = _load(source.glue)
        for name, node in _load(source.records).items():
            if not is_under(name, self.apex):
                raise ConfigError(f"{format_name(name)}: a record outside its zone {self.name}")
            self.nodes[name] = node
        self.nodes.setdefault(self.apex, {})[Type.SOA] = RecordSet(type=Type.SOA, ttl=source.soa_ttl, values=(soa,))
        self._parents = {ancestor for name in self.nodes if name[:1] != (_WILDCARD,) for ancestor in self._between(name)}

    def delegation(self, name: Name) -> RecordSet | None:
        """The NS set of the topmost delegation at or above `name`."""
        cut = self.cut(name)
        return None if cut is None else self.nodes[cut][Type.NS]

    def cut(self, name: Name) -> Name | None:
        """The topmost name below the apex, at or above `name`, that is delegated."""
        for length in range(len(self.apex) + 1, len(name) + 1):
            ancestor = name[len(name) - length :]
            if Type.NS in self.nodes.get(ancestor, ()) and ancestor[0] != _WILDCARD:
                return ancestor
        return None

    def find(self, name: Name) -> tuple[Node | None, bool]:
        """The records at `name` (empty for an empty non-terminal, None for no such name), and whether a wildcard gave them."""
        if name in self.nodes:
            return self.nodes[name], False
        if name in self._parents:
            return {}, False
        for skip in range(1, len(name) - len(self.apex) + 1):
            ancestor = name[skip:]
            wildcard = self.nodes.get((_WILDCARD, *ancestor))
            if wildcard is not None:
                return {type_: record_set for type_, record_set in wildcard.items() if type_ != Type.NS}, True
            if ancestor in self.nodes or ancestor in self._parents:
                break
        return None, False

    def addresses(self, name: Name) -> Iterator[ResourceRecord]:
        """What is known of the addresses of `name`, for Additional."""
        for node in (self.nodes.get(name), self.glue.get(name)):
            found = [record for type_ in (Type.A, Type.AAAA) if node and type_ in node for record in _records(name, node[type_])]
            if found:
                yield from found
                return

    def _between(self, name: Name) -> Iterator[Name]:
        """The ancestors of `name` below the apex."""
        return (name[skip:] for skip in range(1, len(name) - len(self.apex)))


class Authority:
    """The zones answered together on some listeners. `everything` is all zones of the daemon, in which aliases find their targets."""

    def __init__(self, zones: Iterable[Zone], locations: LocationTable, everything: Iterable[Zone] = ()) -> None:
        self._zones = {zone.apex: zone for zone in zones}
        self._everything = {zone.apex: zone for zone in everything} | self._zones
        self._locations = locations

    def zone_of(self, name: Name) -> Zone | None:
        """The zone with the longest apex that holds `name`."""
        return _closest(self._zones, name)

    def answer(self, question: Question, client: IPv4Address, subnet: ClientSubnet | None = None, turn: int = 0) -> Answer:
        """What `question` is answered for a client (a resolver's address, or whom it asks for). `turn` picks the order of values."""
        zone = self.zone_of(question.name)
        if zone is None or question.class_ != CLASS_IN or question.type in (Type.AXFR, Type.IXFR):
            return Answer(rcode=Rcode.REFUSED, policy="refused")
        network = None if subnet is None else subnet.network
        lookup = _Lookup(zone, self._everything, self._locations, network.network_address if network else client, turn)
        return lookup.answer(question.name, question.type)


class _Lookup:
    """One question on its way through a zone."""

    def __init__(self, zone: Zone, everything: dict[Name, Zone], locations: LocationTable, client: IPv4Address, turn: int) -> None:
        self._zone, self._everything, self._locations, self._client, self._turn = zone, everything, locations, client, turn
        self._scope, self._rotations, self._policy = 0, 1, ""

    def answer(self, name: Name, type_: int) -> Answer:
        zone, answers = self._zone, list[ResourceRecord]()
        seen: set[Name] = set()
        for _ in range(MOST_CNAMES):
            seen.add(name)
            cut = zone.cut(name)
            if cut is not None and not (cut == name and type_ == Type.DS):
                return self._finish(answers) if answers else self._refer(cut)
            node, from_wildcard = zone.find(name)
            if node is None:
                return self._negative(Rcode.NXDOMAIN, answers)
            found = self._select(name, node, type_)
            if from_wildcard and found:
                self._policy = "wildcard"
            if not found:
                return self._negative(Rcode.NOERROR, answers)
            answers.extend(found)
            target = found[0].target if found[0].type == Type.CNAME and type_ not in (Type.CNAME, Type.ANY) else None
            if target is None or target in seen or not is_under(target, zone.apex):
                return self._finish(answers)
            name = target
        return self._finish(answers)

    def _select(self, name: Name, node: Node, type_: int) -> list[ResourceRecord]:
        if type_ == Type.ANY:
            return [record for each in sorted(node) for record in self._values(name, node[each])]
        if Type.CNAME in node and type_ != Type.CNAME:
            type_ = Type.CNAME
        return self._values(name, node[type_]) if type_ in node else []

    def _values(self, name: Name, record_set: RecordSet) -> list[ResourceRecord]:
        """The values as this client sees them, under the name that was asked for."""
        policy = "simple"
        for _ in range(MOST_ALIASES):
            if record_set.alias is None:
                break
            policy = "alias"
            target = _closest(self._everything, record_set.alias)
            node = target.find(record_set.alias)[0] if target else None
            if node is None or record_set.type not in node:
                return []
            record_set = node[record_set.type]
        if record_set.nearest:
            place = self._locations.find(self._client)
            self._scope = max(self._scope, place.scope)
            policy = f"{policy}, nearest" if policy == "alias" else "nearest"
            self._policy = policy
            return [ResourceRecord(name=name, type=record_set.type, ttl=record_set.ttl, data=_nearest(record_set, place.location))]
        self._policy = policy
        count = len(record_set.values)
        self._rotations = max(self._rotations, min(count, MOST_ROTATIONS))
        first = self._turn % count if count else 0
        return list(_records(name, replace(record_set, values=record_set.values[first:] + record_set.values[:first])))

    def _finish(self, answers: list[ResourceRecord]) -> Answer:
        zone = self._zone
        name_servers = () if any(record.type == Type.NS and record.name == zone.apex for record in answers) else self._name_servers(zone.apex)
        return self._answer(Rcode.NOERROR, answers, name_servers, self._policy)

    def _negative(self, rcode: Rcode, answers: list[ResourceRecord]) -> Answer:
        return self._answer(rcode, answers, (self._zone.negative_soa,), "nodata" if rcode is Rcode.NOERROR else "nxdomain")

    def _refer(self, cut: Name) -> Answer:
        return self._answer(Rcode.NOERROR, [], self._name_servers(cut), "delegation", authoritative=False)

    def _name_servers(self, name: Name) -> tuple[ResourceRecord, ...]:
        record_set = self._zone.nodes[name].get(Type.NS)
        return tuple(_records(name, record_set)) if record_set else ()

    def _answer(self, rcode: Rcode, answers: list[ResourceRecord], authorities: tuple[ResourceRecord, ...], policy: str, *, authoritative: bool = True) -> Answer:
        targets = dict.fromkeys(target for record in (*answers, *authorities) if (target := record.target) is not None)
        present = {record.name for record in answers}
        return Answer(
            rcode=rcode,
            answers=tuple(answers),
            authorities=authorities,
            additionals=tuple(record for target in targets if target not in present for record in self._zone.addresses(target)),
            authoritative=authoritative,
            scope=self._scope,
            rotations=self._rotations,
            zone=self._zone.name,
            policy=policy,
        )


def _closest(zones: dict[Name, Zone], name: Name) -> Zone | None:
    return next((zones[name[skip:]] for skip in range(len(name) + 1) if name[skip:] in zones), None)


def _nearest(record_set: RecordSet, location: config.Location | None) -> RD:
    """The value nearest to `location`; the first for a client of whom nothing is known (assumed)."""
    if location is None:
        return record_set.nearest[0][1]
    return min(record_set.nearest, key=lambda each: distance(each[0], location))[1]


def _records(name: Name, record_set: RecordSet) -> Iterator[ResourceRecord]:
    return (ResourceRecord(name=name, type=record_set.type, ttl=record_set.ttl, data=data) for data in record_set.values)


def _load(records: tuple[config.Record, ...]) -> dict[Name, Node]:
    nodes: dict[Name, Node] = {}
    for record in records:
        if (bool(record.values), bool(record.nearest), record.alias is not None).count(True) != 1:
            raise ConfigError(f"{record.name} {record.type}: exactly one of values, nearest and alias")
        values = tuple(parse_data(record.type, value) for value in record.values)
        nearest = tuple((placed.location, parse_data(record.type, placed.value)) for placed in record.nearest)
        number = type_number(record.type)
        node = nodes.setdefault(parse_name(record.name), {})
        if number in node:
            raise ConfigError(f"{record.name} {record.type}: given twice")
        node[number] = RecordSet(type=number, ttl=record.ttl, values=values, nearest=nearest, alias=None if record.alias is None else parse_name(record.alias))
    return nodes

