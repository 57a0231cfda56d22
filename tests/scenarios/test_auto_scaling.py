"""An Auto Scaling group and an ECS service with real packets: what fails is replaced, a zone that fails costs some requests and then none, requests bring instances, and those that go finish what they have begun."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from testbed.model import TargetGroup, Topology
from testbed.model.launching import members_of, resized
from testbed.observe.request_rate import RequestRate
from testbed.scaling.status import GroupStatus
from tests.scenarios.shop import resource, with_resources
from topologies.auto_scaling import auto_scaling

CLIENT, SHOP, API = "user-paris", "http://shop.example.com/", "http://shop.example.com/api"
ZONE_A, ZONE_B = "eu-west-1a", "eu-west-1b"
PATIENCE_S = 40.0
SLOW = 5


def hasty() -> Topology:
    """A minute takes a second; a balancer that is slow to notice, so that it is EC2's own checks that find a dead host first."""
    topology = replace(auto_scaling(), time_scale=60.0)
    slowly = (replace(group, unhealthy_threshold_count=SLOW) for group in topology.of(TargetGroup))
    return with_resources(topology, *slowly)


pytestmark = [pytest.mark.packets, pytest.mark.topology.with_args(hasty)]


@pytest.fixture
def group(lab) -> Callable[[str], GroupStatus]:
    return lambda name: next(each for each in lab.scaling.status() if each.name == name)


@pytest.fixture(autouse=True)
def as_before(lab, group):
    """Two instances and two tasks in service, one in each zone, whatever went before."""
    yield
    lab.heal()
    for name in ("asg-web", "ecs-api"):
        lab.change(resized(lab.topology, name, 2))
    eventually(lambda: all(zones(group(name)) == [ZONE_A, ZONE_B] for name in ("asg-web",)))


def eventually(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, "it did not come to hold"
        time.sleep(0.05)


def in_service(status: GroupStatus) -> list[str]:
    return [member.name for member in status.members if member.target == "healthy"]


def zones(status: GroupStatus) -> list[str]:
    """Where the members are, if all of them are in service."""
    return sorted(member.availability_zone for member in status.members) if len(in_service(status)) == len(status.members) else []


def told(status: GroupStatus) -> str:
    return "\n".join(f"{activity.description} {activity.cause}" for activity in status.activities)


def test_it_begins_with_an_instance_and_a_task_in_each_zone(lab, group):
    eventually(lambda: zones(group("asg-web")) == [ZONE_A, ZONE_B] and zones(group("ecs-api")) == [ZONE_A, ZONE_B])
    assert {lab[CLIENT].curl(SHOP).headers["x-served-by"] for _ in range(4)} == set(in_service(group("asg-web"))) == {"web-a", "web-b"}
    assert {lab[CLIENT].curl(API).headers["x-served-by"] for _ in range(4)} == {"api-a", "api-b"}
    assert "a user request created an AutoScalingGroup changing the desired capacity from 0 to 2" in told(group("asg-web"))


def test_an_instance_whose_host_dies_answers_no_status_check_and_is_replaced_in_its_zone(lab, group):
    (dead,) = (member.name for member in group("asg-web").members if member.availability_zone == ZONE_A)
    lab.fail(dead)
    eventually(lambda: dead not in in_service(group("asg-web")) and zones(group("asg-web")) == [ZONE_A, ZONE_B])
    assert "taken out of service in response to an EC2 instance status checks failure" in told(group("asg-web"))
    assert "launched in response to an unhealthy instance needing to be replaced" in told(group("asg-web"))
    assert all(node.name != dead for node in lab.plan.nodes)
    assert lab.failures == (), "with the host its failure is gone"
    assert lab.reach_differences(lab.reach(port=80)) == (), "the oracle knows who is there now, and packets agree"
    assert {lab[CLIENT].curl(SHOP).headers["x-served-by"] for _ in range(4)} == set(in_service(group("asg-web")))


def test_a_task_that_stops_answering_is_replaced_with_another_address(lab, group):
    (dead,) = (member.name for member in group("ecs-api").members if member.availability_zone == ZONE_B)
    addresses = {interface.address for interface in lab.resolved.interfaces if interface.owner == dead}
    lab.fail(f"{dead}.instance")  # the program is killed; the interface still answers
    eventually(lambda: dead not in in_service(group("ecs-api")) and len(in_service(group("ecs-api"))) == 2)
    assert f"(task {dead}) is unhealthy in (target-group tg-api)" in told(group("ecs-api"))
    new = {interface.address for member in members_of(lab.topology, "ecs-api") for interface in lab.resolved.interfaces_of(member.id)}
    assert len(new) == 2 and not new & addresses


def test_a_zone_that_fails_costs_some_requests_and_then_none_and_is_filled_again_once_it_is_back(lab, group):
    with RequestRate(lab, CLIENT, SHOP, per_second=6) as requests:
        eventually(lambda: requests.outcome().sent > 6)
        assert requests.outcome().failed == 0
        began = requests.now()
        lab.fail(ZONE_A)
        eventually(lambda: zones(group("asg-web")) == [ZONE_B, ZONE_B])
        eventually(lambda: lab[CLIENT].dig("shop.example.com") == addresses(lab, ZONE_B))
        eventually(lambda: requests.outcome(requests.now() - 3).failed == 0)
        during = requests.outcome(began)
        calm = requests.now()
        eventually(lambda: requests.outcome(calm).sent >= 8)
        after = requests.outcome(calm)
        lab.heal(ZONE_A)
        eventually(lambda: zones(group("asg-web")) == [ZONE_A, ZONE_B])
        eventually(lambda: lab[CLIENT].dig("shop.example.com") == addresses(lab, ZONE_A, ZONE_B))
    assert 0 < during.failed_percent < 100, str(during)
    assert after.failed == 0 and {name[:5] for name, _ in after.served_by} == {"web-b"}, str(after)
    assert "in response to a difference between desired and actual capacity, shrinking the capacity from 3 to 2" in told(group("asg-web"))
    assert "aid in balancing the group's zones" in told(group("asg-web"))
    print(f"with zone a failed: {during}")


def addresses(lab, *wanted: str) -> tuple[str, ...]:
    return tuple(sorted(str(i.public_address) for i in lab.resolved.interfaces_of("alb-shop") if i.availability_zone in wanted))


def test_more_requests_than_two_instances_want_bring_a_third_and_one_that_goes_finishes_what_it_has_begun(lab, group):
    tracked = resource(lab.topology, "policy-requests", target_value=1, estimated_instance_warmup=0)  # a minute of AWS's is a second here
    lab.change(with_resources(lab.topology, tracked, resource(lab.topology, "asg-web", max_size=3)))
    with RequestRate(lab, CLIENT, SHOP, per_second=5) as requests:
        eventually(lambda: len(in_service(group("asg-web"))) == 3)
        assert "a monitor alarm TargetTracking-asg-web-AlarmHigh in state ALARM triggered policy policy-requests changing the desired capacity from 2 to 3" in told(group("asg-web"))
        known = set(in_service(group("asg-web")))
        lab.change(with_resources(resized(lab.topology, "asg-web", 2), replace(tracked, target_value=100000, disable_scale_in=True)))
        eventually(lambda: len(group("asg-web").members) == 2)
        calm = requests.now()
        eventually(lambda: requests.outcome(calm).sent >= 6)
        assert requests.outcome().failed == 0, str(requests.outcome())
    (gone,) = known - {member.name for member in group("asg-web").members}
    last = next(activity for activity in group("asg-web").activities if activity.description == f"Terminating EC2 instance: {gone}")
    assert last.status_code == "Successful" and f"instance {gone} was selected for termination" in last.cause
    assert "a user request explicitly set group desired capacity changing the desired capacity from 3 to 2" in last.cause
