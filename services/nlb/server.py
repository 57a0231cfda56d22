"""A Network Load Balancer node's daemon: health checks from the node's own address, and the maps that they decide. The packets are the kernel's.

    checks ──▶ a target's state changes ──▶ write the maps (what changed in the meantime goes along) ──▶ end an unhealthy target's flows
    new configuration ──▶ write all maps ──▶ targets that are gone: draining, then unused

Without this daemon the node goes on as it was. A target that is still `initial` gets flows only where too few are healthy. When the daemon starts, every group fails open.
Source: ELB user guide, "Health checks for NLB target groups", "Target group health", "Edit target group attributes for your NLB" (documented).
Assumed: that flows end by a reset to whoever sends next. NOT MODELLED: passive health checks, and the nodes of other zones checking, too.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

from services.common import proxy_protocol, zone_health
from services.common.events import TARGET_HEALTH
from services.common.health import State, TargetHealth
from services.common.health_check import checked
from services.common.runtime import Runtime
from services.common.slot_maps import Kernel, Slots
from services.nlb.config import Config, Target, TargetGroup, spread
from services.nlb.kernel import end_flows

log = logging.getLogger(__name__)
DRAINING, DEREGISTRATION = "draining", "Target.DeregistrationInProgress"
UNUSED, NOT_REGISTERED = "unused", "Target.NotRegistered"
NO_CLIENT = proxy_protocol.encode(proxy_protocol.Header())
AT_ONCE = 64
"""Health checks under way at a time."""
Key = tuple[str, Target]
"""A target of a group, by the group's id."""


@dataclass(slots=True)
class Running:
    """A registered target: its health, and the task that looks after it."""

    health: TargetHealth = field(default_factory=TargetHealth)
    was_checked: bool = False
    checks: asyncio.Task[None] | None = None


class Node:
    """One node. `configure` takes any configuration after any other; a target keeps its health across them."""

    def __init__(self, config: Config, runtime: Runtime, tasks: asyncio.TaskGroup) -> None:
        self._runtime = runtime
        self._tasks = tasks
        self._kernel = Kernel()
        self._changed = asyncio.Event()
        self._news: list[tuple[TargetGroup, Target, TargetHealth]] = []
        self._ends: list[tuple[Target, tuple[str, ...]]] = []
        self._running: dict[Key, Running] = {}
        self._draining: dict[Key, asyncio.Task[None]] = {}
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._zone_told: bool | None = None
        self._take(config)

    @property
    def zone_file(self) -> str:
        """Where DNS is told of this node's zone; empty: nowhere."""
        return self._config.zone_health_file

    async def start(self) -> None:
        """Write the maps, then begin to check."""
        await self._write()
        self._tell_zone()
        self._check_all()

    async def configure(self, config: Config) -> None:
        """Serve by a new configuration. A live change has written its maps already, knowing nothing of health."""
        before = {(group.id, target): group for group in self._groups.values() for target in group.targets}
        self._take(config)
        for key, group in before.items():
            if key not in self._running:
                self._draining[key] = self._tasks.create_task(self._drain(key, group))
        self._kernel.forget()
        await self._write()
        self._tell_zone()
        self._check_all()

    async def keep_writing(self) -> None:
        """Write the maps whenever some target's state has changed, then say so, until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                news, self._news = self._news, []
                await self._write()
                for group, changed, health in news:
                    self._told(group, changed, health.state, health.reason)
                ends, self._ends = self._ends, []
                for target, protocols in ends:
                    await end_flows(target, protocols)
            except OSError as error:
                log.error("%s", error)

    def stop(self) -> None:
        """End every check and every drain."""
        for running in self._running.values():
            if running.checks is not None:
                running.checks.cancel()
        for task in self._draining.values():
            task.cancel()

    def _take(self, config: Config) -> None:
        self._config = config
        self._groups = {group.id: group for group in config.target_groups}
        keys = {(group.id, target) for group in config.target_groups for target in group.targets}
        for key in [key for key in self._running if key not in keys]:
            gone = self._running.pop(key)
            if gone.checks is not None:
                gone.checks.cancel()
        for key in keys:
            self._running.setdefault(key, Running())
            if (draining := self._draining.pop(key, None)) is not None:
                draining.cancel()

    async def _write(self) -> None:
        await self._kernel.write(self._config.table, {group.map: self._slots(group) for group in self._groups.values()})

    def _slots(self, group: TargetGroup) -> Slots:
        healthy = self._healthy(group)
        return spread(group.targets, healthy if len(healthy) >= group.minimum_healthy_targets else set(group.targets), group.slots)

    def _healthy(self, group: TargetGroup) -> set[Target]:
        return {target for target in group.targets if self._running[group.id, target].health.state is State.HEALTHY}

    def _tell_zone(self) -> None:
        """Tell DNS how this node's zone is, once every target was asked: healthy if all its groups have enough healthy targets here ("Target group health"; of several groups: assumed)."""
        if not self._config.zone_health_file or not all(running.was_checked for running in self._running.values()):
            return
        well = all(len(self._healthy(group)) >= group.minimum_healthy_targets_for_dns for group in self._groups.values())
        if well is not self._zone_told:
            zone_health.tell(self._config.zone_health_file, well)
            self._zone_told = well

    def _check_all(self) -> None:
        for key, running in self._running.items():
            if running.checks is None:
                running.checks = self._tasks.create_task(self._keep_checking(key, running))

    async def _keep_checking(self, key: Key, running: Running) -> None:
        loop, (group_id, target) = asyncio.get_running_loop(), key
        while True:
            check, began = self._groups[group_id].health_check, loop.time()
            async with self._at_once:
                result = await checked(check, check.protocol or "TCP", target.address, target.port, self._runtime.scaled(check.timeout_s), self._tasks, preface=NO_CLIENT if self._groups[group_id].proxy_protocol else b"")
            group, before = self._groups[group_id], running.health
            running.health = before.after(result, healthy_threshold=check.healthy_threshold, unhealthy_threshold=check.unhealthy_threshold)
            running.was_checked = True
            self._tell_zone()
            if running.health.state is not before.state:
                self._news.append((group, target, running.health))
                self._changed.set()
                if running.health.state is State.UNHEALTHY:
                    self._end_unhealthy(group, target, running)
            await asyncio.sleep(max(0.0, began + self._runtime.scaled(check.interval_s) - loop.time()))

    def _end_unhealthy(self, group: TargetGroup, target: Target, running: Running) -> None:
        if group.terminate_unhealthy:
            self._ends.append((target, group.protocols))
        elif group.unhealthy_draining_s:
            self._tasks.create_task(self._end_later(group, target, running))

    async def _end_later(self, group: TargetGroup, target: Target, running: Running) -> None:
        await asyncio.sleep(self._runtime.scaled(group.unhealthy_draining_s))
        if running.health.state is State.UNHEALTHY:
            self._ends.append((target, group.protocols))
            self._changed.set()

    async def _drain(self, key: Key, group: TargetGroup) -> None:
        """A target that was taken out: its flows may go on for the deregistration delay, and longer unless they are to be ended."""
        _, target = key
        self._told(group, target, DRAINING, DEREGISTRATION)
        await asyncio.sleep(self._runtime.scaled(group.deregistration_delay_s))
        if group.terminate_deregistered:
            await end_flows(target, group.protocols)
        self._told(group, target, UNUSED, NOT_REGISTERED)
        self._draining.pop(key, None)

    def _told(self, group: TargetGroup, target: Target, state: str, reason: str) -> None:
        self._runtime.events.emit(TARGET_HEALTH, target_group=group.id, target=target.id, state=str(state), reason=reason)


async def serve(config: Config, runtime: Runtime) -> None:
    """Check and write until cancelled."""
    async with asyncio.TaskGroup() as tasks:
        node = Node(config, runtime, tasks)
        await node.start()
        tasks.create_task(zone_health.keep_saying(lambda: node.zone_file, zone_health.silence_s(runtime.scaled) / zone_health.BEATS))
        runtime.reload = node.configure
        runtime.ready()
        try:
            await node.keep_writing()
        finally:
            node.stop()
