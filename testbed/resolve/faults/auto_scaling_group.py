"""Faults of Auto Scaling groups, their policies, and ECS services, with the target groups and subnets that they name.

Sources: EC2 Auto Scaling user guide, "Auto Scaling groups and load balancers", "Target tracking scaling policies"; ECS developer guide, "Use an Application Load Balancer for Amazon ECS" (awsvpc tasks
need target type ip; documented).
"""

from __future__ import annotations

from collections.abc import Iterator

from testbed.model.auto_scaling_group import AutoScalingGroup, ScalingPolicy
from testbed.model.ecs_service import EcsService
from testbed.model.launching import Group, groups_of, subnets_of, target_groups_of
from testbed.model.target_group import INSTANCE, IP, TargetGroup
from testbed.model.values import Fault
from testbed.resolve.interfaces import Wanted
from testbed.resolve.references import References


def faults(references: References, _: tuple[Wanted, ...]) -> Iterator[Fault]:
    """Faults of everything that launches, and of the policies."""
    for group in groups_of(references.topology):
        yield from _place_faults(group, references)
        yield from _target_faults(group, references)
    for policy in references.topology.of(ScalingPolicy):
        yield from _policy_faults(policy, references)


def _place_faults(group: Group, references: References) -> Iterator[Fault]:
    vpcs = sorted({subnet.vpc_id for subnet in subnets_of(group, references.topology)})
    if len(vpcs) > 1:
        yield Fault(resource=group.id, problem=f"subnets of {' and '.join(vpcs)}", remedy="name subnets of one VPC")
    for name in target_groups_of(group):
        target_group = references.get(TargetGroup, name)
        if target_group is not None and vpcs and target_group.vpc_id not in vpcs:
            yield Fault(resource=group.id, problem=f"target group {name} is of {target_group.vpc_id}, the subnets are of {vpcs[0]}", remedy=f"use a target group of {vpcs[0]}")


def _target_faults(group: Group, references: References) -> Iterator[Fault]:
    wanted = IP if isinstance(group, EcsService) else INSTANCE
    for name in target_groups_of(group):
        target_group = references.get(TargetGroup, name)
        if target_group is not None and target_group.target_type != wanted:
            why = "tasks with a network interface of their own (awsvpc) are registered by address" if wanted == IP else "an Auto Scaling group registers instances"
            yield Fault(resource=group.id, problem=f"target group {name} has target type {target_group.target_type}", remedy=f'make it "{wanted}": {why}')


def _policy_faults(policy: ScalingPolicy, references: References) -> Iterator[Fault]:
    group, target_group = references.get(AutoScalingGroup, policy.auto_scaling_group_name), references.get(TargetGroup, policy.resource_label)
    if group is None or target_group is None:
        return
    if policy.resource_label not in group.target_group_arns:
        yield Fault(resource=policy.id, problem=f"{policy.resource_label} is no target group of {group.id}", remedy="name one of its target_group_arns: requests are counted for each of its targets")
    if target_group.is_network or target_group.is_gateway:
        yield Fault(resource=policy.id, problem=f"ALBRequestCountPerTarget of {target_group.id}, whose protocol is {target_group.protocol}", remedy="name a target group of an application load balancer")
    others = [other.id for other in references.topology.of(ScalingPolicy) if (other.auto_scaling_group_name, other.resource_label) == (group.id, policy.resource_label)]
    if others[0] != policy.id:
        yield Fault(resource=policy.id, problem=f"{others[0]} tracks the same metric of {group.id}", remedy="keep one of them")
