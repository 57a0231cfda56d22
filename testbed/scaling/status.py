"""What a lab's process tells of its Auto Scaling groups and ECS services (`testbed scaling`), in AWS's words."""

from __future__ import annotations

from dataclasses import dataclass

from testbed.scaling.activity import Activity

AUTO_SCALING_GROUP, ECS_SERVICE = "Auto Scaling group", "ECS service"


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberStatus:
    """An instance (``InService``, ``Terminating:Wait``; ``Healthy``, ``Unhealthy``) or a task (``RUNNING``, ``DEACTIVATING``). `target` is its health as its balancers see it."""

    name: str
    availability_zone: str
    lifecycle_state: str
    health_status: str
    target: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupStatus:
    """A group or service, its members and its activities, the latest first. `requests_per_target` is the last minute's, by policy; None without requests."""

    name: str
    kind: str
    min_size: int
    max_size: int
    desired_capacity: int
    members: tuple[MemberStatus, ...]
    activities: tuple[Activity, ...]
    requests_per_target: tuple[tuple[str, float | None], ...] = ()
