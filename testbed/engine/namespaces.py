"""Network namespaces as file descriptors: made in a thread of their own, so that links can be wired meanwhile.

A namespace lives as long as a descriptor to it is open in the lab (or a process is inside): closing the descriptors is what takes a
network away, in a millisecond, whatever its size. `/run/netns/<node>` leads to the descriptor, so that ``ip -n NODE``,
``ip netns exec NODE`` and ``nsenter --net=`` work inside the sandbox.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from testbed.engine import netlink, syscalls

NETNS = Path("/run/netns")


class Namespace:
    """One network namespace: its descriptor, and a route netlink socket opened in it."""

    __slots__ = ("descriptor", "name", "netlink")

    def __init__(self, name: str, descriptor: int, socket: netlink.Socket) -> None:
        self.name, self.descriptor, self.netlink = name, descriptor, socket

    def close(self) -> None:
        """Let the namespace go."""
        (NETNS / self.name).unlink(missing_ok=True)
        self.netlink.close()
        os.close(self.descriptor)


class NamespaceMaker:
    """Makes namespaces one after the other, in its own thread."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="namespaces")

    def make(self, name: str, sysctls: tuple[tuple[str, str], ...] = ()) -> Future[Namespace]:
        """Ask for a namespace with these sysctls (paths under net/), lo up."""
        return self._thread.submit(_make, name, sysctls)

    def close(self) -> None:
        self._thread.shutdown()


def _make(name: str, sysctls: tuple[tuple[str, str], ...]) -> Namespace:
    syscalls.unshare(syscalls.CLONE_NEWNET)
    descriptor = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    socket = netlink.Socket()
    batch = netlink.Batch()
    batch.up(netlink.LOOPBACK_INDEX)
    socket.send(batch)
    write_sysctls(sysctls)
    link = NETNS / name
    link.unlink(missing_ok=True)
    link.symlink_to(f"/proc/{os.getpid()}/fd/{descriptor}")
    return Namespace(name, descriptor, socket)


def write_sysctls(sysctls: Iterable[tuple[str, str]]) -> None:
    """Set sysctls of the calling thread's network namespace. Raises OSError naming the path."""
    for path, value in sysctls:
        descriptor = os.open(f"/proc/sys/net/{path}", os.O_WRONLY)
        try:
            os.write(descriptor, value.encode())
        finally:
            os.close(descriptor)
