"""Target tracking: the alarms, and the capacity that they ask for."""

from dataclasses import replace

import pytest

from testbed.model import AutoScalingGroup, ScalingPolicy
from testbed.scaling.target_tracking import HIGH_PERIODS, LOW_PERIODS, Alarms, wanted

GROUP = AutoScalingGroup(id="asg", launch_template_id="lt", vpc_zone_identifier=("a",), min_size=1, max_size=8, desired_capacity=4)
POLICY = ScalingPolicy(id="policy", auto_scaling_group_name="asg", resource_label="tg", target_value=100)


def after(*values):
    alarms = Alarms()
    for value in values:
        alarms = alarms.after(value, POLICY.target_value)
    return alarms


def asked(alarms, group=GROUP, policy=POLICY, counted=4, warming=False):
    return wanted(alarms, policy, group, counted=counted, warming=warming)


def test_one_minute_above_the_target_is_not_yet_a_reason():
    assert [asked(after(*[200.0] * periods)) for periods in range(HIGH_PERIODS + 1)] == [4, 4, 4, 8]


@pytest.mark.parametrize(("value", "capacity"), [(101.0, 5), (150.0, 6), (200.0, 8), (900.0, 8)])
def test_out_it_goes_in_proportion_up_to_the_maximum(value, capacity):
    assert asked(after(*[value] * HIGH_PERIODS)) == capacity


def test_in_it_goes_by_one_after_a_quarter_of_an_hour():
    assert asked(after(*[10.0] * (LOW_PERIODS - 1))) == 4
    assert asked(after(*[10.0] * LOW_PERIODS)) == 3
    assert asked(after(*[89.0] * LOW_PERIODS)) == 4, "three would have more than they should"
    assert asked(after(*[95.0] * LOW_PERIODS)) == 4, "within a tenth of the target"


def test_in_it_goes_neither_below_the_minimum_nor_while_one_warms_up_nor_where_that_is_disabled():
    low = after(*[1.0] * LOW_PERIODS)
    assert asked(low, replace(GROUP, desired_capacity=1), counted=1) == 1
    assert asked(low, warming=True) == 4
    assert asked(low, policy=replace(POLICY, disable_scale_in=True)) == 4


def test_without_requests_there_is_no_data_and_nothing_is_done():
    assert asked(after(*[10.0] * LOW_PERIODS, None)) == 4
    assert after(*[200.0] * HIGH_PERIODS, None) == Alarms()


def test_instances_that_do_not_count_yet_are_not_asked_for_twice():
    assert asked(after(*[200.0] * HIGH_PERIODS), replace(GROUP, desired_capacity=6), counted=3, warming=True) == 6
