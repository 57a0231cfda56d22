"""What a server can do: so many requests a second, a second's worth of them at once; pure."""

from __future__ import annotations


class Capacity:
    """A bucket that fills with time."""

    def __init__(self, per_second: float, now_s: float) -> None:
        self._per_second = per_second
        self._left = per_second
        self._at_s = now_s

    def take(self, now_s: float) -> bool:
        """Whether one more request can be done now."""
        self._left = min(self._per_second, self._left + (now_s - self._at_s) * self._per_second)
        self._at_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True
