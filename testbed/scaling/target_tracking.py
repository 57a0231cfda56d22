"""Target tracking on ``ALBRequestCountPerTarget``: two alarms on requests a minute for each target, and the desired capacity that they ask for. Pure.

    AlarmHigh   above the target value for 3 minutes running    ─▶ as many instances as bring it back to the target, at once
    AlarmLow    below 9/10 of it for 15 minutes running          ─▶ one instance less, and not while one is warming up

A minute without requests is no data point: neither alarm stays, nothing is done.
Source: EC2 Auto Scaling user guide, "Target tracking scaling policies" (scales out in proportion, in gradually; not on insufficient data; documented). Assumed, as it is seen of the alarms that AWS makes: 3
and 15 periods of 60 s, nine tenths; that "gradually" is one instance a minute.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from testbed.model.auto_scaling_group import AutoScalingGroup, ScalingPolicy

PERIOD_S = 60.0
HIGH_PERIODS, LOW_PERIODS = 3, 15
LOW_SHARE = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarms:
    """How many periods running the metric has been above the target, or below its nine tenths; `value` is the last one."""

    high: int = 0
    low: int = 0
    value: float | None = None

    def after(self, value: float | None, target_value: float) -> Alarms:
        """The alarms after one period more, with `value` requests for each target; None without any."""
        if value is None:
            return Alarms()
        return Alarms(high=self.high + 1 if value > target_value else 0, low=self.low + 1 if value < LOW_SHARE * target_value else 0, value=value)

    @property
    def raised(self) -> str:
        """Which one is in state ALARM: ``AlarmHigh``, ``AlarmLow``, or empty."""
        return "AlarmHigh" if self.high >= HIGH_PERIODS else "AlarmLow" if self.low >= LOW_PERIODS else ""


def wanted(alarms: Alarms, policy: ScalingPolicy, group: AutoScalingGroup, *, counted: int, warming: bool) -> int:
    """The desired capacity that a policy asks for; the present one if none. `counted` are the instances that the metric is about; `warming`: whether some are too new to count."""
    if alarms.value is None or not alarms.raised:
        return group.desired
    needed = math.ceil(counted * alarms.value / policy.target_value)
    if alarms.raised == "AlarmHigh":
        return max(group.desired, min(needed, group.max_size))
    if policy.disable_scale_in or warming:
        return group.desired
    return min(group.desired, max(needed, group.desired - 1, group.min_size))
