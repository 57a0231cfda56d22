"""The process that holds a lab's userspace wires, kept alive.

Links with a delay are pairs of persistent TAP interfaces; one process moves frames between all of them (`wire.hold`). If it dies the
interfaces, with their addresses and routes, stay, and another takes over; frames under way are lost, as on a cut fibre.
"""

from __future__ import annotations

import logging
import os
import threading
from functools import partial

from testbed.engine.errors import RealiseError
from testbed.engine.wire import WireSpec, hold
from testbed.engine.zygote import run_forked

log = logging.getLogger(__name__)
LOOK_EVERY_S = 0.5


class WireHolder:
    """Keeps one process holding wires; `change` gives it others."""

    def __init__(self) -> None:
        self._wires: tuple[WireSpec, ...] = ()
        self._thread: threading.Thread | None = None
        self._carrying = threading.Event()
        self._stopping = False
        self._failed = False
        self.pid = 0

    def start(self, wires: tuple[WireSpec, ...]) -> None:
        """Hold these wires from now on; returns when all carry, however long a busy machine takes for it. Raises RealiseError if the process that should hold them ended."""
        self._wires = wires
        if wires and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="wires", daemon=True)
            self._thread.start()
            while not self._carrying.wait(LOOK_EVERY_S):
                if self._failed:
                    self._stopping = True
                    raise RealiseError("the userspace wires do not carry", "`testbed doctor` tries /dev/net/tun, which they need")

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
            read, write = os.pipe2(os.O_CLOEXEC)
            self.pid = run_forked("testbed-wires", partial(hold, wires, attached=partial(_tell, write)), keep={write, *(end[0] for wire in wires for end in (wire.a, wire.b))})
            os.close(write)
            if os.read(read, 1):
                self._carrying.set()
            os.close(read)
            _, status = os.waitpid(self.pid, 0)
            if not self._carrying.is_set():
                log.error("the process that should hold the wires ended with status %s", status)
                self._failed = True
                return
            if not self._stopping:
                log.warning("the process that held the wires ended with status %s; starting another", status)


def _tell(descriptor: int) -> None:
    os.write(descriptor, b"!")
