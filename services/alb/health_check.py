"""Asking an ALB's targets for their health: every node asks each target, again and again (`services.common.health_check` is one check)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from services.alb.target_group import RunningGroup, RunningTarget
from services.common.health_check import checked


async def keep_checking(group: RunningGroup, running: RunningTarget, tasks: asyncio.TaskGroup, scaled: Callable[[float], float], first_ended: Callable[[], None]) -> None:
    """Check `running` at once, then every interval, until cancelled. The group's configuration is read anew each time."""
    loop = asyncio.get_running_loop()
    while True:
        check, began = group.config.health_check, loop.time()
        target = running.target
        group.checked(running, await checked(check, group.config.protocol, target.address, target.port, scaled(check.timeout_s), tasks))
        first_ended()
        await asyncio.sleep(max(0.0, began + scaled(check.interval_s) - loop.time()))
