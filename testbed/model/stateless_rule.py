"""Stateless rules of AWS Network Firewall: what the first of its two engines looks at, packet by packet, without a memory.

    priority order ─▶ first rule that matches: pass (around the stateful engine) │ drop │ forward_to_sfe ─▶ the stateful engine
    none matches   ─▶ the policy's default actions; a fragment's own ones for fragments

Source: Network Firewall developer guide, "Stateless rule groups in AWS Network Firewall", "Defining rule actions in AWS Network Firewall";
CloudFormation, "AWS::NetworkFirewall::RuleGroup MatchAttributes" (documented).
NOT MODELLED: custom actions (metrics), `TCPFlags`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network

from testbed.model.values import Fault, Packet, PortRange, Protocol, bounds_faults, choice_faults, network, network_faults

PASS, DROP, FORWARD = "aws:pass", "aws:drop", "aws:forward_to_sfe"
STATELESS_ACTIONS = (PASS, DROP, FORWARD)
HIGHEST_PRIORITY = 65535
WITH_PORTS = (Protocol.TCP, Protocol.UDP)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatelessRule:
    """A rule. Sources, destinations, ports and protocols that are left out match everything; the lowest `priority` of its group is asked first."""

    priority: int
    action: str
    sources: tuple[IPv4Network, ...] = ()
    destinations: tuple[IPv4Network, ...] = ()
    source_ports: tuple[PortRange, ...] = ()
    destination_ports: tuple[PortRange, ...] = ()
    protocols: tuple[Protocol, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "sources", tuple(network(block) for block in self.sources))
        object.__setattr__(self, "destinations", tuple(network(block) for block in self.destinations))

    def matches(self, packet: Packet) -> bool:
        """Whether the packet's 5-tuple is the rule's. A later fragment has no ports, so no rule with ports matches it."""
        return (
            (not self.protocols or packet.protocol in self.protocols)
            and (not self.sources or any(packet.source in block for block in self.sources))
            and (not self.destinations or any(packet.destination in block for block in self.destinations))
            and _holds(self.source_ports, packet.source_port)
            and _holds(self.destination_ports, packet.destination_port)
        )

    def faults(self, group_id: str) -> Iterator[Fault]:
        """What is wrong with the rule by itself."""
        name = f"{group_id}#{self.priority}"
        yield from bounds_faults(name, "priority", self.priority, 1, HIGHEST_PRIORITY)
        yield from choice_faults(name, "action", self.action, STATELESS_ACTIONS)
        for field, blocks in (("sources", self.sources), ("destinations", self.destinations)):
            for block in blocks:
                yield from network_faults(name, field, block)
        for ports in (*self.source_ports, *self.destination_ports):
            if not ports.is_valid:
                yield Fault(resource=name, problem=f"ports {ports.first}-{ports.last} are no range", remedy="use a range within 0-65535, the lower port first")
        if (self.source_ports or self.destination_ports) and not (self.protocols and set(self.protocols) <= set(WITH_PORTS)):
            yield Fault(resource=name, problem="has ports, and protocols that have none", remedy="name TCP, UDP or both in protocols, or leave the ports out")


def _holds(ranges: tuple[PortRange, ...], port: int | None) -> bool:
    return not ranges or (port is not None and any(port in each for each in ranges))
