"""What has been counted in the current interval of a flow log."""

from __future__ import annotations

import time

from services.flow_log.counters import Count, Snapshot


class Window:
    """What was counted in the current interval of one length."""

    def __init__(self, interval_s: int, length_s: float) -> None:
        self.interval_s = interval_s
        self._length_s = length_s
        self.counted: Snapshot = {}
        self.skipped = False
        self.start = time.time()

    def add(self, deltas: Snapshot, skipped: bool) -> None:
        self.skipped = self.skipped or skipped
        for key, count in deltas.items():
            before = self.counted.get(key, Count())
            self.counted[key] = Count(before.packets + count.packets, before.octets + count.octets)

    @property
    def is_over(self) -> bool:
        return time.time() >= self.start + self._length_s

    def restart(self) -> None:
        self.counted, self.skipped, self.start = {}, False, time.time()
