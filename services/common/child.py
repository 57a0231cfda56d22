"""Foreign daemons (PostgreSQL, BIRD, charon) as children of one of ours: they die with it, and it ends them in order."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
from collections.abc import Callable
from contextlib import suppress

PR_SET_PDEATHSIG = 1


def dies_with_us(number: signal.Signals) -> Callable[[], None]:
    """A `preexec_fn`: the child gets the signal `number` when the calling process dies, however it does."""
    prctl, parent = ctypes.CDLL(None, use_errno=True).prctl, os.getpid()

    def ask() -> None:
        prctl(PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return ask


async def end(child: asyncio.subprocess.Process, *insisting: tuple[signal.Signals, float]) -> None:
    """Send each signal in turn until the child has ended, waiting so many seconds after each."""
    for number, patience_s in insisting:
        if child.returncode is not None:
            return
        with suppress(ProcessLookupError):
            child.send_signal(number)
        with suppress(TimeoutError):
            await asyncio.wait_for(child.wait(), patience_s)
