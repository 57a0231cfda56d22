"""What AWS Network Firewall says of a packet at one of its endpoints, as far as addresses, ports and protocol decide; from the resources as written.

    larger than 8500 bytes? ─▶ stateless engine ─▶ flow known here? ─▶ passed before, or the rules for its direction ─▶ on from the endpoint's subnet
                                                     └─ no, and it is no beginning: dropped (stream exception policy)

A rule that looks into what a flow carries, such as a list of domains, decides later packets than the one that is asked about: then the hop says that it is the firewall who will be asked.
Each endpoint knows the flows that it has seen, and no other's. Source: Network Firewall developer guide, "Stateless and stateful rules engines", "Stream exception policy options",
"Firewall policy settings" (documented); that its endpoints drop what is larger than 8500 bytes: assumed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from testbed.model.firewall_policy import FirewallPolicy, RuleOf, evaluate_stateful, evaluate_stateless, ordered
from testbed.model.network_firewall import MTU_BYTES, NetworkFirewall
from testbed.model.rule_group import RuleGroup
from testbed.model.stateless_rule import DROP, FORWARD, PASS
from testbed.model.topology import Topology
from testbed.model.values import Packet, Protocol, Verdict
from testbed.model.vpc import Vpc
from testbed.oracle.memory import Memory
from testbed.oracle.path_mtu import Size
from testbed.oracle.walk import Hop, Stage, reply_to

ASKS = "asks the firewall"
"""In the origin of a hop after which rules look into what the flow carries."""


class Firewalls:
    """The firewalls of a topology."""

    def __init__(self, topology: Topology) -> None:
        groups = {group.id: group for group in topology.of(RuleGroup)}
        policies = {policy.id: policy for policy in topology.of(FirewallPolicy)}
        blocks = {vpc.id: vpc.cidr_blocks for vpc in topology.of(Vpc)}
        self._policies: dict[str, FirewallPolicy] = {}
        self._stateless: dict[str, tuple[RuleGroup, ...]] = {}
        self._rules: dict[str, tuple[RuleOf, ...]] = {}
        for firewall in topology.of(NetworkFirewall):
            policy = policies[firewall.firewall_policy_arn]
            self._policies[firewall.id] = policy
            self._stateless[firewall.id] = ordered(policy.stateless_rule_group_references, groups)
            self._rules[firewall.id] = tuple(
                RuleOf(group=group.id, rule=rule, variables=group.variables(blocks[firewall.vpc_id]))
                for group in ordered(policy.stateful_rule_group_references, groups)
                for rule in group.rules()
            )

    def judge(self, firewall: str, endpoint: str, packet: Packet, size: Size, memory: Memory, *, begins: bool) -> Iterator[Hop]:
        """What is said of a packet at the endpoint with this node's name; the last hop decides. `begins`: it is the first of its flow, not an answer."""

        def hop(verdict: Verdict, origin: str) -> Hop:
            return Hop(where=endpoint, stage=Stage.NETWORK_FIREWALL, verdict=verdict, origin=origin, packet=packet)

        if not size.fits(MTU_BYTES):
            yield hop(Verdict.DENY, f"{firewall}: larger than {MTU_BYTES} bytes, and not to be cut")
            return
        action, origin = self._stateless_action(firewall, packet, is_fragmented=size.is_fragmented)
        if action == DROP:
            yield hop(Verdict.DENY, origin)
            return
        yield hop(Verdict.ALLOW, f"{origin} {action}")
        if action == FORWARD:
            yield self._stateful(firewall, endpoint, hop, packet, memory, begins=begins)

    def _stateless_action(self, firewall: str, packet: Packet, *, is_fragmented: bool) -> tuple[str, str]:
        """Of a packet in pieces the first has ports and the others none: it arrives if all of them do."""
        policy, groups = self._policies[firewall], self._stateless[firewall]
        pieces = (packet, replace(packet, source_port=None, destination_port=None)) if is_fragmented else (packet,)
        said = [evaluate_stateless(policy, groups, piece, is_fragment=is_fragmented) for piece in pieces]
        return min(said, key=lambda each: (DROP, FORWARD, PASS).index(each[0]))

    def _stateful(self, firewall: str, endpoint: str, hop: Callable[[Verdict, str], Hop], packet: Packet, memory: Memory, *, begins: bool) -> Hop:
        policy, known = self._policies[firewall], memory.firewalled.get((endpoint, packet))
        if known == PASS:
            return hop(Verdict.ALLOW, f"{policy.id}: the flow was passed before")
        if known is None and not begins and packet.protocol is Protocol.TCP:
            return hop(Verdict.DENY, f"{policy.id} stream exception policy: {endpoint} has not seen the flow begin")
        decision = evaluate_stateful(policy, self._rules[firewall], packet, is_reply=known is not None and not begins)
        if decision.verdict is Verdict.DENY:
            return hop(Verdict.DENY, decision.origin)
        for each in (packet, reply_to(packet)):
            memory.firewalled[endpoint, each] = PASS if decision.passes_flow else FORWARD
        asks = f"{policy.id} {ASKS}: {', '.join(decision.asked)}" if decision.asked else decision.origin
        return hop(Verdict.ALLOW, asks)
