"""The zygote: a warm process from which every daemon is forked into its node.

It imports aiohttp, dnslib and the daemons once; a fork of it is a running daemon in a few milliseconds and shares that memory.
It is single-threaded, forked from the supervisor before anything listens, and speaks over one SOCK_SEQPACKET socket:

    supervisor → zygote   Spawn (JSON) + descriptors: events, stderr, the node's namespace
    zygote → supervisor   Spawned, Exited; from the daemon itself: Ready

What one kind alone needs and takes seconds to import (`LARGE`) is not in every daemon's memory: the first of its kind has the zygote fork another zygote, which imports that as well and
from which those daemons are forked, so that one which died is back at once. It speaks to the zygote as the zygote to the supervisor, who knows nothing of it.

Each daemon is a process of its own: it can be killed, stopped and starved. All die with the zygote, and the zygote with its supervisor.
Daemons are named, not imported, here: `services.<kind>` is loaded by name as ``python -m`` would.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import logging
import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from testbed.engine import syscalls
from testbed.engine.namespaces import NETNS

PRELOADED = ("services.dns.server", "services.cloudfront.server", "services.alb.server", "services.nlb.server", "services.nlb_relay.server", "services.gwlb.server", "services.global_accelerator.server", "services.geneve_appliance.server", "services.instance.server", "services.rds.server", "services.bgp.server", "services.flow_log.server", "services.traffic_mirror.server", "services.imds.server", "services.ipsec.server", "services.ntp.server", "services.common.main", "testbed.engine.wire")
LARGE = {"aws_state": ("services.aws_state.server", "services.aws_state.imports")}
"""Kinds with a zygote of their own, and what that imports."""
UNPRIVILEGED_UID = 1000
MESSAGE_BYTES = 65536
DESCRIPTORS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Spawn:
    """Start one daemon. What its configuration listens to in other nodes is opened before it starts: there may be thousands of those, so their namespaces are found by name."""

    name: str
    kind: str
    config_file: str
    time_scale: float
    unprivileged: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What comes back. `event` is ``spawned``, ``exited`` or ``ready``."""

    event: str
    name: str
    pid: int
    status: int = 0


class Zygote:
    """The supervisor's handle on its zygote, and the zygote's on one of `LARGE`."""

    def __init__(self, preloaded: Iterable[str] = PRELOADED, kind: str | None = None) -> None:
        self._socket, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = os.fork()
        if self.pid == 0:
            _in_child(lambda: _serve(there, preloaded, kind))
        there.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def spawn(self, spawn: Spawn, descriptors: list[int]) -> None:
        """Ask for a daemon. Raises OSError if the zygote is gone."""
        socket.send_fds(self._socket, [msgspec.json.encode(spawn)], descriptors)

    def receive(self) -> Notice | None:
        """The next notice; None when the zygote has ended."""
        try:
            message = self._socket.recv(MESSAGE_BYTES)
        except OSError:
            return None
        return msgspec.json.decode(message, type=Notice) if message else None

    def close(self) -> None:
        """End the zygote, and with it every daemon."""
        self._socket.close()
        try:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            return


def run_forked(name: str, run: Callable[[], object], keep: Iterable[int]) -> int:
    """Run something in a forked process of its own, which dies with the calling thread; its pid. Of all descriptors it has the standard streams and `keep`:
    whoever waits for the end of a pipe must not wait for this process."""
    pid = os.fork()
    if pid == 0:

        def named() -> int:
            syscalls.die_with_parent()
            _log_to_stderr()
            _close_descriptors({0, 1, 2, *keep})
            syscalls.set_process_name(name)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN if number == signal.SIGINT else signal.SIG_DFL)
            run()
            return 0

        _in_child(named)
    return pid


def _in_child(run: Callable[[], int]) -> None:
    """Run in a forked child and leave without the parent's clean-up, whatever happens."""
    code = 70
    try:
        code = run()
    except BaseException:  # the edge of a process
        logging.getLogger(__name__).exception("a forked process failed")
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def _serve(there: socket.socket, preloaded: Iterable[str], kind: str | None) -> int:
    """Be a zygote: of all kinds, or of one of `LARGE`."""
    syscalls.die_with_parent()
    syscalls.set_process_name("testbed-zygote" if kind is None else f"zygote-{kind}")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _log_to_stderr()  # before descriptors that the parent's handlers may know by number are used for other things
    wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    _close_descriptors(keep={0, 1, 2, there.fileno(), wake_read, wake_write})
    for name in preloaded:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    names: dict[int, str] = {}
    others: dict[str, _Other] = {}
    poll = select.poll()
    poll.register(there, select.POLLIN)
    poll.register(wake_read, select.POLLIN)
    while True:
        ready = {descriptor for descriptor, _ in poll.poll()}
        if wake_read in ready:
            os.read(wake_read, 4096)
        _report_exits(there, names)
        for large, other in tuple(others.items()):
            if other.zygote.fileno() in ready and not other.pass_on(there):
                poll.unregister(other.zygote)
                other.zygote.close()
                del others[large]
        if there.fileno() in ready:
            try:
                message, descriptors, _, _ = socket.recv_fds(there, MESSAGE_BYTES, DESCRIPTORS)
            except ConnectionResetError:
                return 0
            if not message:
                return 0
            spawn = msgspec.json.decode(message, type=Spawn)
            if spawn.kind in LARGE and spawn.kind != kind:
                if spawn.kind not in others:
                    others[spawn.kind] = _Other(Zygote(LARGE[spawn.kind], spawn.kind))
                    poll.register(others[spawn.kind].zygote, select.POLLIN)
                others[spawn.kind].spawn(spawn, descriptors)
            else:
                pid = os.fork()
                if pid == 0:
                    _in_child(lambda spawn=spawn, descriptors=descriptors: _become(spawn, descriptors, there))  # type: ignore[misc]
                names[pid] = spawn.name
                there.send(msgspec.json.encode(Notice(event="spawned", name=spawn.name, pid=pid)))
            for descriptor in descriptors:
                os.close(descriptor)


class _Other:
    """A zygote of `LARGE`, and the daemons that it was asked for, by name: 0 until it has told their pid."""

    def __init__(self, zygote: Zygote) -> None:
        self.zygote = zygote
        self._pids: dict[str, int] = {}

    def spawn(self, spawn: Spawn, descriptors: list[int]) -> None:
        """Ask for a daemon; if the zygote has just ended, `pass_on` tells of it as of one that died."""
        self._pids[spawn.name] = 0
        with contextlib.suppress(OSError):
            self.zygote.spawn(spawn, descriptors)

    def pass_on(self, there: socket.socket) -> bool:
        """Pass its next notice on; False if it has ended, and every daemon of its with it, which is told."""
        notice = self.zygote.receive()
        if notice is None:
            for name, pid in self._pids.items():
                there.send(msgspec.json.encode(Notice(event="exited", name=name, pid=pid, status=signal.SIGKILL)))
            return False
        if notice.event == "exited":
            self._pids.pop(notice.name, None)
        else:
            self._pids[notice.name] = notice.pid
        there.send(msgspec.json.encode(notice))
        return True


def _report_exits(there: socket.socket, names: dict[int, str]) -> None:
    while names:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        if pid in names:
            there.send(msgspec.json.encode(Notice(event="exited", name=names.pop(pid), pid=pid, status=status)))


def _become(spawn: Spawn, descriptors: list[int], there: socket.socket) -> int:
    """In the forked child: enter the node, open the sockets, and be the daemon."""
    syscalls.die_with_parent()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    syscalls.set_process_name(spawn.name)
    events, stderr, home = descriptors[:3]
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(stderr, 1)
    os.dup2(stderr, 2)
    _log_to_stderr()
    main = importlib.import_module("services.common.main")
    runtime_module = importlib.import_module("services.common.runtime")
    config_module = importlib.import_module("services.common.config")
    sockets = {}
    config_file = Path(spawn.config_file)
    for text, node in listens_elsewhere(msgspec.json.decode(config_file.read_bytes())):
        namespace = os.open(NETNS / node, os.O_RDONLY | os.O_CLOEXEC)
        syscalls.setns(namespace, syscalls.CLONE_NEWNET)
        os.close(namespace)
        listen = config_module.decode(text, config_module.Listen)
        sockets[listen] = runtime_module.listening_socket(listen)
    syscalls.setns(home, syscalls.CLONE_NEWNET)
    if spawn.unprivileged:
        syscalls.unshare(syscalls.CLONE_NEWUSER)
        syscalls.map_to(UNPRIVILEGED_UID, UNPRIVILEGED_UID, 0, 0)
        syscalls.die_with_parent()
    for descriptor in descriptors[2:]:
        os.close(descriptor)
    notice = msgspec.json.encode(Notice(event="ready", name=spawn.name, pid=os.getpid()))
    runtime = runtime_module.Runtime(
        name=spawn.name,
        events=importlib.import_module("services.common.events").EventLog(spawn.name, events),
        time_scale=spawn.time_scale,
        sockets=sockets,
        on_ready=lambda: there.send(notice),
    )
    config: Any = config_module.decode(config_file.read_bytes(), main.config_class(spawn.kind))
    code: int = main.run(spawn.kind, config, runtime, config_file)
    return code


def listens_elsewhere(config: Any) -> list[tuple[str, str]]:
    """Every `services.common.config.Listen` with a namespace anywhere in a configuration, as (its JSON, the node's name); found by its fields."""
    if isinstance(config, dict):
        if config.get("namespace") and "port" in config and "address" in config:
            return [(msgspec.json.encode(config).decode(), config["namespace"])]
        return [found for value in config.values() for found in listens_elsewhere(value)]
    if isinstance(config, list):
        return [found for value in config for found in listens_elsewhere(value)]
    return []


def _log_to_stderr() -> None:
    """Daemons log to their own file: the streams of the program that was forked, and its handlers, are not theirs."""
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True)


def _close_descriptors(keep: set[int]) -> None:
    """Close whatever the parent had open: namespaces would live on through it."""
    start = 0
    for descriptor in (*sorted(keep), 1 << 20):
        if start < descriptor:  # an empty range would mean everything
            os.closerange(start, descriptor)
        start = descriptor + 1


