"""Auto Scaling groups and their target tracking policies: how many instances there are to be, and where.

Which instances run is state of the running lab, held in the topology that runs: ordinary `Instance` resources with `launched_by` (`model.launching`, decision 0020). What happens to
them, and when, is `testbed.scaling`'s.
Sources: CloudFormation, "AWS::AutoScaling::AutoScalingGroup", "AWS::AutoScaling::ScalingPolicy"; EC2 Auto Scaling user guide, "Health checks for instances in an Auto Scaling group", "Set the health
check grace period", "Target tracking scaling policies", "Suspend and resume Amazon EC2 Auto Scaling processes" (documented).
NOT MODELLED: lifecycle hooks, warm pools, scheduled, simple and step scaling, mixed instances, instance refresh, instance protection, other predefined metrics (there are no CPUs to measure).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from testbed.model.values import Fault, bounds_faults, choice_faults, id_faults

EC2, ELB = "EC2", "ELB"
LAUNCH, TERMINATE, HEALTH_CHECK, REPLACE_UNHEALTHY, AZ_REBALANCE, ALARM_NOTIFICATION, ADD_TO_LOAD_BALANCER = PROCESSES = (
    "Launch", "Terminate", "HealthCheck", "ReplaceUnhealthy", "AZRebalance", "AlarmNotification", "AddToLoadBalancer",
)  # fmt: skip
LARGEST_GROUP = 1000
LONGEST_S = 86400


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoScalingGroup:
    """An Auto Scaling group over the subnets of `vpc_zone_identifier`. `desired_capacity` None is `min_size`. With health check type ``ELB`` an instance that its target groups call unhealthy is
    replaced; with ``EC2`` only one whose status checks fail.

    `launched` is no property of AWS's: how many instances it has launched so far; 0 is a group that has yet to launch its first ones.
    """

    id: str
    launch_template_id: str
    vpc_zone_identifier: tuple[str, ...]
    min_size: int
    max_size: int
    desired_capacity: int | None = None
    target_group_arns: tuple[str, ...] = ()
    health_check_type: str = EC2
    health_check_grace_period: int = 0
    suspended_processes: tuple[str, ...] = ()
    launched: int = 0

    @property
    def desired(self) -> int:
        """How many instances it is to have."""
        return self.min_size if self.desired_capacity is None else self.desired_capacity

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the group by itself."""
        return (
            *id_faults(self.id),
            *bounds_faults(self.id, "min_size", self.min_size, 0, LARGEST_GROUP),
            *bounds_faults(self.id, "max_size", self.max_size, 0, LARGEST_GROUP),
            *choice_faults(self.id, "health_check_type", self.health_check_type, (EC2, ELB)),
            *bounds_faults(self.id, "health_check_grace_period", self.health_check_grace_period, 0, LONGEST_S),
            *(fault for process in self.suspended_processes for fault in choice_faults(self.id, "suspended_processes", process, PROCESSES)),
            *self._size_faults(),
        )

    def _size_faults(self) -> Iterator[Fault]:
        if self.min_size > self.max_size:
            yield Fault(resource=self.id, problem=f"min_size {self.min_size} is greater than max_size {self.max_size}", remedy="let min_size be the smaller one")
        elif not self.min_size <= self.desired <= self.max_size:
            problem = f"desired capacity {self.desired} is not between the specified min size {self.min_size} and max size {self.max_size}"
            yield Fault(resource=self.id, problem=problem, remedy="set desired_capacity between the two, or leave it out for min_size")
        if not self.vpc_zone_identifier:
            yield Fault(resource=self.id, problem="vpc_zone_identifier names no subnet", remedy="name the subnets in which instances may be launched")
        if self.health_check_type == ELB and not self.target_group_arns:
            yield Fault(resource=self.id, problem="health_check_type ELB without a target group", remedy="name a target group in target_group_arns, or use EC2")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingPolicy:
    """Target tracking by ``ALBRequestCountPerTarget``: so many instances that each gets `target_value` requests a minute. `resource_label` is the id of the target group, in place of AWS's
    ``app/…/targetgroup/…``. An instance counts once its `estimated_instance_warmup` (seconds) is over."""

    id: str
    auto_scaling_group_name: str
    resource_label: str
    target_value: float
    disable_scale_in: bool = False
    estimated_instance_warmup: int = 300

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the policy by itself."""
        positive = () if self.target_value > 0 else (Fault(resource=self.id, problem=f"target_value {self.target_value:g} is not positive", remedy="say how many requests a minute an instance takes"),)
        return (*id_faults(self.id), *positive, *bounds_faults(self.id, "estimated_instance_warmup", self.estimated_instance_warmup, 0, LONGEST_S))
