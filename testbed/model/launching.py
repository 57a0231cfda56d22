"""What Auto Scaling groups and ECS services do to a topology: launch, register, deregister, terminate. Pure: each takes a topology and gives another.

    AutoScalingGroup, EcsService ──launch──▶ Instance(launched_by=…), in the target groups ──deregister──▶ in none, draining ──terminate──▶ gone

A member is an ordinary `Instance` of the topology that runs. So the plan depends on that topology alone, the oracle sees what is there, and a live change carries it out (decision 0020).
A topology as a person writes it has no members: `launched` gives each group that has never launched its first ones, and `carried_over` gives a topology that a person has
changed those that run already.

Tolerant by design: it is used before faults are looked for. A group whose template or subnets do not exist launches nothing.
Sources: EC2 Auto Scaling user guide, "Distribute instances across Availability Zones" (a new instance goes to the zone with the fewest; documented), "Auto Scaling groups and load balancers"; of several
subnets of a zone the one with the fewest members (assumed).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace

from testbed.model.auto_scaling_group import ADD_TO_LOAD_BALANCER, AutoScalingGroup
from testbed.model.ecs_service import EcsService, TaskDefinition
from testbed.model.instance import Instance, WebApplication
from testbed.model.launch_template import LaunchTemplate
from testbed.model.subnet import Subnet
from testbed.model.target_group import TargetGroup
from testbed.model.topology import Resource, Topology

Group = AutoScalingGroup | EcsService


def groups_of(topology: Topology) -> tuple[Group, ...]:
    """Everything that launches, by id."""
    return tuple(sorted((*topology.of(AutoScalingGroup), *topology.of(EcsService)), key=lambda group: group.id))


def members_of(topology: Topology, group_id: str) -> tuple[Instance, ...]:
    """The instances or tasks of a group that are there, draining ones too, by id."""
    return tuple(instance for instance in topology.of(Instance) if instance.launched_by == group_id)


def target_groups_of(group: Group) -> tuple[str, ...]:
    """The target groups in which its members are registered."""
    if isinstance(group, AutoScalingGroup):
        return group.target_group_arns
    return () if group.target_group_arn is None else (group.target_group_arn,)


def subnets_of(group: Group, topology: Topology) -> tuple[Subnet, ...]:
    """The subnets that it uses, in the order in which they are named."""
    subnets = {subnet.id: subnet for subnet in topology.of(Subnet)}
    named = group.vpc_zone_identifier if isinstance(group, AutoScalingGroup) else group.subnets
    return tuple(subnets[subnet] for subnet in dict.fromkeys(named) if subnet in subnets)


def launched(topology: Topology) -> Topology:
    """`topology` with the first members of each group that has launched none yet. Its own result it leaves as it is."""
    for group in groups_of(topology):
        if not group.launched:
            for _ in range(desired_of(group)):
                topology, _name = launch(topology, group.id)
    return topology


def launch(topology: Topology, group_id: str, unavailable: Collection[str] = ()) -> tuple[Topology, str | None]:
    """One member more, in the zone with the fewest, registered in its target groups; and its id: None if no zone is available."""
    group = next(group for group in groups_of(topology) if group.id == group_id)
    subnet, template = _place(group, topology, unavailable), _template(group, topology)
    if subnet is None or template is None:
        return topology, None
    number = group.launched + 1
    zones = tuple(dict.fromkeys(subnet.availability_zone for subnet in subnets_of(group, topology)))
    letter = subnet.availability_zone[-1:]
    first = number <= len(zones) and zones[number - 1] == subnet.availability_zone
    name = f"{template.name}-{letter}" if first else f"{template.name}-{letter}{number}"
    member = _member(group, template, name, subnet)
    registers = isinstance(group, EcsService) or ADD_TO_LOAD_BALANCER not in group.suspended_processes
    registered = {each: (name,) for each in target_groups_of(group)} if registers else {}
    return _changed(topology, replace(group, launched=number), added=(member,), registered=registered), name


def deregister(topology: Topology, name: str) -> Topology:
    """A member leaves its target groups, and goes on until it is terminated."""
    groups = (replace(group, targets=tuple(target for target in group.targets if target != name)) for group in topology.of(TargetGroup) if name in group.targets)
    return _changed(topology, *groups)


def terminate(topology: Topology, name: str) -> Topology:
    """A member is no more."""
    without = deregister(topology, name)
    return replace(without, resources=tuple(resource for resource in without.resources if resource.id != name or not isinstance(resource, Instance)))


def resized(topology: Topology, group_id: str, desired: int) -> Topology:
    """A group is to have so many members."""
    group = next(group for group in groups_of(topology) if group.id == group_id)
    return _changed(topology, replace(group, desired_capacity=desired) if isinstance(group, AutoScalingGroup) else replace(group, desired_count=desired))


def carried_over(running: Topology, wanted: Topology) -> Topology:
    """`wanted`, as a person wrote it, with the members that run in `running` for those of its groups that have launched nothing there yet.

    A desired capacity that it names is in force; where it names none, the present one stays, within the group's bounds ("UpdateAutoScalingGroup" of the API; documented). Members of groups that it does not have any more are not carried over; they end with their group.
    """
    known = {group.id: group for group in groups_of(running)}
    registered_before = {group.id: group.targets for group in running.of(TargetGroup)}
    for group in groups_of(wanted):
        before = known.get(group.id)
        if group.launched or before is None or not before.launched:
            continue
        members = members_of(running, group.id)
        registered = {each: tuple(m.id for m in members if any(m.id in registered_before.get(old, ()) for old in target_groups_of(before))) for each in target_groups_of(group)}
        resumed = replace(group, launched=before.launched)
        if isinstance(resumed, AutoScalingGroup) and resumed.desired_capacity is None:
            resumed = replace(resumed, desired_capacity=min(max(desired_of(before), resumed.min_size), resumed.max_size))
        wanted = _changed(wanted, resumed, added=members, registered=registered)
    return wanted


def is_stale(group: Group, member: Instance, topology: Topology) -> bool:
    """Whether a task runs something else than its service's task definition says now. An Auto Scaling group's instance stays as it was launched."""
    return isinstance(group, EcsService) and any(definition.id == group.task_definition and definition.container != member.user_data for definition in topology.of(TaskDefinition))


def desired_of(group: Group) -> int:
    """How many members it is to have."""
    return group.desired if isinstance(group, AutoScalingGroup) else group.desired_count


def _place(group: Group, topology: Topology, unavailable: Collection[str]) -> Subnet | None:
    subnets = [subnet for subnet in subnets_of(group, topology) if subnet.availability_zone not in unavailable]
    zones = {subnet.id: subnet.availability_zone for subnet in topology.of(Subnet)}
    registered = {target for each in topology.of(TargetGroup) for target in each.targets}
    staying = [member for member in members_of(topology, group.id) if not target_groups_of(group) or member.id in registered]
    by_zone, by_subnet = Counter(zones.get(member.subnet_id) for member in staying), Counter(member.subnet_id for member in staying)
    return min(subnets, key=lambda subnet: (by_zone[subnet.availability_zone], by_subnet[subnet.id]), default=None)


def _template(group: Group, topology: Topology) -> LaunchTemplate | None:
    """What the group's members are like: an Auto Scaling group's launch template, or a service's task definition as one. None if it names something that does not exist."""
    if isinstance(group, AutoScalingGroup):
        found = next((template for template in topology.of(LaunchTemplate) if template.id == group.launch_template_id), None)
    else:
        definition = next((definition for definition in topology.of(TaskDefinition) if definition.id == group.task_definition), None)
        found = None if definition is None else LaunchTemplate(id=definition.id, name=definition.id, security_group_ids=group.security_groups, user_data=definition.container)
    if found is None:
        return None
    database = found.user_data.database_id if isinstance(found.user_data, WebApplication) else None
    named = {*found.security_group_ids, *(() if database is None else (database,))}
    return found if named <= {resource.id for resource in topology.resources} else None


def _member(group: Group, template: LaunchTemplate, name: str, subnet: Subnet) -> Instance:
    return Instance(
        id=name,
        subnet_id=subnet.id,
        security_group_ids=template.security_group_ids,
        associate_public_ip_address=template.associate_public_ip_address,
        user_data=template.user_data,
        metadata_options=template.metadata_options,
        launched_by=group.id,
    )


def _changed(topology: Topology, *changed: Resource, added: tuple[Instance, ...] = (), registered: Mapping[str, tuple[str, ...]] | None = None) -> Topology:
    """The topology with resources in the place of those of their ids, others added, and targets registered."""
    new = {resource.id: resource for resource in changed}
    for group in topology.of(TargetGroup):
        more = tuple(target for target in (registered or {}).get(group.id, ()) if target not in group.targets)
        if more:
            new[group.id] = replace(group, targets=(*group.targets, *more))
    return replace(topology, resources=(*(new.get(resource.id, resource) if type(new.get(resource.id)) is type(resource) else resource for resource in topology.resources), *added))
