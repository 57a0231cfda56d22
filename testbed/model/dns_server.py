"""A customer's own DNS server: on a host of an on-premises site, or on an instance.

It answers for its own domain, asks others for the domains that it forwards (a VPC's names from an inbound endpoint), and resolves everything else.
The machines of a site ask the site's servers; those of a VPC do if its DHCP options say so. Source: RFC 1034; the server is ours (`services/dns`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.model.hosted_zone import HostedZone, RecordSet, is_domain_name
from testbed.model.values import Fault, address, address_faults


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionalForwarder:
    """Names of `domain` are asked of `targets`."""

    domain: str
    targets: tuple[IPv4Address, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "targets", tuple(address(target) for target in self.targets))


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsServer:
    """A DNS server on the machine `host_id`, the master of `domain` (``corp.example``) with these records."""

    id: str
    host_id: str
    domain: str
    record_sets: tuple[RecordSet, ...] = ()
    forwarders: tuple[ConditionalForwarder, ...] = ()

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the server by itself."""
        return (*HostedZone(id=self.id, name=self.domain, record_sets=self.record_sets).faults(), *self._own_faults())

    def _own_faults(self) -> Iterator[Fault]:
        for record in self.record_sets:
            if record.alias_target is not None:
                yield Fault(resource=f"{self.id} {record.name} {record.type}", problem="an alias, which only Route 53 has", remedy="give resource_records, or a CNAME")
        for forwarder in self.forwarders:
            if not is_domain_name(forwarder.domain) and not is_domain_name(f"x.{forwarder.domain}"):
                yield Fault(resource=self.id, problem=f"forwarder {forwarder.domain!r} is not a domain name", remedy="write it in lower case without a final dot")
            if not forwarder.targets:
                yield Fault(resource=self.id, problem=f"forwarder {forwarder.domain} has no target", remedy="name the addresses of an inbound endpoint")
            for target in forwarder.targets:
                yield from address_faults(self.id, f"forwarder {forwarder.domain}", target)
