"""Writes gathered over one turn of the event loop, and done in one go at its end, where there is something to gather.

uvloop writes at once: with many busy connections, each request's Python and the kernel's TCP then evict each other from the processor's caches. A turn's
parsing first and its writing afterwards takes 7 to 9 % less processor time per request at 64 connections. At 2 there is nothing to gather, and one more callback
and look at the sockets per turn takes 15 to 18 % more (both measured on one core of a busy machine, `tests/benchmarks/l7_alb.py`). So after a turn
of few writes the next ones are done at once, until it is time to look again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

FEW = 5
LOOK_AGAIN_AFTER = 256


class Outbox:
    """One per event loop. `flush` before a transport that was written to is closed. Each transport's bytes keep their order."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._pending: list[tuple[asyncio.Transport, bytes]] = []
        self._at_once = 0
        """How many writes are still to be done at once; nothing is pending while there are any."""

    def writer(self, transport: asyncio.Transport) -> Callable[[bytes], None]:
        """What writes to `transport` from now on."""

        def write(data: bytes) -> None:
            if self._at_once:
                self._at_once -= 1
                transport.write(data)
                return
            pending = self._pending
            pending.append((transport, data))
            if len(pending) == 1:
                self._loop.call_soon(self._end_turn)

        return write

    def flush(self) -> None:
        """Write what is gathered, in the order of gathering; what is for a connection that has ended meanwhile is dropped."""
        pending, self._pending = self._pending, []
        for transport, data in pending:
            if not transport.is_closing():
                transport.write(data)

    def _end_turn(self) -> None:
        few = len(self._pending) < FEW
        self.flush()
        if few and not self._pending:  # a transport that says that it is full may have made its owner write
            self._at_once = LOOK_AGAIN_AFTER
