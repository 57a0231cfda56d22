"""Faults of security groups across resources: groups of another VPC, and quotas.

Source: VPC user guide, "Security group rules"; "Amazon VPC quotas" (documented).
A rule may name a group of a VPC that is peered in the same Region ("Update your security groups to reference peer security groups"; documented), or attached to the same transit
gateway ("Amazon VPC attachments in AWS Transit Gateway"; documented): what it then matches is the packets' affair, with the support off or in an outbound rule nothing.
NOT MODELLED: stale rules, which AWS keeps once the peering or the group is gone: they are a fault here.
"""

from __future__ import annotations

from collections.abc import Iterator

from testbed.model.prefix_list import PrefixList
from testbed.model.security_group import Flow, SecurityGroup, SecurityGroupRule, rule_name
from testbed.model.values import Fault
from testbed.model.vpc import Vpc
from testbed.resolve.faults.transit_gateway_vpc_attachment import share_transit_gateway
from testbed.resolve.faults.vpc_peering_connection import peered
from testbed.resolve.interfaces import Wanted
from testbed.resolve.references import References


def faults(references: References, interfaces: tuple[Wanted, ...]) -> Iterator[Fault]:
    """Rules that name another VPC's group, groups with too many rules, interfaces with another VPC's group or too many."""
    quotas = references.topology.quotas
    for group in references.topology.of(SecurityGroup):
        for flow in Flow:
            rules = group.rules(flow)
            if _count(rules, references) > quotas.rules_per_security_group:
                remedy = f"the quota is {quotas.rules_per_security_group} (Quotas.rules_per_security_group): merge some, or use several groups"
                yield Fault(resource=group.id, problem=f"{_count(rules, references)} {flow.value} rules", remedy=remedy)
            for index, rule in enumerate(rules):
                other = references.get(SecurityGroup, rule.security_group_id)
                if other is not None and other.vpc_id != group.vpc_id:
                    yield from _foreign_faults(rule_name(group.id, flow, index), group, other, references)
    for interface in interfaces:
        if len(interface.security_groups) > quotas.security_groups_per_interface:
            remedy = f"the quota is {quotas.security_groups_per_interface} for a network interface (Quotas.security_groups_per_interface): merge some"
            yield Fault(resource=interface.named_by, problem=f"{len(interface.security_groups)} security groups", remedy=remedy)
        for group_id in interface.security_groups:
            held = references.get(SecurityGroup, group_id)
            if held is not None and held.vpc_id != interface.subnet.vpc_id:
                problem = f"security group {group_id} is of {held.vpc_id}, but the network interface is in {interface.subnet.vpc_id}"
                yield Fault(resource=interface.named_by, problem=problem, remedy=f"name a group of {interface.subnet.vpc_id}")


def _count(rules: tuple[SecurityGroupRule, ...], references: References) -> int:
    """Rules as the quota counts them: a prefix list is as many as its `max_entries`, a group is one."""
    lists = (references.get(PrefixList, rule.prefix_list_id) for rule in rules)
    return sum(1 if named is None else named.max_entries for named in lists)


def _foreign_faults(name: str, group: SecurityGroup, other: SecurityGroup, references: References) -> Iterator[Fault]:
    """A reference to another VPC's group needs an active peering within one Region, or a transit gateway in common."""
    if share_transit_gateway(group.vpc_id, other.vpc_id, references):
        return
    if peered(group.vpc_id, other.vpc_id, references) is None:
        problem = f"security_group_id {other.id} is a group of {other.vpc_id}, not of {group.vpc_id}"
        yield Fault(resource=name, problem=problem, remedy="name a group of the same VPC or of one with an active peering or on the same transit gateway, or use cidr_ip")
        return
    own, far = references.get(Vpc, group.vpc_id), references.get(Vpc, other.vpc_id)
    if own is not None and far is not None and own.region != far.region:
        problem = f"security_group_id {other.id} is a group of {far.id} in {far.region}, peered from {own.region}"
        yield Fault(resource=name, problem=problem, remedy="groups cannot be referenced over an inter-Region peering: use cidr_ip")
