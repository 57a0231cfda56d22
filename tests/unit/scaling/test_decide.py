"""What a group does next, from what is seen of its members."""

from dataclasses import replace

import pytest

from testbed.model import AutoScalingGroup, EcsService
from testbed.scaling.decide import BALANCER, CAPACITY, DEPLOYMENT, REBALANCING, REPLACEMENT, STATUS_CHECK, End, Launch, Leave, Seen, decide

GROUP = AutoScalingGroup(id="asg", launch_template_id="lt", vpc_zone_identifier=("a", "b"), min_size=0, max_size=10, desired_capacity=2, target_group_arns=("tg",), health_check_type="ELB", health_check_grace_period=300)
SERVICE = EcsService(id="svc", task_definition="task", desired_count=2, subnets=("a", "b"), target_group_arn="tg")
ZONES = ("a", "b")
OLD_S = 1000.0


def seen(name, **fields):
    """A healthy member; its zone is the first letter of its name."""
    return Seen(**{"name": name, "zone": name[0], "age_s": OLD_S, "target": "healthy", **fields})


def test_as_many_as_desired_and_all_well_is_nothing_to_do():
    assert decide(GROUP, [seen("a1"), seen("b1")], ZONES) == ()


def test_what_is_missing_is_launched():
    assert decide(GROUP, [seen("a1")], ZONES) == (Launch(why=CAPACITY),)
    assert decide(replace(GROUP, desired_capacity=4), [seen("a1")], ZONES) == (Launch(why=CAPACITY),) * 3


def test_an_unhealthy_instance_leaves_and_another_takes_its_place_at_once():
    assert decide(GROUP, [seen("a1", target="unhealthy"), seen("b1")], ZONES) == (Leave(name="a1", why=BALANCER), Launch(why=REPLACEMENT))


def test_failed_status_checks_count_whatever_the_balancer_or_the_grace_period_say():
    assert decide(GROUP, [seen("a1", impaired=True, age_s=1.0), seen("b1")], ZONES)[0] == Leave(name="a1", why=STATUS_CHECK)


@pytest.mark.parametrize("member", [seen("a1", target="unhealthy", age_s=299.0), seen("a1", target="initial")])
def test_within_the_grace_period_or_while_its_balancer_does_not_know_it_yet_an_instance_is_let_be(member):
    assert decide(GROUP, [member, seen("b1")], ZONES) == ()


def test_with_health_check_type_ec2_the_balancers_word_does_not_count():
    assert decide(replace(GROUP, health_check_type="EC2"), [seen("a1", target="unhealthy"), seen("b1")], ZONES) == ()


def test_of_too_many_the_oldest_of_the_fullest_zone_leaves():
    members = [seen("a1"), seen("b1", age_s=2000.0), seen("b2", age_s=1500.0)]
    assert decide(GROUP, members, ZONES) == (Leave(name="b1", why=CAPACITY),)
    assert decide(replace(GROUP, desired_capacity=1), members, ZONES) == (Leave(name="b1", why=CAPACITY), Leave(name="b2", why=CAPACITY))


def test_nobody_leaves_while_another_is_new_to_its_balancer():
    assert decide(GROUP, [seen("a1"), seen("a2", target="initial"), seen("b1")], ZONES) == ()


def test_who_is_leaving_ends_once_it_is_drained_and_counts_no_more():
    members = [seen("a1"), seen("b1"), seen("b2", leaving=True)]
    assert decide(GROUP, members, ZONES) == ()
    assert decide(GROUP, [*members[:2], replace(members[2], drained=True)], ZONES) == (End(name="b2"),)


def test_zones_are_balanced_by_one_more_where_fewest_are_and_one_less_where_most_are():
    uneven = [seen("b1"), seen("b2", age_s=2000.0)]
    assert decide(GROUP, uneven, ZONES) == (Launch(why=REBALANCING),)
    assert decide(GROUP, [*uneven, seen("a1", age_s=1.0)], ZONES) == (Leave(name="b2", why=CAPACITY),)
    assert decide(GROUP, [seen("a1", age_s=1.0), seen("b1")], ZONES) == ()


def test_a_zone_that_takes_no_launch_is_no_zone_to_balance():
    assert decide(GROUP, [seen("b1"), seen("b2")], ("b",)) == ()


@pytest.mark.parametrize(
    ("process", "members"),
    [
        ("Launch", [seen("a1")]),
        ("Terminate", [seen("a1"), seen("b1"), seen("b2")]),
        ("ReplaceUnhealthy", [seen("a1", impaired=True), seen("b1")]),
        ("HealthCheck", [seen("a1", target="unhealthy"), seen("b1")]),
        ("AZRebalance", [seen("b1"), seen("b2")]),
    ],
)
def test_a_process_that_is_suspended_does_nothing(process, members):
    assert decide(GROUP, members, ZONES) != ()
    assert decide(replace(GROUP, suspended_processes=(process,)), members, ZONES) == ()


def test_tasks_of_an_old_definition_leave_once_as_many_new_ones_are_healthy():
    old = [seen("a1", stale=True), seen("b1", stale=True)]
    assert decide(SERVICE, old, ZONES) == (Launch(why=DEPLOYMENT),) * 2
    assert decide(replace(SERVICE, maximum_percent=150), old, ZONES) == (Launch(why=DEPLOYMENT),)
    new = [seen("a2", target="initial"), seen("b2")]
    assert decide(SERVICE, [*old, *new], ZONES) == ()
    assert decide(SERVICE, [*old, seen("a2"), seen("b2")], ZONES) == (Leave(name="a1", why=DEPLOYMENT), Leave(name="b1", why=DEPLOYMENT))


def test_a_task_that_its_target_group_calls_unhealthy_is_replaced():
    assert decide(SERVICE, [seen("a1", target="unhealthy"), seen("b1")], ZONES) == (Leave(name="a1", why=BALANCER), Launch(why=REPLACEMENT))
