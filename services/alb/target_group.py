"""Target groups as they run: each target's connections and health, and whose turn it is.

A target keeps its connections and its health across a new configuration as long as its address, its port and its group's protocol stay.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

from services.alb.config import Target, TargetGroup
from services.alb.health import CheckResult, State, TargetHealth
from services.alb.selection import RoundRobin
from services.common.http import Destination, Outbox, Timeouts, UpstreamPool


def unverified_tls() -> ssl.SSLContext:
    """Certificates of targets are not verified ("Target groups", documented)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class RunningTarget:
    """One registered target. An ALB does not send a request twice: `retry_stale` is off ("Edit attributes for your ALB": the 502 of a short keep-alive)."""

    def __init__(self, target: Target, protocol: str, tasks: asyncio.TaskGroup, timeouts: Timeouts, outbox: Outbox) -> None:
        self.target = target
        self.protocol = protocol
        self.timeouts = timeouts
        self.destination = Destination(host=str(target.address), port=target.port, tls=unverified_tls() if protocol == "HTTPS" else None, timeouts=timeouts)
        self.pool = UpstreamPool(self.destination, tasks, retry_stale=False, outbox=outbox)
        self.health = TargetHealth()

    @property
    def state(self) -> State:
        return self.health.state


class RunningGroup:
    """One target group. `on_health` hears of each change of a target's state."""

    def __init__(self, config: TargetGroup, on_health: Callable[[RunningGroup, RunningTarget], None]) -> None:
        self.config = config
        self.targets: tuple[RunningTarget, ...] = ()
        self._turns: RoundRobin[RunningTarget] = RoundRobin()
        self._on_health = on_health

    def configure(self, config: TargetGroup, tasks: asyncio.TaskGroup, timeouts: Timeouts, outbox: Outbox) -> tuple[tuple[RunningTarget, ...], tuple[RunningTarget, ...]]:
        """Take `config`; returns the targets that are new and those that are gone (their requests in progress may finish)."""
        kept = {running.target: running for running in self.targets if running.protocol == config.protocol and running.timeouts == timeouts}
        before = self.targets
        self.config = config
        self.targets = tuple(kept.get(target) or RunningTarget(target, config.protocol, tasks, timeouts, outbox) for target in config.targets)
        self._turns.replace(self.targets)
        gone = tuple(running for running in before if running not in self.targets)
        for running in gone:
            running.pool.close()
        return tuple(running for running in self.targets if running not in before), gone

    def select(self) -> RunningTarget | None:
        """The target for the next request."""
        return self._turns.select()

    def checked(self, running: RunningTarget, result: CheckResult) -> None:
        """A health check of `running` ended."""
        check, before = self.config.health_check, running.health.state
        running.health = running.health.after(result, healthy_threshold=check.healthy_threshold, unhealthy_threshold=check.unhealthy_threshold)
        if running.health.state is not before:
            self._turns.replace(self.targets)
            self._on_health(self, running)
