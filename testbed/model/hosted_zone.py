"""Route 53 hosted zones, public and private, and their record sets.

How an answer is built is the daemon's: `services/dns`. Source: Route 53 developer guide, "NS and SOA records that Amazon Route 53
creates for a public hosted zone", "Choosing between alias and non-alias records", "Supported DNS record types" (documented).
NOT MODELLED yet: routing policies other than simple, health checks.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from testbed.model.values import Fault, choice_faults, id_faults

RECORD_TYPES = ("A", "AAAA", "CAA", "CNAME", "MX", "NS", "PTR", "SPF", "SRV", "TXT")
DOMAIN_NAME = re.compile(r"(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)+")
WILDCARD = "*."


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSet:
    """A simple record (`resource_records` and `ttl`) or an alias (`alias_target`: the id of a distribution, load balancer or accelerator, or a record name of the same zone)."""

    name: str
    type: str
    ttl: int | None = None
    resource_records: tuple[str, ...] = ()
    alias_target: str | None = None

    def faults(self, zone: HostedZone) -> Iterator[Fault]:
        """What is wrong with the record set within its zone."""
        name = f"{zone.id} {self.name} {self.type}"
        yield from choice_faults(name, "type", self.type, RECORD_TYPES)
        if self.name != zone.name and not self.name.endswith(f".{zone.name}"):
            yield Fault(resource=name, problem=f"the name is outside the zone {zone.name}", remedy=f"end it in .{zone.name}, or put it into another zone")
        elif not is_domain_name(self.name.removeprefix(WILDCARD)):
            yield Fault(resource=name, problem="not a domain name", remedy="write it in lower case, labels joined by dots, without a final dot")
        if self.type == "CNAME" and self.name == zone.name:
            yield Fault(resource=name, problem="a CNAME at the zone apex", remedy="use an alias record of type A instead")
        if self.alias_target is None:
            yield from self._simple_faults(name)
        elif self.ttl is not None or self.resource_records:
            yield Fault(resource=name, problem="an alias with a TTL or values of its own", remedy="leave out ttl and resource_records: an alias has its target's")

    def _simple_faults(self, name: str) -> Iterator[Fault]:
        if not self.resource_records:
            yield Fault(resource=name, problem="neither values nor an alias target", remedy="give resource_records and ttl, or alias_target")
            return
        if self.ttl is None or not 0 <= self.ttl <= 2147483647:
            yield Fault(resource=name, problem="a simple record needs a TTL", remedy="give ttl in seconds, such as 300")
        if self.type == "CNAME" and len(self.resource_records) > 1:
            yield Fault(resource=name, problem="a CNAME with several values", remedy="keep one value")
        if self.type in ("A", "AAAA"):
            parse, family = (IPv4Address, "IPv4") if self.type == "A" else (IPv6Address, "IPv6")
            for value in self.resource_records:
                if not _parses(parse, value):
                    yield Fault(resource=name, problem=f"value {value!r} is not an {family} address", remedy="write an address, or use a CNAME or an alias for a name")


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedZone:
    """A public zone, to whose name servers the registrar points its name; or a private one, which only the resolvers of `vpcs` know."""

    id: str
    name: str
    vpcs: tuple[str, ...] = ()
    record_sets: tuple[RecordSet, ...] = ()

    @property
    def is_private(self) -> bool:
        return bool(self.vpcs)

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the zone by itself, record by record, then across records."""
        return (
            *id_faults(self.id),
            *self._name_faults(),
            *(fault for record in self.record_sets for fault in record.faults(self)),
            *self._faults_across_records(),
        )

    def _name_faults(self) -> Iterator[Fault]:
        if not is_domain_name(self.name):
            yield Fault(resource=self.id, problem=f"{self.name!r} is not a domain name", remedy="write it in lower case with at least two labels: example.com")

    def _faults_across_records(self) -> Iterator[Fault]:
        for (name, record_type), times in Counter((record.name, record.type) for record in self.record_sets).items():
            if times > 1:
                yield Fault(resource=f"{self.id} {name} {record_type}", problem=f"{times} record sets of one name and type", remedy="put all values into one record set")
        for name in sorted({record.name for record in self.record_sets if record.type == "CNAME"}):
            others = sorted({record.type for record in self.record_sets if record.name == name and record.type != "CNAME"})
            if others and name != self.name:
                problem = f"a CNAME beside {', '.join(others)} of the same name"
                yield Fault(resource=f"{self.id} {name} CNAME", problem=problem, remedy="a name with a CNAME has no other records: remove them, or use an alias")


def is_domain_name(name: str) -> bool:
    """Whether this is a host's or domain's name of at least two labels, in lower case, without the final dot; an address is none."""
    return DOMAIN_NAME.fullmatch(name) is not None and not name.rpartition(".")[2].isdigit()


def _parses(parse: type[IPv4Address] | type[IPv6Address], value: str) -> bool:
    try:
        parse(value)
    except AddressValueError:
        return False
    return True
