"""Whether a balancer's zone takes part in DNS: one small file per node, written by the balancer, looked at by Route 53.

A file is replaced whole, so that a reader sees the old text or the new one. Without a file a zone takes part: nobody has said otherwise yet. What was said holds while the node
goes on saying it (the file's time of change): one that has fallen silent, as when its zone has failed, is taken out of DNS.
Sources: ELB user guide, "Target group health" (DNS failover; documented), "How Elastic Load Balancing works" (nodes that are unhealthy leave DNS; documented; after three checks of Route 53, 10 s
apart: assumed); the file is this testbed's own (`testbed/decisions/0012-zone-health-by-file.md`).
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

HEALTHY, UNHEALTHY = b"healthy\n", b"unhealthy\n"
SILENT_AFTER_S = 30.0
LEAST_SILENCE_S = 3.0
"""However fast a lab's timers run, a process may have to wait for a processor."""
BEATS = 6
"""So often a node speaks in the time after which it counts as silent."""


def tell(file: str, healthy: bool) -> None:
    """Say how a node's zone is. Raises OSError."""
    path = Path(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_bytes(HEALTHY if healthy else UNHEALTHY)
    fresh.replace(path)


def silence_s(scaled: Callable[[float], float]) -> float:
    """How long a node may be silent, as the lab's clock runs."""
    return max(scaled(SILENT_AFTER_S), LEAST_SILENCE_S)


async def keep_saying(file: Callable[[], str], pause_s: float) -> None:
    """Go on saying what was told last, until cancelled; `file` is asked anew each time, since a new configuration may name another (empty: none)."""
    while True:
        say_again(file())
        await asyncio.sleep(pause_s)


def say_again(file: str) -> None:
    """Say what was told last; nothing if nothing was."""
    if file and Path(file).exists():
        os.utime(file)


def is_healthy(file: str, silent_after_s: float = float("inf")) -> bool:
    """What was said last, if that is not too long ago. Raises OSError where a file cannot be read."""
    path = Path(file)
    try:
        return path.read_bytes() != UNHEALTHY and time.time() - path.stat().st_mtime < silent_after_s
    except FileNotFoundError:
        return True
