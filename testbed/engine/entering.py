"""Into a node, for a program started from outside: its namespaces as descriptors, entered between fork and exec.

A program started by the lab itself is in the lab's process namespace already; one started from the host's command line joins user,
IPC and process namespaces too. Joining a process namespace only concerns children, so the entering process forks once more and waits:
terminal, process group and exit code stay those of an ordinary child, and Ctrl-C reaches the program by itself.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass

from testbed.engine import syscalls


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Namespaces to enter, in this order; `process` joins a process namespace as well."""

    descriptors: tuple[int, ...]
    process: int | None = None

    def __call__(self) -> None:
        """Between fork and exec: enter everything, keeping the working directory where it exists inside."""
        directory = os.getcwd()  # noqa: PTH109
        for descriptor in self.descriptors:
            syscalls.setns(descriptor)
        if self.process is not None:
            syscalls.setns(self.process, syscalls.CLONE_NEWPID)
            _fork_and_wait()
        os.chdir(directory if os.path.isdir(directory) else "/")  # noqa: PTH112

    def close(self) -> None:
        """Close the descriptors, once nothing is started through them any more."""
        for descriptor in (*self.descriptors, *(() if self.process is None else (self.process,))):
            os.close(descriptor)


def _fork_and_wait() -> None:
    """Return in a child; the process itself only waits and leaves as the child does."""
    child = os.fork()
    if child == 0:
        syscalls.die_with_parent()
        return
    os.closerange(0, 1 << 20)

    def pass_on(number: int, _frame: object) -> None:
        os.kill(child, number)

    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, pass_on)
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        if os.WTERMSIG(status) != signal.SIGKILL:  # which has no handler to reset
            signal.signal(os.WTERMSIG(status), signal.SIG_DFL)
        os.kill(os.getpid(), os.WTERMSIG(status))
    os._exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))


def own_namespaces() -> Sequence[tuple[str, int]]:
    """Descriptors of the calling process's user, IPC and process namespaces, by kind."""
    return tuple((kind, os.open(f"/proc/self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)) for kind in ("user", "ipc", "pid"))
