"""Target groups as they run: each target's connections, health and load, and whose turn it is.

A target keeps its connections and its health across a new configuration as long as its address, its port and its group's protocol stay. One that is
taken out drains: it gets no new requests, and those in progress may finish until the deregistration delay is over ("Edit target group attributes", documented).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

from services.alb.config import Algorithm, Target, TargetGroup
from services.alb.crew import Board
from services.alb.selection import LeastOutstanding, RoundRobin, Selection, WeightedRandom, Window, offered
from services.common.health import CheckResult, State, TargetHealth
from services.common.health_check import unverified_tls
from services.common.http import Destination, Outbox, Timeouts, UpstreamPool


class RunningTarget:
    """One registered target. An ALB does not send a request twice: `retry_stale` is off ("Edit attributes for your ALB": the 502 of a short keep-alive).

    `outstanding` counts requests in progress (of this process; `busy` those of the node, with a `cell` of the `board`), `requests` and `errors` those since the last `window`; `slow_since` is when its slow start began (monotonic seconds).
    """

    def __init__(self, target: Target, protocol: str, tasks: asyncio.TaskGroup, timeouts: Timeouts, outbox: Outbox) -> None:
        self.target = target
        self.protocol = protocol
        self.timeouts = timeouts
        self.destination = Destination(host=str(target.address), port=target.port, tls=unverified_tls() if protocol == "HTTPS" else None, timeouts=timeouts)
        self.pool = UpstreamPool(self.destination, tasks, retry_stale=False, outbox=outbox)
        self.health = TargetHealth()
        self.place = f"{target.address}:{target.port}"
        self.outstanding = 0
        self.board: Board | None = None
        self.cell = 0
        self.slow_since: float | None = None
        self._requests = self._errors = 0

    @property
    def state(self) -> State:
        return self.health.state

    @property
    def busy(self) -> int:
        """Requests in progress, of all processes of the node."""
        return self.outstanding if self.board is None else self.board.total(self.cell)

    def asked(self) -> None:
        """A request is sent to it."""
        self.outstanding += 1
        if self.board is not None:
            self.board.write(self.cell, self.outstanding)

    def answered(self, error: bool) -> None:
        """A request that was sent to it is over."""
        self.outstanding -= 1
        if self.board is not None:
            self.board.write(self.cell, self.outstanding)
        self._requests += 1
        self._errors += error

    def window(self) -> Window:
        """What was answered since the last call."""
        window, self._requests, self._errors = Window(requests=self._requests, errors=self._errors), 0, 0
        return window


class RunningGroup:
    """One target group on a node in `zone`. `on_health` hears of each change of a target's state."""

    def __init__(self, config: TargetGroup, zone: str, on_health: Callable[[RunningGroup, RunningTarget], None]) -> None:
        self.config = config
        self.targets: tuple[RunningTarget, ...] = ()
        self._zone = zone
        self._offered: tuple[RunningTarget, ...] = ()
        self._selection: Selection[RunningTarget] = _selection(config)
        self._on_health = on_health

    def configure(self, config: TargetGroup, tasks: asyncio.TaskGroup, timeouts: Timeouts, outbox: Outbox) -> tuple[tuple[RunningTarget, ...], tuple[RunningTarget, ...]]:
        """Take `config`; returns the targets that are new and those that are gone (their requests in progress may finish)."""
        kept = {running.target: running for running in self.targets if running.protocol == config.protocol and running.timeouts == timeouts}
        before, algorithm = self.targets, self.config
        self.config = config
        self.targets = tuple(kept.get(target) or RunningTarget(target, config.protocol, tasks, timeouts, outbox) for target in config.targets)
        if (algorithm.algorithm, algorithm.slow_start_s) != (config.algorithm, config.slow_start_s):
            self._selection = _selection(config)
        self._offer()
        gone = tuple(running for running in before if running not in self.targets)
        for running in gone:
            running.pool.close()
        return tuple(running for running in self.targets if running not in before), gone

    def select(self) -> RunningTarget | None:
        """The target for the next request."""
        return self._selection.select(time.monotonic())

    def offered_at(self, place: str) -> RunningTarget | None:
        """The target at `place` (``address:port``), if it takes requests."""
        return next((target for target in self._offered if target.place == place), None)

    def learn(self, place: str, health: TargetHealth, slow_since: float | None) -> None:
        """Another process has checked the target at `place`."""
        for running in self.targets:
            if running.place == place:
                running.health, running.slow_since = health, slow_since
        self._offer()

    def checked(self, running: RunningTarget, result: CheckResult) -> None:
        """A health check of `running` ended."""
        check, before = self.config.health_check, running.health.state
        running.health = running.health.after(result, healthy_threshold=check.healthy_threshold, unhealthy_threshold=check.unhealthy_threshold)
        if running.health.state is not before:
            if running.health.state is State.HEALTHY and self.config.slow_start_s:
                running.slow_since = time.monotonic()
            self._offer()
            self._on_health(self, running)

    @property
    def is_in_dns(self) -> bool:
        """Whether enough targets are healthy for this node's zone to be in DNS; of all zones, unless cross-zone load balancing is off. A group without targets does
        not count (assumed)."""
        here = self._here()
        return not here or sum(running.state is State.HEALTHY for running in here) >= min(self.config.minimum_healthy_in_dns, len(here))

    def reweigh(self) -> tuple[RunningTarget, ...]:
        """Mitigate anomalies, where the group asks for that; returns the targets that get less than their share."""
        if not self.config.anomaly_mitigation or not isinstance(self._selection, WeightedRandom):
            return ()
        return self._selection.reweigh({id(target): target.window() for target in self._offered})

    def _offer(self) -> None:
        self._offered = offered(self._here(), self.config.minimum_healthy_targets)
        self._selection.replace(self._offered)

    def _here(self) -> tuple[RunningTarget, ...]:
        """The targets that this node serves."""
        return self.targets if self.config.cross_zone else tuple(running for running in self.targets if running.target.availability_zone == self._zone)


def _selection(config: TargetGroup) -> Selection[RunningTarget]:
    if config.algorithm is Algorithm.LEAST_OUTSTANDING_REQUESTS:
        return LeastOutstanding()
    if config.algorithm is Algorithm.WEIGHTED_RANDOM:
        return WeightedRandom(random.random)
    return RoundRobin(config.slow_start_s)
