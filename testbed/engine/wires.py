"""The process that holds a lab's userspace wires, kept alive.

Links with a delay are pairs of persistent TAP interfaces; one process moves frames between all of them (`wire.hold`). If it dies the
interfaces, with their addresses and routes, stay, and another takes over; frames under way are lost, as on a cut fibre.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
from dataclasses import replace
from functools import partial

from testbed.engine.errors import RealiseError
from testbed.engine.wire import WireChange, WireSpec, change_wire, hold
from testbed.engine.zygote import run_forked
from testbed.plan import Wire

log = logging.getLogger(__name__)
LOOK_EVERY_S = 0.5


class WireHolder:
    """Keeps one process holding wires; `change` gives it others."""

    def __init__(self) -> None:
        self._wires: tuple[WireSpec, ...] = ()
        self._thread: threading.Thread | None = None
        self._held: tuple[WireSpec, ...] = ()
        self._carrying = threading.Event()
        self._stopping = False
        self._failed = False
        self.pid = 0
        self._control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def start(self, wires: tuple[WireSpec, ...]) -> None:
        """Hold these wires from now on; returns when all carry, however long a busy machine takes for it. Raises RealiseError if the process that should hold them ended."""
        self._wires = wires
        if wires and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="wires", daemon=True)
            self._thread.start()
            self._wait()

    def change(self, wires: tuple[WireSpec, ...], *, made_anew: bool = False) -> None:
        """Hold other wires: the process is replaced; returns when the new one carries. Raises RealiseError if it ended.

        `made_anew`: some may look like those held already, and are others (a namespace made anew gets its forerunner's number)."""
        if wires == self._wires and not made_anew:
            return
        if self._thread is None:
            self.start(wires)
            return
        self._wires = wires
        self._kill()
        self._wait()

    def set(self, number: int, wire: Wire) -> None:
        """Give one wire other parameters; frames under way keep theirs, and a process that follows knows of it. `change` with the plan's own undoes it."""
        wires = list(self._wires)
        wires[number] = replace(wires[number], delay_ms=wire.delay_ms, jitter_ms=wire.jitter_ms, loss_percent=wire.loss_percent, rate_mbit=wire.rate_mbit)
        self._wires = tuple(wires)
        change_wire(self._control, WireChange(index=number, delay_ms=wire.delay_ms, jitter_ms=wire.jitter_ms, loss_percent=wire.loss_percent, rate_mbit=wire.rate_mbit))

    def stop(self) -> None:
        """End the process."""
        self._stopping = True
        if self._thread is not None:
            self._kill()
            self._thread.join()
            self._thread = None

    def _kill(self) -> None:
        """End the process that holds the wires; one that ended by itself has a follower on its way, which sees what is wanted now."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, 9)

    def _wait(self) -> None:
        while self._held is not self._wires:
            self._carrying.wait(LOOK_EVERY_S)
            self._carrying.clear()
            if self._failed:
                self._stopping = True
                raise RealiseError("the userspace wires do not carry", "`testbed doctor` tries /dev/net/tun, which they need")

    def _run(self) -> None:
        while not self._stopping:
            wires = self._wires
            read, write = os.pipe2(os.O_CLOEXEC)
            self._control.close()
            self._control, control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self.pid = run_forked("testbed-wires", partial(hold, wires, control, attached=partial(_tell, write)), keep={write, control.fileno(), *(descriptor for wire in wires for descriptor, _ in wire.ends)})
            os.close(write)
            control.close()
            carries = os.read(read, 1)
            os.close(read)
            if carries:
                self._held = wires
                self._carrying.set()
            if self._stopping or wires is not self._wires:  # asked for in the meantime
                os.kill(self.pid, 9)
            _, status = os.waitpid(self.pid, 0)
            if not carries and not self._stopping and wires is self._wires:
                log.error("the process that should hold the wires ended with status %s", status)
                self._failed = True
                self._carrying.set()
                return
            if not self._stopping:
                log.warning("the process that held the wires ended with status %s; starting another", status)


def _tell(descriptor: int) -> None:
    os.write(descriptor, b"!")
