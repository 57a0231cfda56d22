"""Where a packet on the internet meets Shield Standard, by AWS's documents: at the edge locations and before whatever has a public address in a VPC.

Source: AWS Shield developer guide, "AWS Shield Standard overview" (all AWS customers, always on), "Mitigation logic for CloudFront and Route 53", "Mitigation logic for AWS Regions"
(documented). The walk is of one packet, so floods are not its business: a packet of a flood is as good as any (`model.shield_standard`).
"""

from __future__ import annotations

from testbed.model.internet import Internet
from testbed.model.shield_standard import evaluate
from testbed.model.values import Packet, Verdict
from testbed.resolve.resolved import Resolved


class ShieldStandard:
    """What protects this lab's public addresses."""

    def __init__(self, resolved: Resolved) -> None:
        self._is_on = all(internet.shield_standard for internet in resolved.topology.of(Internet))
        self._edges = {edge.address for edge in resolved.edges} | {server.address for server in resolved.route53_servers if resolved.edges}
        self._resolvers = {city.resolver for city in resolved.cities}

    def refusal_at_edge(self, packet: Packet) -> str:
        """Why an edge location does not get the packet, empty if it does or the packet is not for one."""
        if packet.destination not in self._edges:
            return ""
        return self._refusal(packet, at_edge=True, asked=packet.source in self._resolvers)

    def refusal_at_gateway(self, packet: Packet) -> str:
        """Why what has the public address does not get the packet, empty if it does."""
        return self._refusal(packet, at_edge=False)

    def _refusal(self, packet: Packet, *, at_edge: bool, asked: bool = False) -> str:
        if not self._is_on:
            return ""
        decision = evaluate(packet, at_edge=at_edge, asked=asked)
        return decision.origin if decision.verdict is Verdict.DENY else ""
