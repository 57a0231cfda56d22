"""What AWS refuses of Auto Scaling groups, their policies, and ECS services."""

from dataclasses import replace

import pytest

from testbed.model import IpForwarding, ModelError, ScalingPolicy
from testbed.resolve import resolve
from topologies.auto_scaling import auto_scaling


def told(*added, **changes):
    """The faults of the topology with resources added, and others (by id) changed."""
    before = auto_scaling()
    resources = tuple(replace(each, **changes[each.id]) if each.id in changes else each for each in before.resources)
    with pytest.raises(ModelError) as error:
        resolve(replace(before, resources=(*resources, *added)))
    return [(fault.resource, fault.problem) for fault in error.value.faults]


@pytest.mark.parametrize(
    ("name", "fields", "problem"),
    [
        ("asg-web", {"desired_capacity": 7}, "desired capacity 7 is not between the specified min size 2 and max size 6"),
        ("asg-web", {"min_size": 9}, "min_size 9 is greater than max_size 6"),
        ("asg-web", {"vpc_zone_identifier": ()}, "vpc_zone_identifier names no subnet"),
        ("asg-web", {"target_group_arns": ()}, "health_check_type ELB without a target group"),
        ("asg-web", {"health_check_type": "ICMP"}, "health_check_type 'ICMP' is not one of the allowed values"),
        ("asg-web", {"suspended_processes": ("Lunch",)}, "suspended_processes 'Lunch' is not one of the allowed values"),
        ("asg-web", {"launch_template_id": "lt-wbe"}, "launch_template_id 'lt-wbe' does not exist"),
        ("asg-web", {"vpc_zone_identifier": ("private-a", "private-z")}, "vpc_zone_identifier 'private-z' does not exist"),
        ("asg-web", {"target_group_arns": ("tg-api",)}, "target group tg-api has target type ip"),
        ("lt-web", {"security_group_ids": ("sg-none",)}, "security_group_ids 'sg-none' does not exist"),
        ("lt-web", {"user_data": IpForwarding()}, "user_data runs IpForwarding"),
        ("policy-requests", {"target_value": 0}, "target_value 0 is not positive"),
        ("policy-requests", {"resource_label": "tg-api"}, "tg-api is no target group of asg-web"),
        ("ecs-api", {"target_group_arn": "tg-web"}, "target group tg-web has target type instance"),
        ("ecs-api", {"task_definition": "apy"}, "task_definition 'apy' does not exist"),
        ("ecs-api", {"subnets": ()}, "subnets names no subnet"),
    ],
)
def test_a_fault_is_told_of_the_resource_that_has_it(name, fields, problem):
    assert any(at == name and problem in said for at, said in told(**{name: fields})), told(**{name: fields})


def test_one_wrong_name_is_one_fault_not_one_for_each_instance():
    assert told(**{"lt-web": {"security_group_ids": ("sg-none",)}}) == [("lt-web", "security_group_ids 'sg-none' does not exist")]


def test_two_policies_cannot_track_one_metric():
    second = ScalingPolicy(id="policy-too", auto_scaling_group_name="asg-web", resource_label="tg-web", target_value=5)
    assert told(second) == [("policy-too", "policy-requests tracks the same metric of asg-web")]
