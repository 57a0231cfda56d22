"""What a group does next, from what is seen of its members. Pure; one look gives the decisions of that moment, and the next look sees what they have led to.

    leaving, drained      ─▶ End
    unhealthy             ─▶ Leave, at once; what is then missing is launched (terminated first, replaced then)
    fewer than desired    ─▶ Launch
    more than desired     ─▶ Leave: in the zone with the most, the oldest; once no other member is new to its balancer
    as many, but uneven   ─▶ Launch one where fewest are, beyond the desired capacity for a moment: the next look takes one away where most are
    tasks of an old definition ─▶ Launch as many new ones beside them as `maximum_percent` allows; once these are healthy, Leave

Health: EC2 status checks that fail; with health check type ELB (and for tasks) a target that its balancers call unhealthy, once the grace period is over. A member that a balancer
does not know yet is not unhealthy.
Sources: EC2 Auto Scaling user guide, "Health checks for instances", "Set the health check grace period", "Default termination policy", "Availability Zone distribution" (rebalancing, also after a
zone has recovered), "Suspend and resume processes"; ECS developer guide, "Rolling update" (documented). Assumed: that of the zone with the most the oldest goes, the template being the same.
NOT MODELLED: instance maintenance policies (launch before terminate).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from testbed.model.auto_scaling_group import AZ_REBALANCE, ELB, HEALTH_CHECK, LAUNCH, REPLACE_UNHEALTHY, TERMINATE, AutoScalingGroup
from testbed.model.ecs_service import EcsService
from testbed.model.launching import Group

INITIAL, HEALTHY, UNHEALTHY = "initial", "healthy", "unhealthy"
STATUS_CHECK, BALANCER, CAPACITY, REPLACEMENT, REBALANCING, DEPLOYMENT = "status check", "balancer", "capacity", "replacement", "rebalancing", "deployment"
"""Why something is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A member now: `age_s` since its launch in AWS's time, `target` as its balancers see it ("" without one). `drained`: whether one that is leaving is done with."""

    name: str
    zone: str
    age_s: float
    impaired: bool = False
    target: str = ""
    leaving: bool = False
    drained: bool = False
    stale: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """One member more."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave:
    """A member is taken out of service: no new requests, those in progress may finish."""

    name: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """A member that has left is terminated."""

    name: str


Decision = Launch | Leave | End


def decide(group: Group, members: Sequence[Seen], available: Sequence[str]) -> tuple[Decision, ...]:
    """The decisions of now, in order. `available` are the group's zones in which something can be launched."""
    suspended = group.suspended_processes if isinstance(group, AutoScalingGroup) else ()
    staying = [member for member in members if not member.leaving]
    failed = {member.name: why for member in staying if (why := _illness(group, member, suspended))} if REPLACE_UNHEALTHY not in suspended else {}
    well = [member for member in staying if member.name not in failed]
    decided = [
        *(End(name=member.name) for member in members if member.leaving and member.drained),
        *(Leave(name=name, why=why) for name, why in failed.items()),
        *_sized(group, well, REPLACEMENT if failed else CAPACITY, quiet=not failed and not any(member.leaving for member in members), available=available),
    ]
    barred = tuple(kind for kind, process in ((Launch, LAUNCH), (Leave, TERMINATE), (End, TERMINATE)) if process in suspended)
    return tuple(decision for decision in decided if not isinstance(decision, barred))


def _sized(group: Group, well: Sequence[Seen], why: str, *, quiet: bool, available: Sequence[str]) -> Iterator[Decision]:
    desired = group.desired if isinstance(group, AutoScalingGroup) else group.desired_count
    fresh, stale = [member for member in well if not member.stale], [member for member in well if member.stale]
    settled = all(member.target in ("", HEALTHY) for member in fresh)
    missing = desired - len(fresh)
    if missing > 0:
        room = desired * group.maximum_percent // 100 - len(well) if isinstance(group, EcsService) else missing
        yield from (Launch(why=DEPLOYMENT if stale else why) for _ in range(min(missing, room)))
    elif settled and stale:
        yield from (Leave(name=member.name, why=DEPLOYMENT) for member in stale)
    elif settled and missing < 0:
        yield from (Leave(name=member.name, why=CAPACITY) for member in _surplus(fresh, -missing))
    elif quiet and settled and missing == 0 and _is_uneven(group, fresh, available):
        yield Launch(why=REBALANCING)


def _illness(group: Group, member: Seen, suspended: Sequence[str]) -> str:
    if HEALTH_CHECK in suspended:
        return ""
    if member.impaired:
        return STATUS_CHECK
    by_balancer = group.health_check_type == ELB if isinstance(group, AutoScalingGroup) else True
    grace_s = group.health_check_grace_period if isinstance(group, AutoScalingGroup) else group.health_check_grace_period_seconds
    return BALANCER if by_balancer and member.target == UNHEALTHY and member.age_s >= grace_s else ""


def _surplus(members: Sequence[Seen], count: int) -> list[Seen]:
    left, gone = list(members), []
    for _ in range(count):
        in_zone = Counter(member.zone for member in left)
        gone.append(max(left, key=lambda member: (in_zone[member.zone], member.age_s, member.name)))
        left.remove(gone[-1])
    return gone


def _is_uneven(group: Group, members: Sequence[Seen], available: Sequence[str]) -> bool:
    if isinstance(group, EcsService) or AZ_REBALANCE in group.suspended_processes or not available:
        return False
    in_zone = Counter(member.zone for member in members)
    return max(in_zone.values(), default=0) - min(in_zone[zone] for zone in available) > 1
