"""The rulesets of a network that is being built, loaded by processes of their own while the links are wired.

    lab ──pipe──► worker 1 ── enters namespace after namespace, gives each its ruleset by libnftables
        ──pipe──► worker 2 ──            "
        ◄──pipe── what was refused; the end of the pipe is the end of the work

A start of the `nft` command costs more than the work itself, and whoever closes an nftables socket waits for the kernel to tidy up (12 ms): a worker keeps
its last sockets open, by when there is nothing to wait for. Workers hold few descriptors (libnftables aborts beyond 1,024) and end with `wait`.
A live change uses `nft.load`.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import IO

import msgspec

from testbed.engine import syscalls
from testbed.engine.errors import RealiseError
from testbed.engine.namespaces import NETNS
from testbed.engine.nft import BYTES_OF_A_CHARACTER, largest_message
from testbed.engine.ttl import keep_ttl
from testbed.engine.zygote import run_forked
from testbed.plan import Node, render

LIBRARY = "libnftables.so.1"
NETLINK_NETFILTER = 12
KEPT_OPEN = 128


class Job(msgspec.Struct, frozen=True):
    """What one namespace needs."""

    node: str
    text: str
    keeps_ttl: bool


class Rulesets:
    """Loads rulesets in the background; `start` before there is much memory to copy, `load` any number of times, then `wait`."""

    def __init__(self) -> None:
        self._pids: list[int] = []
        self._jobs: list[IO[bytes]] = []
        self._refusals: IO[bytes] | None = None
        self._next = 0
        self._one_at_a_time = threading.Lock()
        self._largest = 0

    def start(self, workers: int) -> None:
        """Fork the workers. They end with the calling thread."""
        self._largest = largest_message()
        read_refusals, write_refusals = os.pipe2(os.O_CLOEXEC)
        for _ in range(workers):
            read, write = os.pipe2(os.O_CLOEXEC)
            self._pids.append(run_forked("testbed-nft", partial(_work, read, write_refusals), keep={read, write_refusals}))
            os.close(read)
            self._jobs.append(os.fdopen(write, "wb"))
        os.close(write_refusals)
        self._refusals = os.fdopen(read_refusals, "rb")

    @property
    def working(self) -> bool:
        """Whether there are workers."""
        return bool(self._pids)

    def load(self, node: Node) -> bool:
        """Ask for the ruleset of a node whose links are there; False if it is too large for a worker, which gives each in one transaction. Raises BrokenPipeError if the worker died."""
        text = render(node.ruleset) if node.ruleset is not None else ""
        if len(text) * BYTES_OF_A_CHARACTER > self._largest:
            return False
        if not text and not node.keeps_ttl:
            return True
        message = msgspec.msgpack.encode(Job(node.name, text, node.keeps_ttl))
        with self._one_at_a_time:  # a namespace is announced by the thread that makes it, or by the one that asks for it
            jobs = self._jobs[self._next % len(self._jobs)]
            self._next += 1
            jobs.write(len(message).to_bytes(4, "little") + message)
        return True

    def wait(self) -> None:
        """Return when every ruleset is in its kernel and the workers have ended. Raises RealiseError with nft's words if one was refused."""
        if self._refusals is None:
            return
        for jobs in self._jobs:
            jobs.close()
        refused = self._refusals.read().decode(errors="replace")
        self._refusals.close()
        failed = [pid for pid in self._pids if os.waitpid(pid, 0)[1] != 0]
        self._pids, self._jobs, self._refusals = [], [], None
        if refused:
            raise RealiseError(f"nft refused a ruleset: {refused[:2000]}")
        if failed:
            raise RealiseError("a process that loads rulesets failed", f"`testbed logs` has the details; {LIBRARY} must be installed (package nftables)")

    def stop(self) -> None:
        """End the workers in the middle of their work."""
        for pid in self._pids:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
        for pipe in self._jobs:
            with contextlib.suppress(BrokenPipeError):  # what was still to be done
                pipe.close()
        self._pids, self._jobs = [], []


def _work(jobs: int, refusals: int) -> None:
    """In a worker: load until the pipe ends."""
    load = _loader()
    kept: deque[Callable[[], object]] = deque()
    with os.fdopen(jobs, "rb") as pipe:
        while size := pipe.read(4):
            job = msgspec.msgpack.decode(pipe.read(int.from_bytes(size, "little")), type=Job)
            namespace = os.open(NETNS / job.node, os.O_RDONLY | os.O_CLOEXEC)
            syscalls.setns(namespace, syscalls.CLONE_NEWNET)
            os.close(namespace)
            try:
                if job.keeps_ttl:
                    opened = nftables_socket()
                    kept.append(opened.close)
                    keep_ttl(opened)
                if job.text:
                    kept.append(load(job.text))
            except RealiseError as error:
                os.write(refusals, f"{job.node}: {error.args[0]}\n".encode()[:2000])
            while len(kept) > KEPT_OPEN:
                kept.popleft()()


def nftables_socket() -> socket.socket:
    """A NETLINK_NETFILTER socket in the calling thread's namespace."""
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER)


def _loader() -> Callable[[str], Callable[[], object]]:
    """What gives a text to the kernel in the thread's namespace, and returns what closes its socket. Raises OSError without the library."""
    library = ctypes.CDLL(LIBRARY)
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_ctx_new.argtypes = (ctypes.c_uint32,)
    library.nft_run_cmd_from_buffer.argtypes = (ctypes.c_void_p, ctypes.c_char_p)
    library.nft_ctx_buffer_error.argtypes = (ctypes.c_void_p,)
    library.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
    library.nft_ctx_get_error_buffer.argtypes = (ctypes.c_void_p,)
    library.nft_ctx_free.argtypes = (ctypes.c_void_p,)

    def load(text: str) -> Callable[[], object]:
        context = library.nft_ctx_new(0)
        library.nft_ctx_buffer_error(context)
        if library.nft_run_cmd_from_buffer(context, text.encode()) != 0:
            raise RealiseError((library.nft_ctx_get_error_buffer(context) or b"").decode(errors="replace").strip())
        return partial(library.nft_ctx_free, context)

    return load
