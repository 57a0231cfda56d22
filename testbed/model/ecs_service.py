"""ECS services whose tasks have a network interface of their own each (network mode ``awsvpc``, launch type Fargate), registered by address in a target group of type ``ip``.

The tasks that run are, as those of an Auto Scaling group, `Instance` resources with `launched_by` (`model.launching`, decision 0020).
Sources: CloudFormation, "AWS::ECS::Service", "AWS::ECS::TaskDefinition"; ECS developer guide, "Use an Application Load Balancer for Amazon ECS", "Task networking with the awsvpc network mode",
"Rolling update" (documented).
NOT MODELLED: clusters, container instances and bridge mode (there is nothing to place tasks on), several containers in a task, the task metadata endpoint, images and roles, service auto scaling,
deployment circuit breakers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from testbed.model.instance import WebApplication
from testbed.model.values import Fault, bounds_faults, id_faults

LARGEST_SERVICE = 1000
LONGEST_S = 2147483647


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDefinition:
    """A task definition with one container, which runs `container` on its port. Tasks are called by `id`, from which their names here are made."""

    id: str
    container: WebApplication

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the definition by itself."""
        return (*id_faults(self.id), *bounds_faults(self.id, "container port", self.container.port, 1, 65535))


@dataclass(frozen=True, slots=True, kw_only=True)
class EcsService:
    """A service of `desired_count` tasks over `subnets`. A task that its target group calls unhealthy is replaced, once `health_check_grace_period_seconds` are over; one whose definition differs
    from the present one is replaced by a rolling update: new tasks first, up to `maximum_percent`, then the old ones are drained.

    `launched` is no property of AWS's: how many tasks it has started so far.
    """

    id: str
    task_definition: str
    desired_count: int
    subnets: tuple[str, ...]
    security_groups: tuple[str, ...] = ()
    target_group_arn: str | None = None
    health_check_grace_period_seconds: int = 0
    maximum_percent: int = 200
    launched: int = 0

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the service by itself."""
        return (
            *id_faults(self.id),
            *bounds_faults(self.id, "desired_count", self.desired_count, 0, LARGEST_SERVICE),
            *bounds_faults(self.id, "health_check_grace_period_seconds", self.health_check_grace_period_seconds, 0, LONGEST_S),
            *bounds_faults(self.id, "maximum_percent", self.maximum_percent, 100, 1000),
            *self._subnet_faults(),
        )

    def _subnet_faults(self) -> Iterator[Fault]:
        if not self.subnets:
            yield Fault(resource=self.id, problem="subnets names no subnet", remedy="name the subnets in which tasks may run")
