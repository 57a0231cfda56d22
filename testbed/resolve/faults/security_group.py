"""Faults of security groups across resources: groups of another VPC, and quotas.

Source: VPC user guide, "Security group rules"; "Amazon VPC quotas" (documented).
NOT MODELLED: references to groups of a peered VPC.
"""

from __future__ import annotations

from collections.abc import Iterator

from testbed.model.security_group import Flow, SecurityGroup, rule_name
from testbed.model.values import Fault
from testbed.resolve.interfaces import Wanted
from testbed.resolve.references import References


def faults(references: References, interfaces: tuple[Wanted, ...]) -> Iterator[Fault]:
    """Rules that name another VPC's group, groups with too many rules, interfaces with another VPC's group or too many."""
    quotas = references.topology.quotas
    for group in references.topology.of(SecurityGroup):
        for flow in Flow:
            rules = group.rules(flow)
            if len(rules) > quotas.rules_per_security_group:
                remedy = f"the quota is {quotas.rules_per_security_group} (Quotas.rules_per_security_group): merge some, or use several groups"
                yield Fault(resource=group.id, problem=f"{len(rules)} {flow.value} rules", remedy=remedy)
            for index, rule in enumerate(rules):
                other = references.get(SecurityGroup, rule.security_group_id)
                if other is not None and other.vpc_id != group.vpc_id:
                    problem = f"security_group_id {other.id} is a group of {other.vpc_id}, not of {group.vpc_id}"
                    yield Fault(resource=rule_name(group.id, flow, index), problem=problem, remedy="name a group of the same VPC, or use cidr_ip")
    for interface in interfaces:
        if len(interface.security_groups) > quotas.security_groups_per_interface:
            remedy = f"the quota is {quotas.security_groups_per_interface} for a network interface (Quotas.security_groups_per_interface): merge some"
            yield Fault(resource=interface.named_by, problem=f"{len(interface.security_groups)} security groups", remedy=remedy)
        for group_id in interface.security_groups:
            held = references.get(SecurityGroup, group_id)
            if held is not None and held.vpc_id != interface.subnet.vpc_id:
                problem = f"security group {group_id} is of {held.vpc_id}, but the network interface is in {interface.subnet.vpc_id}"
                yield Fault(resource=interface.named_by, problem=problem, remedy=f"name a group of {interface.subnet.vpc_id}")
