"""Traffic mirroring: copies of what an interface receives and sends, in VXLAN, to another interface.

A session joins a source interface, a filter and a target; the filter's rules are tried by ascending number, each for one direction, and what no rule accepts is not
mirrored. An interface may have several sessions: a packet goes to the one with the lowest number whose filter accepts it.

Source: VPC Traffic Mirroring guide, "Traffic mirror packet format", "Traffic mirroring limitations", "Traffic mirror filters" (documented).
NOT MODELLED: targets behind a Network or Gateway Load Balancer; network services (Amazon DNS) as a filter's extra.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network

from testbed.model.network_acl import Direction
from testbed.model.values import ANYWHERE, Fault, PortRange, Protocol, Verdict, bounds_faults, id_faults, network, network_faults

HIGHEST_RULE_NUMBER = HIGHEST_SESSION_NUMBER = 32766
HIGHEST_VNI = (1 << 24) - 1
LONGEST_PACKET_BYTES = 8947


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficMirrorTarget:
    """Where copies go: an interface, which has to admit UDP 4789."""

    id: str
    network_interface_id: str

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the target by itself."""
        return tuple(id_faults(self.id))


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficMirrorFilterRule:
    """One rule, for what the source receives (INBOUND) or sends (OUTBOUND). `protocol` ANY and port ranges None match everything."""

    rule_number: int
    traffic_direction: Direction
    rule_action: Verdict = Verdict.ALLOW
    protocol: Protocol = Protocol.ANY
    source_cidr_block: IPv4Network = ANYWHERE
    destination_cidr_block: IPv4Network = ANYWHERE
    source_port_range: PortRange | None = None
    destination_port_range: PortRange | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "source_cidr_block", network(self.source_cidr_block))
        object.__setattr__(self, "destination_cidr_block", network(self.destination_cidr_block))


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficMirrorFilter:
    """What is copied: without rules, nothing."""

    id: str
    rules: tuple[TrafficMirrorFilterRule, ...] = ()

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the filter by itself."""
        found = [*id_faults(self.id)]
        used: set[tuple[Direction, int]] = set()
        for rule in self.rules:
            name = f"{self.id}#{rule.rule_number}"
            found += [*bounds_faults(name, "rule_number", rule.rule_number, 1, HIGHEST_RULE_NUMBER)]
            found += [*network_faults(name, "source_cidr_block", rule.source_cidr_block), *network_faults(name, "destination_cidr_block", rule.destination_cidr_block)]
            if (rule.traffic_direction, rule.rule_number) in used:
                found.append(Fault(resource=name, problem=f"{rule.traffic_direction.value} rule number used twice", remedy="number each direction's rules differently"))
            used.add((rule.traffic_direction, rule.rule_number))
        return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficMirrorSession:
    """Copies of `network_interface_id`'s packets. `packet_length` None copies them whole, else so many bytes after the VXLAN header; `virtual_network_id` is the VNI."""

    id: str
    network_interface_id: str
    traffic_mirror_target_id: str
    traffic_mirror_filter_id: str
    session_number: int = 1
    virtual_network_id: int = 1
    packet_length: int | None = None

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the session by itself."""
        found = [*id_faults(self.id), *bounds_faults(self.id, "session_number", self.session_number, 1, HIGHEST_SESSION_NUMBER), *bounds_faults(self.id, "virtual_network_id", self.virtual_network_id, 0, HIGHEST_VNI)]
        if self.packet_length is not None:
            found += bounds_faults(self.id, "packet_length", self.packet_length, 1, LONGEST_PACKET_BYTES)
        return tuple(found)
