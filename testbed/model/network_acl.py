"""Network ACLs: the stateless filter at a subnet's border.

Decides, for one packet crossing the border in one direction, whether it passes. It keeps no memory of flows: a reply is
judged like any other packet, so whoever opens a port inward must open the callers' ephemeral ports outward.

Entries are tried by ascending number; the first match decides; when none matches, ``*`` denies.
Traffic between two hosts of one subnet never comes here: `packet_walk` asks only where a border is crossed.

Invariants: the order of `entries` carries no meaning; a value with a user's mistake can be built, and `faults()` tells all of them.

Source: VPC user guide, "Network ACLs" (documented). Limits: "Amazon VPC quotas" (documented).
NOT MODELLED: IPv6 entries.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network

from testbed.model.values import HIGHEST_PROTOCOL, Decision, Fault, Packet, PortRange, Protocol, Verdict, network, network_faults

HIGHEST_RULE_NUMBER = 32766
DEFAULT_RULE = "*"
ANY_PROTOCOL, ANY_ICMP = -1, -1
HIGHEST_ICMP = 255


class Direction(enum.Enum):
    """As seen from the subnet: INBOUND enters it, OUTBOUND leaves it."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkAclEntry:
    """One numbered rule. `cidr_block` is the far side: the source inbound, the destination outbound.

    `port_range` restricts the destination port of TCP and UDP, None meaning all; `icmp_type` and `icmp_code` likewise for ICMP, where
    -1 means all too. `protocol` may be any IANA number: ``Protocol(50)``, or just 50.
    """

    rule_number: int
    direction: Direction
    rule_action: Verdict
    cidr_block: IPv4Network
    protocol: Protocol = Protocol.ANY
    port_range: PortRange | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "cidr_block", network(self.cidr_block))
        if isinstance(self.protocol, int) and ANY_PROTOCOL <= self.protocol <= HIGHEST_PROTOCOL:
            object.__setattr__(self, "protocol", Protocol(self.protocol))
        for field in ("icmp_type", "icmp_code"):
            if getattr(self, field) == ANY_ICMP:
                object.__setattr__(self, field, None)

    def faults(self, acl_id: str) -> Iterator[Fault]:
        """What is wrong with this entry by itself."""
        name = f"{acl_id}#{self.rule_number}"
        yield from network_faults(name, "cidr_block", self.cidr_block)
        if not isinstance(self.protocol, Protocol):
            yield Fault(resource=name, problem=f"protocol {self.protocol!r} is not known", remedy="use Protocol.TCP, UDP or ICMP, a number from 0 to 255, or -1 for all")
            return
        if not 1 <= self.rule_number <= HIGHEST_RULE_NUMBER:
            yield Fault(resource=name, problem="rule number out of range", remedy=f"use a number from 1 to {HIGHEST_RULE_NUMBER}")
        if self.port_range is not None and self.protocol not in (Protocol.TCP, Protocol.UDP):
            yield Fault(resource=name, problem=f"a port range with protocol {self.protocol.name}", remedy="name TCP or UDP, or drop the ports")
        if self.port_range is not None and not self.port_range.is_valid:
            yield Fault(resource=name, problem="port range out of order or bounds", remedy="use 0-65535, lowest first")
        yield from self._icmp_faults(name)

    def _icmp_faults(self, name: str) -> Iterator[Fault]:
        given = [value for value in (self.icmp_type, self.icmp_code) if value is not None]
        if given and self.protocol is not Protocol.ICMP:
            yield Fault(resource=name, problem=f"an ICMP type with protocol {self.protocol.name}", remedy="name ICMP, or drop icmp_type and icmp_code")
        elif self.icmp_type is None and self.icmp_code is not None:
            yield Fault(resource=name, problem="an ICMP code without a type", remedy="name the type in icmp_type, or use -1 for both")
        elif not all(0 <= value <= HIGHEST_ICMP for value in given):
            yield Fault(resource=name, problem="ICMP type or code out of bounds", remedy="use 0-255, or -1 for all")

    def matches(self, packet: Packet) -> bool:
        """Whether every condition of the rule holds. Packets come here reassembled (assumed; see `packet_walk`)."""
        far_side = packet.source if self.direction is Direction.INBOUND else packet.destination
        if far_side not in self.cidr_block:
            return False
        if self.protocol is Protocol.ANY:
            return True
        if packet.protocol is not self.protocol:
            return False
        if self.port_range is not None:
            return packet.destination_port is not None and packet.destination_port in self.port_range
        return self.icmp_type in (None, packet.icmp_type) and self.icmp_code in (None, packet.icmp_code)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkAcl:
    """A subnet's ACL; one may serve several subnets, a subnet has exactly one. `associations` are subnet ids."""

    id: str
    vpc_id: str
    entries: tuple[NetworkAclEntry, ...] = ()
    associations: tuple[str, ...] = ()

    def faults(self) -> tuple[Fault, ...]:
        """Everything wrong with the ACL by itself, entry by entry, then across entries."""
        times_used = Counter((entry.direction, entry.rule_number) for entry in self.entries)
        return (
            *(fault for entry in self.entries for fault in entry.faults(self.id)),
            *(
                Fault(resource=f"{self.id}#{number}", problem=f"{direction.value} rule number used {times} times", remedy="number each direction's rules differently")
                for (direction, number), times in times_used.items()
                if times > 1
            ),
        )

    def in_order(self, direction: Direction) -> tuple[NetworkAclEntry, ...]:
        """The direction's entries as they are tried: by ascending rule number."""
        return tuple(sorted((e for e in self.entries if e.direction is direction), key=lambda e: e.rule_number))

    def evaluate(self, packet: Packet, direction: Direction) -> Decision:
        """The verdict on one packet crossing the border, and the entry that gave it."""
        for entry in self.in_order(direction):
            if entry.matches(packet):
                return Decision(verdict=entry.rule_action, origin=f"{self.id}#{entry.rule_number}")
        return Decision(verdict=Verdict.DENY, origin=f"{self.id}#{DEFAULT_RULE}")
