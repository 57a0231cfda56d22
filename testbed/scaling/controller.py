"""The regional Auto Scaling (and ECS) service of a running lab: a thread that looks, decides, and has the lab changed. All times are AWS's, divided by the lab's time scale.

    look       members of the running topology, balancers' events, status checks when due, failed zones
    decide     `decide.decide` for each group, `target_tracking` once a period
    change     one live change for all of it, under the lab's own lock, and not waiting for daemons: what does not come up is unhealthy, as on AWS
    record     scaling activities

Assumed: groups are looked at every 10 s; two status checks in a row must fail; a zone that `testbed fail` has broken takes no launch, and no node of a balancer there speaks.
NOT MODELLED: the time in which an instance boots (here it serves some tenths of a second after its launch).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from testbed.engine.errors import RealiseError
from testbed.engine.status import Failure, FailureMode
from testbed.model.auto_scaling_group import ALARM_NOTIFICATION, AutoScalingGroup, ScalingPolicy
from testbed.model.errors import ModelError
from testbed.model.instance import Instance
from testbed.model.launching import Group, deregister, desired_of, groups_of, is_stale, launch, members_of, resized, subnets_of, target_groups_of, terminate
from testbed.model.subnet import Subnet
from testbed.model.target_group import TargetGroup
from testbed.model.topology import Topology
from testbed.observe.lab_view import LabView
from testbed.resolve.resolved import Resolved
from testbed.scaling import activity
from testbed.scaling.activity import DRAINING, FAILED, NO_CAPACITY
from testbed.scaling.activity_log import ActivityLog
from testbed.scaling.decide import CAPACITY, HEALTHY, INITIAL, UNHEALTHY, End, Launch, Leave, Seen, decide
from testbed.scaling.signals import BALANCER_KINDS, BalancerEvents, answering
from testbed.scaling.status import AUTO_SCALING_GROUP, ECS_SERVICE, GroupStatus, MemberStatus
from testbed.scaling.target_tracking import PERIOD_S, Alarms, wanted

log = logging.getLogger(__name__)
LOOK_EVERY_S, STATUS_CHECK_EVERY_S = 10.0, 60.0
FASTEST_LOOK_S, FASTEST_CHECK_S = 0.1, 0.5
FAILED_CHECKS = 2
SPARE_S = 10.0
"""After the deregistration delay, for balancers' nodes that do not say that they are done."""


class ScaledLab(LabView, Protocol):
    """What is looked at: a lab in this process."""

    changing: threading.RLock

    @property
    def failures(self) -> tuple[Failure, ...]: ...


@dataclass(slots=True, kw_only=True)
class Member:
    """What is remembered of a member. Times are those of a steady clock; `leaving_since` None is in service, `termination` its activity's number."""

    launched_at: float
    failed_checks: int = 0
    leaving_since: float | None = None
    termination: int = 0


@dataclass(slots=True, kw_only=True)
class Tracking:
    """A policy at work: when its period began, and how many requests there had been."""

    since: float
    requests: int
    alarms: Alarms = field(default_factory=Alarms)


@dataclass(slots=True, kw_only=True)
class Change:
    """What one look asks for: the topology, and the activities that hang on it."""

    topology: Topology
    launches: list[int] = field(default_factory=list)
    leaving: dict[str, int] = field(default_factory=dict)
    ended: list[int] = field(default_factory=list)


class Controller:
    """The service for one lab. `present` is the topology that runs (None: it is not known), `change` carries out another one."""

    def __init__(self, lab: ScaledLab, present: Callable[[], Resolved | None], change: Callable[[Topology], object]) -> None:
        self._lab, self._present, self._change = lab, present, change
        self._events = BalancerEvents(lab.log_directory)
        self._members: dict[str, Member] = {}
        self._desired: dict[str, int] = {}
        self._resized: dict[str, str] = {}
        self._tracking: dict[str, Tracking] = {}
        self._refused: dict[str, frozenset[str]] = {}
        self._log = ActivityLog(time.time)
        self._next_check_at = 0.0
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, beside the caller."""
        self._thread = threading.Thread(target=self._run, name="auto scaling", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End, once what is being changed is changed."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def status(self) -> tuple[GroupStatus, ...]:
        """All groups and services, by name."""
        with self._lab.changing:
            resolved = self._present()
            if resolved is None:
                return ()
            self._remember(resolved.topology)
            return tuple(self._status(group, resolved.topology) for group in groups_of(resolved.topology))

    def _run(self) -> None:
        while not self._ending.is_set():
            resolved = self._present()
            if resolved is not None and groups_of(resolved.topology):
                try:
                    self._events.read(self._lab.plan)
                    self._check_statuses(resolved)
                    self._look()
                except (OSError, RealiseError, ModelError):  # the next look finds what is there then
                    log.exception("auto scaling could not do what it wanted")
            self._ending.wait(max(LOOK_EVERY_S / self._lab.plan.time_scale, FASTEST_LOOK_S))

    def _look(self) -> None:
        with self._lab.changing:
            resolved = self._present()
            if resolved is None or self._ending.is_set():
                return
            self._remember(resolved.topology)
            change = Change(topology=resolved.topology)
            for group in groups_of(resolved.topology):
                self._track(group.id, change)
                self._decide(group.id, change)
            if change.topology is resolved.topology:
                return
            try:
                self._change(change.topology)
            except (OSError, RealiseError, ModelError) as error:
                for number in (*change.launches, *change.leaving.values()):
                    self._log.end(number, FAILED, str(error))
                raise
            for number in (*change.launches, *change.ended):
                self._log.end(number)
            for name, number in change.leaving.items():
                self._members[name].leaving_since, self._members[name].termination = time.monotonic(), number
                self._log.now(number, DRAINING, "Waiting for ELB connection draining.")

    def _check_statuses(self, resolved: Resolved) -> None:
        if time.monotonic() < self._next_check_at:
            return
        self._next_check_at = time.monotonic() + max(STATUS_CHECK_EVERY_S / self._lab.plan.time_scale, FASTEST_CHECK_S)
        addresses = {interface.node: interface.address for interface in resolved.interfaces if interface.device == "eth0" and interface.owner in self._members}
        answered = answering(self._lab, addresses) if addresses else frozenset()
        for name in addresses.keys() & self._members.keys():
            self._members[name].failed_checks = 0 if name in answered else self._members[name].failed_checks + 1

    def _remember(self, topology: Topology) -> None:
        """Know the members that are there, forget those that are not, and notice what a person has changed."""
        there = {instance.id for instance in topology.of(Instance) if instance.launched_by is not None}
        for name in self._members.keys() - there:
            del self._members[name]
        for group in groups_of(topology):
            desired, before, now = desired_of(group), self._desired.get(group.id), self._log.clock()
            for number, instance in enumerate(each for each in members_of(topology, group.id) if each.id not in self._members):
                self._members[instance.id] = Member(launched_at=time.monotonic())
                if before is None:
                    cause = activity.created(now, desired) if number == 0 else activity.started(now, number, number + 1)
                    self._log.end(self._log.begin(group.id, activity.launching(group, instance.id), cause if isinstance(group, AutoScalingGroup) else ""))
            if before is not None and before != desired:
                self._resized[group.id] = activity.asked(now, before, desired)
            self._desired[group.id] = desired

    def _track(self, group_id: str, change: Change) -> None:
        """Once a period, do what the group's policies ask for."""
        for policy in change.topology.of(ScalingPolicy):
            group = next(each for each in groups_of(change.topology) if each.id == group_id)
            if policy.auto_scaling_group_name != group_id or not isinstance(group, AutoScalingGroup):
                continue
            now, so_far = time.monotonic(), self._events.requests[policy.resource_label]
            tracking = self._tracking.setdefault(policy.id, Tracking(since=now, requests=so_far))
            periods = (now - tracking.since) * self._lab.plan.time_scale / PERIOD_S  # a look may come late
            if periods < 1:
                continue
            ages = [self._age_s(member.id) for member in members_of(change.topology, group_id) if self._members[member.id].leaving_since is None]
            ready = sum(age >= policy.estimated_instance_warmup for age in ages)
            counted, requests = ready or len(ages), so_far - tracking.requests
            tracking.since, tracking.requests = now, so_far
            tracking.alarms = tracking.alarms.after(requests / periods / counted if requests and counted else None, policy.target_value)
            desired = wanted(tracking.alarms, policy, group, counted=counted, warming=ready < len(ages))
            if desired != group.desired and ALARM_NOTIFICATION not in group.suspended_processes:
                self._resized[group_id] = activity.alarmed(self._log.clock(), group_id, policy.id, tracking.alarms.raised, group.desired, desired)
                self._desired[group_id] = desired
                change.topology = resized(change.topology, group_id, desired)

    def _decide(self, group_id: str, change: Change) -> None:
        group = next(each for each in groups_of(change.topology) if each.id == group_id)
        failed, seen = self._failed_zones(), self._seen(group, change.topology)
        zones = tuple(dict.fromkeys(subnet.availability_zone for subnet in subnets_of(group, change.topology)))
        decisions = decide(group, seen, [zone for zone in zones if zone not in failed])
        capacity = sum(not member.leaving for member in seen)
        for decision in decisions:
            now = self._log.clock()
            match decision:
                case Launch(why=why):
                    self._refuse(group, failed & set(zones))
                    change.topology, name = launch(change.topology, group_id, failed)
                    if name is not None:
                        capacity += 1
                        self._members[name] = Member(launched_at=time.monotonic())
                        cause = self._with_size(group, why, activity.launched(why, now, capacity - 1, capacity))
                        change.launches.append(self._log.begin(group_id, activity.launching(group, name), cause))
                case Leave(name=name, why=why):
                    capacity -= 1
                    change.topology = deregister(change.topology, name)
                    cause = self._with_size(group, why, activity.left(why, now, name, capacity + 1, capacity))
                    change.leaving[name] = self._log.begin(group_id, activity.terminating(group, name, why), cause)
                case End(name=name):
                    change.topology = terminate(change.topology, name)
                    change.ended.append(self._members[name].termination)
        if not failed & set(zones):
            self._refused.pop(group_id, None)
        if capacity == desired_of(group):
            self._resized.pop(group_id, None)

    def _with_size(self, group: Group, why: str, cause: str) -> str:
        """A cause, after the words for a change of the desired capacity that led to it. A service has events, without causes."""
        if not isinstance(group, AutoScalingGroup):
            return ""
        return f"{self._resized[group.id]}  {cause}" if why == CAPACITY and group.id in self._resized else cause

    def _refuse(self, group: Group, failed: frozenset[str]) -> None:
        """Tell once that a zone takes no launch."""
        for zone in sorted(failed - self._refused.get(group.id, frozenset())):
            self._log.end(self._log.begin(group.id, activity.refused(group, zone)), FAILED, NO_CAPACITY.format(zone=zone))
        self._refused[group.id] = failed

    def _seen(self, group: Group, topology: Topology) -> list[Seen]:
        silent, zones = self._silent(), {subnet.id: subnet.availability_zone for subnet in topology.of(Subnet)}
        return [
            Seen(
                name=member.id,
                zone=zones[member.subnet_id],
                age_s=self._age_s(member.id),
                impaired=self._members[member.id].failed_checks >= FAILED_CHECKS,
                target=self._target(group, member.id, silent),
                leaving=self._members[member.id].leaving_since is not None,
                drained=self._is_drained(group, member.id, topology, silent),
                stale=is_stale(group, member, topology),
            )
            for member in members_of(topology, group.id)
        ]

    def _target(self, group: Group, name: str, silent: frozenset[str]) -> str:
        states = {self._events.target(target_group, name, silent) for target_group in target_groups_of(group)}
        return next((state for state in (UNHEALTHY, INITIAL, HEALTHY) if state in states), "")

    def _is_drained(self, group: Group, name: str, topology: Topology, silent: frozenset[str]) -> bool:
        since = self._members[name].leaving_since
        if since is None:
            return False
        named = target_groups_of(group)
        delays_s = (each.deregistration_delay_timeout_seconds for each in topology.of(TargetGroup) if each.id in named)
        over = (time.monotonic() - since) * self._lab.plan.time_scale > max(delays_s, default=0) + SPARE_S
        return over or all(self._events.has_left(each, name, silent) for each in named)

    def _failed_zones(self) -> frozenset[str]:
        zones = {node.zone for node in self._lab.plan.nodes} - {""}
        return frozenset(failure.what for failure in self._lab.failures if failure.what in zones and failure.mode in (FailureMode.CUT, FailureMode.BLACKHOLE))

    def _silent(self) -> frozenset[str]:
        """The balancers' daemons of which nothing is heard any more."""
        zones = self._failed_zones()
        in_zones = {node.name for node in self._lab.plan.nodes if node.zone in zones}
        held = {service for failure in self._lab.failures for service in failure.services}
        return frozenset(service.name for service in self._lab.plan.services if service.kind in BALANCER_KINDS and (service.node in in_zones or service.name in held))

    def _age_s(self, name: str) -> float:
        return (time.monotonic() - self._members[name].launched_at) * self._lab.plan.time_scale

    def _status(self, group: Group, topology: Topology) -> GroupStatus:
        is_asg = isinstance(group, AutoScalingGroup)
        members = tuple(
            MemberStatus(
                name=seen.name,
                availability_zone=seen.zone,
                lifecycle_state=("Terminating:Wait" if seen.leaving else "InService") if is_asg else ("DEACTIVATING" if seen.leaving else "RUNNING"),
                health_status="Unhealthy" if seen.impaired else "Healthy",
                target="" if seen.leaving else seen.target,
            )
            for seen in self._seen(group, topology)
        )
        return GroupStatus(
            name=group.id,
            kind=AUTO_SCALING_GROUP if is_asg else ECS_SERVICE,
            min_size=group.min_size if isinstance(group, AutoScalingGroup) else 0,
            max_size=group.max_size if isinstance(group, AutoScalingGroup) else desired_of(group),
            desired_capacity=desired_of(group),
            members=members,
            activities=self._log.of(group.id),
            requests_per_target=tuple((policy, tracking.alarms.value) for policy, tracking in sorted(self._tracking.items()) if any(p.id == policy and p.auto_scaling_group_name == group.id for p in topology.of(ScalingPolicy))),
        )
