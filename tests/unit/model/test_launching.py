"""Members of Auto Scaling groups and ECS services, as a topology has them."""

from dataclasses import replace

from testbed.model import AutoScalingGroup, EcsService, Instance, LaunchTemplate, Subnet, TargetGroup, TaskDefinition, Topology, WebApplication
from testbed.model.launching import carried_over, deregister, is_stale, launch, launched, members_of, resized, terminate

SUBNETS = tuple(Subnet(id=f"subnet-{zone}", vpc_id="vpc", cidr_block=f"10.0.{number}.0/24", availability_zone=f"eu-west-1{zone}") for number, zone in enumerate("ab"))
TEMPLATE = LaunchTemplate(id="lt", name="web", user_data=WebApplication(port=80))
GROUP = AutoScalingGroup(id="asg", launch_template_id="lt", vpc_zone_identifier=("subnet-a", "subnet-b"), min_size=3, max_size=9, target_group_arns=("tg",))
TARGETS = TargetGroup(id="tg", vpc_id="vpc", port=80, targets=("by-hand",))
WRITTEN = Topology(name="t", resources=(*SUBNETS, TEMPLATE, GROUP, TARGETS, Instance(id="by-hand", subnet_id="subnet-a")))


def names(topology, group="asg"):
    return [member.id for member in members_of(topology, group)]


def targets(topology):
    return next(group.targets for group in topology.of(TargetGroup))


def of(topology, kind):
    (found,) = topology.of(kind)
    return found


def test_a_group_begins_with_its_desired_capacity_spread_over_its_zones_and_registered():
    running = launched(WRITTEN)
    assert names(running) == ["web-a", "web-a3", "web-b"]
    assert targets(running) == ("by-hand", "web-a", "web-b", "web-a3")
    assert {member.subnet_id for member in members_of(running, "asg")} == {"subnet-a", "subnet-b"}
    assert launched(running).resources == running.resources, "once"


def test_a_name_is_never_given_twice():
    running = terminate(launched(WRITTEN), "web-b")
    running, name = launch(running, "asg")
    assert name == "web-b4" and targets(running) == ("by-hand", "web-a", "web-a3", "web-b4")


def test_a_zone_that_is_not_available_gets_nothing_and_without_any_nothing_is_launched():
    assert launch(launched(WRITTEN), "asg", ["eu-west-1b"])[1] == "web-a4"
    running = launched(WRITTEN)
    assert launch(running, "asg", ["eu-west-1a", "eu-west-1b"]) == (running, None)


def test_who_is_deregistered_goes_on_and_does_not_count_where_the_next_one_goes():
    running = deregister(deregister(launched(WRITTEN), "web-a"), "web-a3")
    assert targets(running) == ("by-hand", "web-b") and len(names(running)) == 3
    assert launch(running, "asg")[1] == "web-a4"


def test_members_that_run_are_those_of_the_topology_that_a_person_changed_as_they_were_launched():
    running = deregister(launched(WRITTEN), "web-b")
    other = replace(TEMPLATE, user_data=WebApplication(port=8080))
    wanted = replace(WRITTEN, resources=tuple(other if each is TEMPLATE else replace(GROUP, desired_capacity=5) if each is GROUP else each for each in WRITTEN.resources))
    after = carried_over(running, wanted)
    assert members_of(after, "asg") == members_of(running, "asg")
    assert targets(after) == ("by-hand", "web-a", "web-a3"), "web-b is on its way out"
    assert (of(after, AutoScalingGroup).desired, of(after, AutoScalingGroup).launched) == (5, 3)
    assert of(carried_over(resized(running, "asg", 7), WRITTEN), AutoScalingGroup).desired == 7, "the file names none"
    bounded = replace(WRITTEN, resources=tuple(replace(GROUP, max_size=6) if each is GROUP else each for each in WRITTEN.resources))
    assert of(carried_over(resized(running, "asg", 7), bounded), AutoScalingGroup).desired == 6
    assert carried_over(running, running) == running
    assert names(carried_over(running, replace(WRITTEN, resources=SUBNETS))) == []


def test_a_group_that_names_what_does_not_exist_launches_nothing():
    for broken in (replace(TEMPLATE, security_group_ids=("sg-none",)), replace(TEMPLATE, id="lt-other")):
        assert names(launched(replace(WRITTEN, resources=tuple(broken if each is TEMPLATE else each for each in WRITTEN.resources)))) == []


def test_a_service_starts_tasks_which_are_stale_once_their_definition_is_another():
    definition = TaskDefinition(id="api", container=WebApplication(port=80))
    service = EcsService(id="svc", task_definition="api", desired_count=2, subnets=("subnet-a", "subnet-b"), target_group_arn="tg")
    running = launched(Topology(name="t", resources=(*SUBNETS, definition, service, replace(TARGETS, target_type="ip", targets=()))))
    assert names(running, "svc") == ["api-a", "api-b"] == sorted(targets(running))
    new = replace(running, resources=tuple(replace(each, container=WebApplication(port=81)) if isinstance(each, TaskDefinition) else each for each in running.resources))
    for topology, stale in ((running, False), (new, True)):
        assert [is_stale(of(topology, EcsService), member, topology) for member in members_of(topology, "svc")] == [stale, stale]
    assert of(resized(running, "svc", 5), EcsService).desired_count == 5
