"""Firewall policies of AWS Network Firewall: which rule groups judge a packet, in which order, and what becomes of it where none does.

    stateless groups by priority ─▶ their rules by priority ─▶ default actions (fragments have their own)
        │ aws:pass: around the stateful engine    │ aws:drop        │ aws:forward_to_sfe
                                                                    ▼
    DEFAULT_ACTION_ORDER   all pass rules, then drop, reject, alert; nothing matches: it passes
    STRICT_ORDER           groups by priority, rules as written; nothing matches: the stateful default actions

`evaluate_stateless` and `evaluate_stateful` are both engines as far as a 5-tuple decides; what looks deeper is `asked` of Suricata.
Source: Network Firewall developer guide, "Firewall policy settings in AWS Network Firewall", "Managing evaluation order for Suricata compatible rules in AWS Network Firewall",
"Stream exception policy options"; CloudFormation, "AWS::NetworkFirewall::FirewallPolicy" (documented). That a flow which a rule has passed goes on in both directions is Suricata's and documented.
Assumed: `aws:drop_established` looks at what carries data, of TCP; of other protocols at what answers and what follows.
NOT MODELLED: policy variables, custom actions, managed rule groups, stream exception policy CONTINUE and REJECT.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from testbed.model.rule_group import DEFAULT_ACTION_ORDER, STRICT_ORDER, RuleGroup
from testbed.model.stateful_rule import ALERT, DROP, PASS, REJECT, StatefulRule, Variables
from testbed.model.stateless_rule import FORWARD, STATELESS_ACTIONS
from testbed.model.values import Fault, Packet, Verdict, bounds_faults, choice_faults, id_faults

DROP_STRICT, DROP_ESTABLISHED, ALERT_STRICT, ALERT_ESTABLISHED = "aws:drop_strict", "aws:drop_established", "aws:alert_strict", "aws:alert_established"
STATEFUL_DEFAULT_ACTIONS = (DROP_STRICT, DROP_ESTABLISHED, ALERT_STRICT, ALERT_ESTABLISHED)
ACTION_ORDER = (PASS, DROP, REJECT, ALERT)
HIGHEST_PRIORITY = 65535


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleGroupReference:
    """A group in a policy. The lowest `priority` is asked first; stateful groups have one in strict order only."""

    resource_arn: str
    priority: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FirewallPolicy:
    """A policy. `rule_order` is its stateful engine's; `stateful_default_actions` are for strict order."""

    id: str
    stateless_default_actions: str = FORWARD
    stateless_fragment_default_actions: str = FORWARD
    stateless_rule_group_references: tuple[RuleGroupReference, ...] = ()
    stateful_rule_group_references: tuple[RuleGroupReference, ...] = ()
    rule_order: str = DEFAULT_ACTION_ORDER
    stateful_default_actions: tuple[str, ...] = ()

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the policy by itself."""
        return (
            *id_faults(self.id),
            *choice_faults(self.id, "stateless_default_actions", self.stateless_default_actions, STATELESS_ACTIONS),
            *choice_faults(self.id, "stateless_fragment_default_actions", self.stateless_fragment_default_actions, STATELESS_ACTIONS),
            *choice_faults(self.id, "rule_order", self.rule_order, (DEFAULT_ACTION_ORDER, STRICT_ORDER)),
            *(fault for action in self.stateful_default_actions for fault in choice_faults(self.id, "stateful_default_actions", action, STATEFUL_DEFAULT_ACTIONS)),
            *self._order_faults(),
        )

    def _order_faults(self) -> Iterator[Fault]:
        strict = self.rule_order == STRICT_ORDER
        for reference in (*self.stateless_rule_group_references, *(self.stateful_rule_group_references if strict else ())):
            if reference.priority is None:
                yield Fault(resource=self.id, problem=f"{reference.resource_arn} has no priority", remedy="give it one: the lowest is asked first")
            else:
                yield from bounds_faults(self.id, f"{reference.resource_arn} priority", reference.priority, 1, HIGHEST_PRIORITY)
        for references in (self.stateless_rule_group_references, self.stateful_rule_group_references):
            for priority, times in Counter(reference.priority for reference in references if reference.priority is not None).items():
                if times > 1:
                    yield Fault(resource=self.id, problem=f"{times} groups have priority {priority}", remedy="give each group a priority of its own")
        if not strict:
            if any(reference.priority is not None for reference in self.stateful_rule_group_references):
                yield Fault(resource=self.id, problem="stateful groups have priorities, and the order is by action", remedy=f'leave them out, or use rule_order="{STRICT_ORDER}"')
            if self.stateful_default_actions:
                yield Fault(resource=self.id, problem="stateful_default_actions without strict order", remedy=f'leave them out, or use rule_order="{STRICT_ORDER}"')
        if {DROP_STRICT, DROP_ESTABLISHED} <= set(self.stateful_default_actions):
            yield Fault(resource=self.id, problem="both drop actions in stateful_default_actions", remedy="choose one of them")


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleOf:
    """A stateful rule with its group, by which users name it, and what variables stand for there."""

    group: str
    rule: StatefulRule
    variables: Variables

    @property
    def name(self) -> str:
        return f"{self.group}#{self.rule.sid}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StatefulDecision:
    """What the stateful engine says of the first packet in one direction. `passes_flow`: nothing of the flow is looked at any more. `asked`: groups and default actions that look deeper later on."""

    verdict: Verdict
    origin: str
    passes_flow: bool = False
    asked: tuple[str, ...] = ()


def ordered(references: Iterable[RuleGroupReference], groups: Mapping[str, RuleGroup]) -> tuple[RuleGroup, ...]:
    """The groups that exist, in the order in which they are asked."""
    by_priority = sorted(references, key=lambda reference: reference.priority or 0)
    return tuple(groups[reference.resource_arn] for reference in by_priority if reference.resource_arn in groups)


def evaluate_stateless(policy: FirewallPolicy, groups: Iterable[RuleGroup], packet: Packet, *, is_fragment: bool) -> tuple[str, str]:
    """The action for a packet, and the rule, or default, that says so. `groups` are the stateless ones in order."""
    for group in groups:
        for rule in sorted(group.stateless_rules, key=lambda rule: rule.priority):
            if rule.matches(packet):
                return rule.action, f"{group.id}#{rule.priority}"
    if is_fragment:
        return policy.stateless_fragment_default_actions, f"{policy.id} stateless fragment default"
    return policy.stateless_default_actions, f"{policy.id} stateless default"


def evaluate_stateful(policy: FirewallPolicy, rules: Iterable[RuleOf], packet: Packet, *, is_reply: bool) -> StatefulDecision:
    """What becomes of the first packet of a flow in its direction. `rules` are those of the groups in order."""
    taking = [each for each in rules if each.rule.matches(packet, each.variables, is_reply=is_reply)]
    asked = [f"{each.group}" for each in taking if each.rule.needs_engine]
    deciding = [each for each in taking if not each.rule.needs_engine and each.rule.action != ALERT]
    if policy.rule_order == DEFAULT_ACTION_ORDER:
        deciding.sort(key=lambda each: ACTION_ORDER.index(each.rule.action))
    if deciding:
        first = deciding[0]
        passes = first.rule.action == PASS
        return StatefulDecision(verdict=Verdict.ALLOW if passes else Verdict.DENY, origin=first.name, passes_flow=passes)
    if DROP_STRICT in policy.stateful_default_actions:
        return StatefulDecision(verdict=Verdict.DENY, origin=f"{policy.id} {DROP_STRICT}")
    if DROP_ESTABLISHED in policy.stateful_default_actions:
        if (is_reply and packet.destination_port is None) or (is_reply and packet.protocol.name != "TCP"):
            return StatefulDecision(verdict=Verdict.DENY, origin=f"{policy.id} {DROP_ESTABLISHED}")
        asked.append(f"{policy.id} {DROP_ESTABLISHED}")
    return StatefulDecision(verdict=Verdict.ALLOW, origin=f"{policy.id}: no rule drops it", asked=tuple(dict.fromkeys(asked)))
