"""Whether tests left a lab as they found it: every service alive, no process of theirs in any node."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from testbed.lab import Lab

ALIVE = "ready"


class Cleanliness:
    """A look at a lab that has just started, to compare its end with."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._nodes = {os.fstat(node.namespace.descriptor).st_ino: name for name, node in lab.nodes.items()}
        self._before = {pid for pid, _ in self._inhabitants()}

    def faults(self) -> tuple[str, ...]:
        """What is wrong now, one sentence each. Processes that were left behind are ended, by their number."""
        found = [f"service {service.name} is {service.state}" for service in self._lab.ps() if service.state != ALIVE]
        own = self._before | {service.pid for service in self._lab.ps()} | {node.shell.pid for node in self._lab.nodes.values() if node.shell is not None}
        for pid, node in sorted(self._inhabitants()):
            is_others = own.isdisjoint({pid, *_ancestors(pid)})
            command = _command(pid)  # asked last: ancestors cannot be told of what has ended
            if is_others and command is not None:
                found.append(f"process {pid} was left in {node}: {command}")
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        return tuple(found)

    def _inhabitants(self) -> Iterator[tuple[int, str]]:
        for path in Path("/proc").iterdir():
            if path.name.isdigit():
                try:
                    node = self._nodes.get((path / "ns" / "net").stat().st_ino)
                except OSError:  # it ended meanwhile
                    continue
                if node is not None:
                    yield int(path.name), node


def _ancestors(pid: int) -> Iterator[int]:
    while pid > 1:
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:  # it ended meanwhile
            return
        yield pid


def _command(pid: int) -> str | None:
    """The command line of a process; None if it has ended by itself meanwhile, as a daemon's short-lived child does."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip() or "(no command line)"
    except OSError:
        return None
