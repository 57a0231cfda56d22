"""One direction of a userspace wire: which frames pass, and when. It has no clock; its only output is the far end's descriptor."""

from __future__ import annotations

import os
import random
from collections import deque

VNET_HEADER_BYTES = 10
BUFFER_S = 0.1
"""What waits before a wire of limited rate at most, as its time on the wire; more is dropped, as by a router's queue (assumed)."""
HELD_BYTES_LIMIT = 64 * 1024 * 1024
"""What is under way in one direction at most, so that a flood cannot take the machine's memory."""
NS_PER_MS, NS_PER_S = 1_000_000, 1_000_000_000


class Line:
    """One direction of a wire. Times are nanoseconds of one monotonic clock; frames have the virtio header, which takes no time on the wire.

    Invariant: `held` is sorted by due time, and by arrival where those are equal.
    """

    __slots__ = ("delay_ns", "dropped", "free_at", "held", "held_bytes", "jitter_ns", "last_due", "loss", "ns_per_byte", "random", "source", "target")

    def __init__(self, source: int, target: int, rng: random.Random) -> None:
        self.source = source
        self.target = target
        self.random = rng
        self.held: deque[tuple[int, bytes]] = deque()
        self.held_bytes = 0
        self.dropped = 0
        self.delay_ns = 0
        self.jitter_ns = 0
        self.loss = 0.0
        self.ns_per_byte = 0.0
        self.free_at = 0
        self.last_due = 0

    @property
    def feeds(self) -> tuple[int, ...]:
        """The descriptors from which frames enter."""
        return (self.source,)

    def set(self, *, delay_ms: float, jitter_ms: float, loss_percent: float, rate_mbit: float | None) -> None:
        """Use these parameters for the frames that enter from now on."""
        self.delay_ns = round(delay_ms * NS_PER_MS)
        self.jitter_ns = round(jitter_ms * NS_PER_MS)
        self.loss = loss_percent / 100
        self.ns_per_byte = 8_000 / rate_mbit if rate_mbit else 0.0

    def enter(self, frame: bytes, now: int) -> bool:
        """Take a frame that arrived at `now`; False if it is lost."""
        if self.loss and self.random.random() < self.loss:
            self.dropped += 1
            return False
        sent = now
        if self.ns_per_byte:
            begin = max(now, self.free_at)
            if begin - now > BUFFER_S * NS_PER_S:
                self.dropped += 1
                return False
            sent = self.free_at = begin + round((len(frame) - VNET_HEADER_BYTES) * self.ns_per_byte)
        if self.held_bytes > HELD_BYTES_LIMIT:
            self.dropped += 1
            return False
        late = round(self.random.uniform(-self.jitter_ns, self.jitter_ns)) if self.jitter_ns else 0
        self.last_due = max(self.last_due, sent + max(0, self.delay_ns + late))
        self.held.append((self.last_due, frame))
        self.held_bytes += len(frame)
        return True

    def leave(self, now: int) -> bytes | None:
        """The next frame, if it is due at `now`."""
        if not self.held or self.held[0][0] > now:
            return None
        _, frame = self.held.popleft()
        self.held_bytes -= len(frame)
        return frame

    def deliver(self, now: int) -> None:
        """Write every frame that is due to the far end. An end that is down, or deleted, loses them, as a cable without a listener does."""
        while (frame := self.leave(now)) is not None:
            self.write(frame)

    def write(self, frame: bytes) -> None:
        """Hand a frame to the far end."""
        try:
            os.write(self.target, frame)
        except OSError:
            self.dropped += 1
