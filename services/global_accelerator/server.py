"""Global Accelerator's daemon at one edge location: the health of endpoints, and the maps that it decides. The packets are the kernel's.

    checks of instances and Elastic IPs ─┐
    what load balancers tell of targets ─┴▶ an endpoint's state changes ─▶ write the maps: new flows go elsewhere, at once and without DNS. Old ones stay

An endpoint that is still `initial` counts as healthy. Each edge location asks by itself, over AWS's own network; AWS gathers what Route 53's checkers think (assumed to come to the same).
Source: Global Accelerator developer guide, "Changing health check options", "Endpoint weights"; API reference, "EndpointGroup" (documented). Assumed: a load balancer is healthy as long as one of its
zones is; how often that is looked at.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

from services.common import zone_health
from services.common.events import ENDPOINT_HEALTH
from services.common.health import CheckResult, State, TargetHealth
from services.common.health_check import checked
from services.common.runtime import Runtime
from services.common.slot_maps import Kernel
from services.global_accelerator.config import SLOTS, Config, Endpoint, EndpointGroup, Listener, Way, spread

log = logging.getLogger(__name__)
LOOK_EVERY_S = 1.0
"""At what load balancers tell."""
NO_HEALTHY_TARGET = "no zone of the load balancer has enough healthy targets"
Key = tuple[str, str]
"""An endpoint group's id, and an endpoint's."""


@dataclass(slots=True)
class Running:
    """An endpoint: its health, which of its ways are well, and the task that looks after it."""

    health: TargetHealth = field(default_factory=TargetHealth)
    unwell: frozenset[Way] = frozenset()
    task: asyncio.Task[None] | None = None


class Edge:
    """One edge location. `configure` takes any configuration after any other; an endpoint keeps its health across them."""

    def __init__(self, config: Config, runtime: Runtime, tasks: asyncio.TaskGroup) -> None:
        self._runtime = runtime
        self._tasks = tasks
        self._kernel = Kernel()
        self._changed = asyncio.Event()
        self._news: list[tuple[Key, TargetHealth]] = []
        self._running: dict[Key, Running] = {}
        self._take(config)

    async def start(self) -> None:
        """Write the maps, then begin to look at endpoints."""
        await self._write()
        self._look_at_all()

    async def configure(self, config: Config) -> None:
        """Serve by a new configuration. A live change has written its maps already, knowing nothing of health."""
        self._take(config)
        self._kernel.forget()
        await self._write()
        self._look_at_all()

    async def keep_writing(self) -> None:
        """Write the maps whenever some endpoint's state has changed, then say so, until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            news, self._news = self._news, []
            try:
                await self._write()
            except OSError as error:
                log.error("%s", error)
            for (group, endpoint), health in news:
                self._runtime.events.emit(ENDPOINT_HEALTH, endpoint_group=group, endpoint=endpoint, state=str(health.state), reason=health.reason)

    def stop(self) -> None:
        """End every check."""
        for running in self._running.values():
            if running.task is not None:
                running.task.cancel()

    def _take(self, config: Config) -> None:
        self._config = config
        self._endpoints = {(group.id, endpoint.id): (group, endpoint) for listener in config.listeners for group in listener.groups for endpoint in group.endpoints}
        for key in [key for key in self._running if key not in self._endpoints]:
            gone = self._running.pop(key)
            if gone.task is not None:
                gone.task.cancel()
        for key in self._endpoints:
            self._running.setdefault(key, Running())

    async def _write(self) -> None:
        await self._kernel.write(self._config.table, {listener.map: self._slots(listener) for listener in self._config.listeners})

    def _slots(self, listener: Listener) -> tuple[Way, ...]:
        return spread(listener.groups, self._is_well, SLOTS)

    def _is_well(self, group: EndpointGroup, endpoint: Endpoint, way: Way) -> bool:
        running = self._running[group.id, endpoint.id]
        return running.health.state is not State.UNHEALTHY and way not in running.unwell

    def _look_at_all(self) -> None:
        for key, running in self._running.items():
            if running.task is None:
                running.task = self._tasks.create_task(self._keep_looking(key, running))

    async def _keep_looking(self, key: Key, running: Running) -> None:
        loop = asyncio.get_running_loop()
        while True:
            (group, endpoint), began = self._endpoints[key], loop.time()
            told = [way for way in endpoint.ways if way.health_file]
            if told:
                self._heard(key, running, frozenset(way for way in told if not zone_health.is_healthy(way.health_file, zone_health.silence_s(self._runtime.scaled))), frozenset(told))
                every_s = LOOK_EVERY_S
            else:
                await self._ask(key, running, group, endpoint)
                every_s = group.health_check.interval_s
            await asyncio.sleep(max(0.0, began + self._runtime.scaled(every_s) - loop.time()))

    def _heard(self, key: Key, running: Running, unwell: frozenset[Way], ways: frozenset[Way]) -> None:
        """What a load balancer tells is its state: it has counted its own checks already."""
        passed = unwell != ways
        result = CheckResult(passed=passed, reason="" if passed else NO_HEALTHY_TARGET)
        if unwell != running.unwell:
            running.unwell = unwell
            self._changed.set()
        self._judge(key, running, result, 1)

    async def _ask(self, key: Key, running: Running, group: EndpointGroup, endpoint: Endpoint) -> None:
        check = group.health_check
        for way in endpoint.ways:
            result = await checked(check, "TCP", way.address, check.port or 0, self._runtime.scaled(check.timeout_s), self._tasks)
            self._judge(key, running, result, check.unhealthy_threshold)

    def _judge(self, key: Key, running: Running, result: CheckResult, threshold: int) -> None:
        before = running.health
        running.health = before.after(result, healthy_threshold=threshold, unhealthy_threshold=threshold)
        if running.health.state is not before.state:
            self._news.append((key, running.health))
            self._changed.set()


async def serve(config: Config, runtime: Runtime) -> None:
    """Check and write until cancelled."""
    async with asyncio.TaskGroup() as tasks:
        edge = Edge(config, runtime, tasks)
        await edge.start()
        runtime.reload = edge.configure
        runtime.ready()
        try:
            await edge.keep_writing()
        finally:
            edge.stop()
