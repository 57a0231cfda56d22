"""The control socket of a running lab: one JSON line in, one JSON line out, descriptors beside it where asked for.

Requests (`op`): ``status``, ``revision`` (which changes with the plan), ``ps``, ``plan``, ``enter`` (a node's namespaces), ``socket`` (opened in a node), ``apply`` (a plan),
``failures``, ``fail``, ``heal`` (what is broken on purpose), ``shell`` (Mininet's CLI on a terminal that comes along), ``down``, and the launcher's own (`operation.Operations`). An answer has ``error`` (and ``remedy``) where it failed.
Only the lab's owner reaches the socket: its folder is private. Nothing here lets the lab reach the host.
"""

from __future__ import annotations

import fcntl
import gc
import logging
import os
import socket
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from testbed.engine import codec
from testbed.engine.entering import own_namespaces
from testbed.engine.errors import RealiseError
from testbed.engine.lab import Lab
from testbed.engine.lines import receive_line, send_line
from testbed.engine.operation import Operations
from testbed.engine.visible import environment
from testbed.engine.zygote import run_forked

log = logging.getLogger(__name__)
Answer = tuple[dict[str, Any], list[int]]


class ControlServer:
    """Answers on `<state>/control.sock` until `down` is asked."""

    def __init__(self, lab: Lab, operations: Operations) -> None:
        self._lab = lab
        self._others = operations
        self._ended = threading.Event()
        self._one_at_a_time = threading.Lock()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        path = lab.state / "control.sock"
        path.unlink(missing_ok=True)
        self._socket.bind(str(path))
        path.chmod(0o600)
        self._socket.listen(64)
        self._operations: dict[str, Callable[[dict[str, Any], list[int]], Answer]] = {
            "status": self._status, "revision": self._revision, "ps": self._ps, "plan": self._plan, "enter": self._enter, "socket": self._open_socket,
            "apply": self._apply, "failures": self._failures, "fail": self._fail, "heal": self._heal, "shell": self._shell, "down": self._down,
        }

    def serve(self) -> None:
        """Answer requests, each connection in a thread, until `down`."""
        threading.Thread(target=self._accept, name="control", daemon=True).start()
        threading.Thread(target=self._others.prepare, args=(self._lab,), name="prepare", daemon=True).start()
        self._ended.wait()
        self._socket.close()

    def end(self) -> None:
        """Let `serve` return."""
        self._ended.set()

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._converse, args=(connection,), name="control-connection", daemon=True).start()

    def _converse(self, connection: socket.socket) -> None:
        with connection:
            while True:
                received = receive_line(connection)
                if received is None:
                    return
                request, descriptors = received
                answer, to_send = self._answer(request, descriptors)
                for descriptor in descriptors:
                    os.close(descriptor)
                try:
                    send_line(connection, answer, to_send)
                except OSError:  # the asker has gone
                    return

    def _answer(self, request: dict[str, Any], descriptors: list[int]) -> Answer:
        operation = self._operations.get(request.get("op", ""), self._other if request.get("op") in self._others.answers else None)
        if operation is None:
            return {"error": f"no operation {request.get('op')!r}", "remedy": "use the same version of the testbed as the lab"}, []
        try:
            return operation(request, descriptors)
        except RealiseError as error:
            return {"error": error.args[0], "remedy": error.remedy}, []
        except KeyError as error:
            return {"error": str(error.args[0]), "remedy": "`testbed ps` and `testbed graph` name the nodes"}, []
        except Exception as error:  # the edge of the daemon: the asker hears of it, the lab lives on
            log.exception("control operation %s failed", request.get("op"))
            return {"error": f"{type(error).__name__}: {error}", "remedy": "`testbed logs` has the details"}, []

    def _other(self, request: dict[str, Any], _descriptors: list[int]) -> Answer:
        with self._one_at_a_time:
            return self._others.answers[request["op"]](self._lab, request), []

    def _status(self, _request: dict[str, Any], _descriptors: list[int]) -> Answer:
        return {"name": self._lab.name, "plan": self._lab.plan.name, "nodes": [node.name for node in self._lab.plan.nodes]}, []

    def _revision(self, _request: dict[str, Any], _descriptors: list[int]) -> Answer:
        return {"revision": self._lab.revision}, []

    def _ps(self, _request: dict[str, Any], _descriptors: list[int]) -> Answer:
        return {"services": msgspec.to_builtins(self._lab.ps())}, []

    def _plan(self, _request: dict[str, Any], _descriptors: list[int]) -> Answer:
        with self._lab.changing:
            return {"plan": codec.encode(self._lab.plan).decode(), "revision": self._lab.revision}, []

    def _enter(self, request: dict[str, Any], _descriptors: list[int]) -> Answer:
        node = self._lab.node(request["node"])
        with self._one_at_a_time:
            view = node.view()
        own = dict(own_namespaces())
        return {"environment": environment(node.spec)}, [own["user"], own["ipc"], *map(os.dup, view.descriptors), own["pid"]]  # what is sent is closed here

    def _open_socket(self, request: dict[str, Any], _descriptors: list[int]) -> Answer:
        opened = self._lab.socket(request["node"], request["family"], request["kind"], request["protocol"])
        return {}, [opened.detach()]

    def _apply(self, request: dict[str, Any], _descriptors: list[int]) -> Answer:
        with self._one_at_a_time, nothing_collected():
            summary = self._lab.apply(codec.decode(request["plan"].encode()))
        return {"summary": msgspec.to_builtins(summary)}, []

    def _failures(self, _request: dict[str, Any], _descriptors: list[int]) -> Answer:
        return {"failures": msgspec.to_builtins(self._lab.failures)}, []

    def _fail(self, request: dict[str, Any], _descriptors: list[int]) -> Answer:
        with self._one_at_a_time:
            failure = self._lab.fail(request["what"], request["mode"], loss_percent=request["loss_percent"], delay_ms=request["delay_ms"], jitter_ms=request["jitter_ms"])
        return {"failure": msgspec.to_builtins(failure)}, []

    def _heal(self, request: dict[str, Any], _descriptors: list[int]) -> Answer:
        with self._one_at_a_time:
            healed = self._lab.heal(request["what"])
        return {"healed": msgspec.to_builtins(healed)}, []

    def _shell(self, _request: dict[str, Any], descriptors: list[int]) -> Answer:
        terminal = descriptors[0]
        with self._one_at_a_time:
            nodes = tuple(self._lab.nodes.values())
            for node in nodes:
                node.view()
            keep = {terminal, *(descriptor for node in nodes for descriptor in (node.namespace.netlink.fileno(), *node.view().descriptors))}
            pid = run_forked("testbed-shell", lambda: _mininet_shell(self._lab.net, terminal), keep)
        _, status = os.waitpid(pid, 0)
        return {"status": status}, []

    def _down(self, _request: dict[str, Any], _descriptors: list[int]) -> Answer:
        threading.Timer(0.01, self.end).start()
        return {}, []


@contextmanager
def nothing_collected() -> Iterator[None]:
    """Run the block without garbage collection, which would look through every object of a plan of thousands of rules many times; plans hold no cycles."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _mininet_shell(net: Any, terminal: int) -> None:
    """Mininet's own command line, in a process of its own with a terminal of its own."""
    os.setsid()
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    for number in (0, 1, 2):
        os.dup2(terminal, number)
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(number, mode, buffering=1, closefd=False) for number, mode in ((0, "r"), (1, "w"), (2, "w")))
    from mininet import log as mininet_log
    from mininet.cli import CLI

    mininet_log.lg.handlers[0].stream = sys.stdout
    mininet_log.setLogLevel("info")
    CLI(net)
