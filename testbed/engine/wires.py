"""The process that holds a lab's userspace wires, kept alive.

Links with a delay are pairs of persistent TAP interfaces; one process moves frames between all of them (`wire.hold`). If it dies the
interfaces, with their addresses and routes, stay, and another takes over; frames under way are lost, as on a cut fibre.
"""

from __future__ import annotations

import logging
import os
import threading

from testbed.engine.wire import WireSpec, hold
from testbed.engine.zygote import run_forked

log = logging.getLogger(__name__)


class WireHolder:
    """Keeps one process holding `wires`; `restart` gives it others."""

    def __init__(self) -> None:
        self._wires: tuple[WireSpec, ...] = ()
        self._thread: threading.Thread | None = None
        self._forked = threading.Event()
        self._stopping = False
        self.pid = 0

    def start(self, wires: tuple[WireSpec, ...]) -> None:
        """Hold these wires from now on."""
        self._wires = wires
        if wires and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="wires", daemon=True)
            self._thread.start()
            self._forked.wait()

    def change(self, wires: tuple[WireSpec, ...]) -> None:
        """Hold other wires: the process is replaced."""
        if wires == self._wires:
            return
        self._wires = wires
        if self._thread is None:
            self.start(wires)
        elif self.pid:
            os.kill(self.pid, 9)

    def stop(self) -> None:
        """End the process."""
        self._stopping = True
        if self._thread is not None and self.pid:
            os.kill(self.pid, 9)
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while not self._stopping:
            wires = self._wires
            self.pid = run_forked("testbed-wires", lambda wires=wires: hold(wires))  # type: ignore[misc]
            self._forked.set()
            _, status = os.waitpid(self.pid, 0)
            if not self._stopping:
                log.warning("the process that held the wires ended with status %s; starting another", status)
