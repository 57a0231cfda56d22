"""Network namespaces as file descriptors: made in a thread of their own, so that links can be wired meanwhile.

A namespace lives as long as a descriptor to it is open in the lab (or a process is inside): closing the descriptors is what takes a
network away, in a millisecond, whatever its size. `/run/netns/<node>` leads to the descriptor, so that ``ip -n NODE``,
``ip netns exec NODE`` and ``nsenter --net=`` work inside the sandbox.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from testbed.engine import netlink, syscalls

NETNS = Path("/run/netns")


class Namespace:
    """One network namespace: its descriptor, and, while there is something to say, a route netlink socket opened in it: descriptors are scarce in large networks."""

    __slots__ = ("_socket", "descriptor", "name")

    def __init__(self, name: str, descriptor: int) -> None:
        self.name, self.descriptor = name, descriptor
        self._socket: netlink.Socket | None = None

    @property
    def netlink(self) -> netlink.Socket:
        """A socket in the namespace."""
        if self._socket is None:
            with syscalls.network_namespace(self.descriptor):
                self._socket = netlink.Socket()
        return self._socket

    def rest(self) -> None:
        """Keep no socket until the next need."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def close(self) -> None:
        """Let the namespace go."""
        (NETNS / self.name).unlink(missing_ok=True)
        self.rest()
        os.close(self.descriptor)


class NamespaceMaker:
    """Makes namespaces one after the other, in its own thread. `sysctls` is for whoever writes sysctls of links, in the thread that builds or changes the network."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="namespaces")
        self._sysctls, self.sysctls = Sysctls(), Sysctls()
        self._announced: dict[str, Future[Namespace]] = {}

    def announce(self, name: str, sysctls: tuple[tuple[str, str], ...] = ()) -> None:
        """Begin with a namespace that somebody will ask for; what is announced first is there first."""
        if name not in self._announced:
            self._announced[name] = self._thread.submit(self._make, name, sysctls)

    def make(self, name: str, sysctls: tuple[tuple[str, str], ...] = ()) -> Future[Namespace]:
        """Ask for a namespace with these sysctls (paths under net/), lo up: the one that was announced, or another."""
        self.announce(name, sysctls)
        return self._announced.pop(name)

    def close(self) -> None:
        """Make no more, and let go what was announced and not asked for."""
        self._thread.shutdown(cancel_futures=True)
        for never_asked in self._announced.values():
            if not never_asked.cancelled() and never_asked.exception() is None:
                never_asked.result().close()
        self._sysctls.close()
        self.sysctls.close()

    def _make(self, name: str, sysctls: tuple[tuple[str, str], ...]) -> Namespace:
        syscalls.unshare(syscalls.CLONE_NEWNET)
        descriptor = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        socket = netlink.Socket()
        batch = netlink.Batch()
        batch.up(netlink.LOOPBACK_INDEX)
        socket.send(batch)
        socket.close()
        self._sysctls.write(sysctls)
        link = NETNS / name
        link.unlink(missing_ok=True)
        link.symlink_to(f"/proc/{os.getpid()}/fd/{descriptor}")
        return Namespace(name, descriptor)


class Sysctls:
    """Writes sysctls of the calling thread's network namespace, for one thread.

    In one mount of /proc the directories ``net/ipv4`` of all namespaces have one name and share one hash chain, which each look-up walks: 10,000 namespaces would cost
    a hundred times what they should. So this begins with everybody's, and takes a mount of its own, which nobody sees, again and again.
    """

    WRITES_PER_MOUNT = 64

    def __init__(self) -> None:
        self._directory = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._left = self.WRITES_PER_MOUNT

    def write(self, sysctls: Sequence[tuple[str, str]]) -> None:
        """Set sysctls (paths under net/). Raises OSError naming the path."""
        if not sysctls:
            return
        if not self._left:
            self._renew()
        self._left -= 1
        for path, value in sysctls:
            descriptor = os.open(f"sys/net/{path}", os.O_WRONLY | os.O_CLOEXEC, dir_fd=self._directory)
            try:
                os.write(descriptor, value.encode())
            finally:
                os.close(descriptor)

    def close(self) -> None:
        """Let the mount go."""
        if self._directory >= 0:
            os.close(self._directory)
        self._directory, self._left = -1, 0

    def _renew(self) -> None:
        self.close()
        with tempfile.TemporaryDirectory(prefix="proc-", dir=NETNS.parent) as place:
            syscalls.mount("proc", place, "proc", syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC)
            self._directory = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            syscalls.detach(place)
        self._left = self.WRITES_PER_MOUNT
