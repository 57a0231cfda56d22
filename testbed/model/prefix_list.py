"""Managed prefix lists: CIDR blocks under one id, which routes and rules name instead of each block.

A customer's own list, or one that AWS keeps (`owner_id` AWS: S3's and DynamoDB's, which a gateway endpoint's route names).
Source: VPC user guide, "Managed prefix lists", "Customer-managed prefix lists"; CloudFormation, "AWS::EC2::PrefixList" (documented).
NOT MODELLED: versions and sharing of a list; IPv6 lists.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from testbed.model.values import Fault, bounds_faults, id_faults, network, network_faults

AWS = "AWS"
HIGHEST_MAX_ENTRIES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixListEntry:
    """One block of a list."""

    cidr: IPv4Network
    description: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "cidr", network(self.cidr))


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixList:
    """A prefix list of one Region. `max_entries` is what it counts against a quota, however many entries it has."""

    id: str
    region: str
    max_entries: int
    entries: tuple[PrefixListEntry, ...] = ()
    prefix_list_name: str = ""
    owner_id: str = ""
    """Empty: the account's own."""

    def __contains__(self, address: object) -> bool:
        return isinstance(address, IPv4Address) and any(address in entry.cidr for entry in self.entries)

    @property
    def blocks(self) -> tuple[IPv4Network, ...]:
        """The entries' blocks, each once, sorted."""
        return tuple(sorted({entry.cidr for entry in self.entries}))

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the list by itself."""
        return (*id_faults(self.id), *bounds_faults(self.id, "max_entries", self.max_entries, 1, HIGHEST_MAX_ENTRIES), *self._entry_faults())

    def _entry_faults(self) -> Iterator[Fault]:
        for entry in self.entries:
            yield from network_faults(self.id, "cidr", entry.cidr)
        for block, times in Counter(entry.cidr for entry in self.entries).items():
            if times > 1:
                yield Fault(resource=self.id, problem=f"{times} entries have the block {block}", remedy="keep one of them")
        if len(self.entries) > self.max_entries:
            yield Fault(resource=self.id, problem=f"{len(self.entries)} entries, more than max_entries {self.max_entries}", remedy="raise max_entries, or remove entries")
