"""A timer that is pushed back at every sign of life, and costs only a clock reading then.

The loop's timer is not moved: when it fires early it is set again for what is left.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


class Deadline:
    """Calls `expired` when `seconds` have passed since the last `touch`. `restart` also changes the period.

    `last` is when the last sign of life was (``perf_counter`` seconds); who knows the time already may set it.
    """

    __slots__ = ("_expired", "_handle", "_loop", "_seconds", "last")

    def __init__(self, seconds: float, expired: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._expired = expired
        self.last = time.perf_counter()
        self._handle: asyncio.TimerHandle | None = self._loop.call_later(seconds, self._fire)

    def touch(self) -> None:
        """There was a sign of life."""
        self.last = time.perf_counter()

    def restart(self, seconds: float) -> None:
        """Count anew, from now, `seconds`."""
        self.last = time.perf_counter()
        if seconds == self._seconds and self._handle is not None:
            return
        shorter = self._handle is None or seconds < self._seconds
        self._seconds = seconds
        if shorter:
            self.cancel()
            self._handle = self._loop.call_later(seconds, self._fire)

    def cancel(self) -> None:
        """Never fire; `restart` may set it going again."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _fire(self) -> None:
        left = self.last + self._seconds - time.perf_counter()
        if left > 0.001:  # the loop's clock has milliseconds
            self._handle = self._loop.call_later(left, self._fire)
            return
        self._handle = None
        self._expired()
