"""The activities of a lab's groups, as they begin and end; the last few hundred are kept, as AWS keeps six weeks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace

from testbed.scaling.activity import SUCCESSFUL, Activity

KEPT = 500


class ActivityLog:
    """Activities by number; `clock` gives seconds since the epoch."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self._next = 1
        self._activities: dict[int, Activity] = {}
        self._order: deque[int] = deque()

    def begin(self, group: str, description: str, cause: str = "") -> int:
        """An activity has begun; its number."""
        number, self._next = self._next, self._next + 1
        self._activities[number] = Activity(group=group, description=description, cause=cause, started=self.clock())
        self._order.append(number)
        if len(self._order) > KEPT:
            del self._activities[self._order.popleft()]
        return number

    def now(self, number: int, status_code: str, status_message: str = "") -> None:
        """It goes on, in another state."""
        if number in self._activities:
            self._activities[number] = replace(self._activities[number], status_code=status_code, status_message=status_message)

    def end(self, number: int, status_code: str = SUCCESSFUL, status_message: str = "") -> None:
        """It is over."""
        self.now(number, status_code, status_message)
        if number in self._activities:
            self._activities[number] = replace(self._activities[number], ended=self.clock())

    def of(self, group: str) -> tuple[Activity, ...]:
        """The activities of one group, the latest first."""
        return tuple(self._activities[number] for number in reversed(self._order) if self._activities[number].group == group)
