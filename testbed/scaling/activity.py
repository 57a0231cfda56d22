"""Scaling activities and service events, in AWS's wording.

Sources: EC2 Auto Scaling user guide, "Verify a scaling activity for an Auto Scaling group", "Troubleshoot Amazon EC2 Auto Scaling"; AWS CLI reference, "describe-scaling-activities"; ECS developer guide,
"Viewing Amazon ECS service event messages" (documented). The words for rebalancing and for a policy's alarm are as seen in consoles (assumed). Times are the lab's wall clock, in UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from testbed.model.auto_scaling_group import AutoScalingGroup
from testbed.model.launching import Group
from testbed.scaling.decide import BALANCER, REBALANCING, REPLACEMENT, STATUS_CHECK

IN_PROGRESS, DRAINING, SUCCESSFUL, FAILED = "InProgress", "WaitingForELBConnectionDraining", "Successful", "Failed"
NO_CAPACITY = "We currently do not have sufficient capacity in the Availability Zone you requested ({zone})."
ILLNESSES = {STATUS_CHECK: "EC2 instance status checks failure", BALANCER: "ELB system health check failure"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """A scaling activity, or an event of a service (then without a cause). Times are seconds since the epoch; `ended` None is one in progress."""

    group: str
    description: str
    cause: str = ""
    started: float
    ended: float | None = None
    status_code: str = IN_PROGRESS
    status_message: str = ""


def stamp(at: float) -> str:
    """``2026-11-23T02:39:03Z``."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def launching(group: Group, name: str) -> str:
    """What is done at a launch."""
    return f"Launching a new EC2 instance: {name}" if isinstance(group, AutoScalingGroup) else f"(service {group.id}) has started 1 tasks: (task {name})."


def refused(group: Group, zone: str) -> str:
    """What was tried in a zone that takes no launch."""
    if isinstance(group, AutoScalingGroup):
        return "Launching a new EC2 instance.  Status Reason: Could not launch On-Demand Instances. InsufficientInstanceCapacity. Launching EC2 instance failed."
    return f"(service {group.id}) was unable to place a task. Reason: Capacity is unavailable at this time in {zone}."


def terminating(group: Group, name: str, why: str) -> str:
    """What is done when a member leaves."""
    if isinstance(group, AutoScalingGroup):
        return f"Terminating EC2 instance: {name}"
    if why == BALANCER:
        return f"(service {group.id}) (task {name}) is unhealthy in (target-group {group.target_group_arn}) due to (reason Health checks failed). It is stopped once its connections are drained."
    return f"(service {group.id}) has begun draining connections on 1 tasks: (task {name})."


def created(at: float, capacity: int) -> str:
    """The first words of a new group's causes."""
    return f"At {stamp(at)} a user request created an AutoScalingGroup changing the desired capacity from 0 to {capacity}.  {started(at, 0, capacity)}"


def started(at: float, before: int, after: int) -> str:
    """Why an instance was launched to fill a group."""
    return f"At {stamp(at)} an instance was started in response to a difference between desired and actual capacity, increasing the capacity from {before} to {after}."


def launched(why: str, at: float, before: int, after: int) -> str:
    """Why one instance was launched."""
    if why == REPLACEMENT:
        return f"At {stamp(at)} an instance was launched in response to an unhealthy instance needing to be replaced."
    if why == REBALANCING:
        return f"At {stamp(at)} an instance was launched to aid in balancing the group's zones."
    return started(at, before, after)


def left(why: str, at: float, name: str, before: int, after: int) -> str:
    """Why one instance was taken out of service."""
    if why in ILLNESSES:
        return f"At {stamp(at)} an instance was taken out of service in response to an {ILLNESSES[why]}."
    shrunk = f"At {stamp(at)} an instance was taken out of service in response to a difference between desired and actual capacity, shrinking the capacity from {before} to {after}."
    return f"{shrunk}  At {stamp(at)} instance {name} was selected for termination."


def alarmed(at: float, group: str, policy: str, alarm: str, before: int, after: int) -> str:
    """Why a policy has changed the desired capacity."""
    return f"At {stamp(at)} a monitor alarm TargetTracking-{group}-{alarm} in state ALARM triggered policy {policy} changing the desired capacity from {before} to {after}."


def asked(at: float, before: int, after: int) -> str:
    """Why the desired capacity differs: a person has changed it."""
    return f"At {stamp(at)} a user request explicitly set group desired capacity changing the desired capacity from {before} to {after}."
