"""Labs that run by themselves: launch one, attach to one, end one.

    launch ──fork──► daemon ──sandbox──► supervisor: Lab + ControlServer
      ▲ progress, then ready or the error, over a pipe
      └─ if the launcher dies before it said that it heard, the lab ends as well

`RemoteLab` is the same thing to look at as a `Lab` in-process (`observe.lab_view.LabView`): sockets and programs in nodes, logs, captures.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from testbed.engine import sandbox, state
from testbed.engine.entering import Entry
from testbed.engine.errors import RealiseError
from testbed.engine.lines import receive_line, send_line
from testbed.engine.operation import NO_OPERATIONS, Operations
from testbed.engine.status import Failure, FailureMode, ServiceStatus, Summary
from testbed.engine.terminal import lend

if TYPE_CHECKING:
    from testbed.plan import Plan

DOWN_TIMEOUT_S = 5.0
names = state.names


class NoSuchLab(RealiseError):
    """There is no running lab of this name."""


class LabExists(RealiseError):
    """A lab of this name is running already."""


class RemoteLab:
    """A running lab, through its control socket."""

    def __init__(self, record: state.Record) -> None:
        self.name = record.name
        self.topology_source = record.source
        self.state = state.folder(record.name)
        self.log_directory = self.state / "logs"
        self.capture_directory = self.state / "captures"
        self._record = record
        self._plan: Plan | None = None
        self._revision = -1

    @property
    def plan(self) -> Plan:
        """What the lab is running now: it may change of itself, where groups scale."""
        if self._plan is None or self.revision != self._revision:
            from testbed.engine import codec  # most of a lab's clients need no plan

            answer = self._ask("plan")[0]
            self._plan, self._revision = codec.decode(answer["plan"].encode()), answer["revision"]
        return self._plan

    @property
    def revision(self) -> int:
        """How often the lab has changed since it was started."""
        return int(self._ask("revision")[0]["revision"])

    @property
    def node_names(self) -> tuple[str, ...]:
        """The nodes, by name."""
        return tuple(self._ask("status")[0]["nodes"])

    def ask(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """Have the lab's process carry out one of its launcher's operations. Raises RealiseError."""
        return self._ask(operation, **arguments)[0]

    def socket(self, node: str, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """A socket opened in the node's namespace."""
        _, descriptors = self._ask("socket", node=node, family=family, kind=kind, protocol=protocol)
        return socket.socket(fileno=descriptors[0])

    def popen(self, node: str, argv: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
        """Start any host program in the node, as `subprocess.Popen`; without redirection it has the caller's terminal."""
        answer, descriptors = self._ask("enter", node=node)
        user, *others, process = descriptors
        if os.stat("/proc/self/ns/user").st_ino != os.fstat(user).st_ino:  # noqa: PTH116
            others.insert(0, user)
        else:
            os.close(user)
        entry = Entry(descriptors=tuple(others), process=process)
        try:
            return subprocess.Popen(list(argv), preexec_fn=entry, env=_environment(options.pop("env", None), answer["environment"]), **options)
        finally:
            entry.close()

    def ps(self) -> tuple[ServiceStatus, ...]:
        """How each service is, by name."""
        return msgspec.convert(self._ask("ps")[0]["services"], tuple[ServiceStatus, ...])

    def apply(self, plan: Plan) -> Summary:
        """Change the running lab to `plan`."""
        from testbed.engine import codec

        return msgspec.convert(self._ask("apply", plan=codec.encode(plan).decode())[0]["summary"], Summary)

    @property
    def failures(self) -> tuple[Failure, ...]:
        """What has been made to fail, by name."""
        return msgspec.convert(self._ask("failures")[0]["failures"], tuple[Failure, ...])

    def fail(self, what: str, mode: str = FailureMode.CUT, *, loss_percent: float = 0.0, delay_ms: float = 0.0, jitter_ms: float = 0.0) -> Failure:
        """Make a link, a node or a service fail until it is healed. Raises RealiseError."""
        return msgspec.convert(self._ask("fail", what=what, mode=mode, loss_percent=loss_percent, delay_ms=delay_ms, jitter_ms=jitter_ms)[0]["failure"], Failure)

    def heal(self, what: str | None = None) -> tuple[Failure, ...]:
        """Heal what fails under this name, or everything. Raises RealiseError."""
        return msgspec.convert(self._ask("heal", what=what)[0]["healed"], tuple[Failure, ...])

    def shell(self) -> int:
        """Mininet's command line on the caller's terminal; returns its exit status when it ends."""
        return lend(lambda terminal: int(self._ask("shell", descriptors=[terminal])[0]["status"]))

    def down(self) -> None:
        """End the lab, whatever state it is in, and forget it."""
        end(self.name)

    def _ask(self, operation: str, descriptors: Sequence[int] = (), **arguments: Any) -> tuple[dict[str, Any], list[int]]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            try:
                connection.connect(str(self.state / "control.sock"))
            except OSError as error:
                raise NoSuchLab(f"lab {self.name} does not answer: {error}", f"end it with `testbed down {self.name}` and start it again") from error
            send_line(connection, {"op": operation, **arguments}, list(descriptors))
            received = receive_line(connection)
        if received is None:
            raise NoSuchLab(f"lab {self.name} ended", f"`testbed up` starts it again; its logs were in {self.log_directory}")
        if "error" in received[0]:
            raise RealiseError(received[0]["error"], received[0]["remedy"])
        return received


def _environment(asked: Mapping[str, str] | None, node: Mapping[str, str]) -> dict[str, str]:
    """The variables of a program in a node: the caller's, those asked for, the node's own. Programs that came with the testbed (``aws``) are found last."""
    merged = {**os.environ, **(asked or {}), **node}
    path = sandbox.with_system_programs(merged.get("PATH", ""))
    return {**merged, "PATH": os.pathsep.join((path, str(Path(sys.executable).parent)))}


def attach(name: str) -> RemoteLab:
    """The running lab of this name. Raises NoSuchLab."""
    record = state.read(name)
    if record is None or not state.alive(record):
        running = [other for other in state.names() if (found := state.read(other)) is not None and state.alive(found)]
        raise NoSuchLab(f"no lab {name!r} is running", f"running now: {', '.join(running) or 'none; start one with `testbed up web_app`'}")
    return RemoteLab(record)


def running() -> tuple[str, ...]:
    """Names of the labs that are alive."""
    return tuple(name for name in state.names() if (record := state.read(name)) is not None and state.alive(record))


def launch(plan: Plan, name: str, source: str = "", progress: Callable[[str], None] = lambda _: None, operations: Operations = NO_OPERATIONS) -> RemoteLab:
    """Start a lab that lives on after the caller, and that also answers `operations`. Raises LabExists, or RealiseError when the machine refuses; then nothing is left."""
    path = state.folder(name)
    old = state.read(name)
    if old is not None and state.alive(old):
        raise LabExists(f"a lab {name!r} runs already", f"end it with `testbed down {name}`, or start this one with --name OTHER")
    _refuse_a_machine_that_lacks()
    state.forget(name)
    path.mkdir(parents=True, mode=0o700)
    read, write = os.pipe2(os.O_CLOEXEC)
    heard_read, heard_write = os.pipe2(os.O_CLOEXEC)
    daemon = os.fork()
    if daemon == 0:
        os.close(read)
        os.close(heard_write)
        _be_daemon(plan, name, write, heard_read, operations)
    os.close(write)
    os.close(heard_read)
    record = state.Record(name=name, topology=plan.name, source=source, pid=daemon, born=state.born(daemon) or 0, started=time.time())
    state.write(record)
    try:
        _listen(read, progress)
        os.write(heard_write, b"!")
    except BaseException:
        _kill(record)
        state.forget(name)
        raise
    finally:
        os.close(read)
        os.close(heard_write)
    return RemoteLab(record)


def _refuse_a_machine_that_lacks() -> None:
    from testbed.engine.preflight import check, missing

    lacking = missing(check())
    if lacking:
        raise RealiseError("this machine lacks what a lab needs: " + "; ".join(f"{c.name} ({c.detail})" for c in lacking), "; ".join(c.remedy for c in lacking if c.remedy))


def end(name: str) -> bool:
    """End the lab of this name, kindly if it listens and by force if not, and forget it; False if there was none."""
    record = state.read(name)
    if record is None:
        found = state.folder(name).exists()
        state.forget(name)
        return found
    if state.alive(record):
        try:
            RemoteLab(record)._ask("down")
            _wait_gone(record, DOWN_TIMEOUT_S)
        except RealiseError:
            logging.getLogger(__name__).info("lab %s does not listen; ending it by force", name)
        _kill(record)
    state.forget(name)
    return True


def _kill(record: state.Record) -> None:
    if state.alive(record):
        os.kill(record.pid, signal.SIGKILL)
        _wait_gone(record, DOWN_TIMEOUT_S)


def _wait_gone(record: state.Record, timeout_s: float) -> None:
    try:
        descriptor = os.pidfd_open(record.pid)
    except ProcessLookupError:
        return
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    if state.alive(record):
        poll.poll(timeout_s * 1000)
    os.close(descriptor)
    try:
        os.waitpid(record.pid, os.WNOHANG)
    except ChildProcessError:
        return


def _listen(read: int, progress: Callable[[str], None]) -> None:
    """Pass the daemon's words on until it is ready. Raises RealiseError with its words if it is not."""
    with os.fdopen(os.dup(read), "rb") as lines:
        for line in lines:
            said = msgspec.json.decode(line)
            if "progress" in said:
                progress(said["progress"])
            elif "error" in said:
                raise RealiseError(said["error"], said["remedy"])
            elif "ready" in said:
                return
    raise RealiseError("the lab ended while it was starting", "`testbed doctor` tries what the machine can do")


def _be_daemon(plan: Plan, name: str, write: int, heard: int, operations: Operations) -> NoReturn:
    """In the forked process: leave the terminal, enter a sandbox, and be the lab. Returns never."""
    from testbed.engine.control import ControlServer  # a client of a running lab has no need of these
    from testbed.engine.lab import Lab

    code, wanted = 1, False
    folder = state.folder(name)

    def tell(**words: Any) -> None:
        if wanted:  # nobody listens any more, and the number of the pipe may be a connection's by now
            return
        os.write(write, msgspec.json.encode(words) + b"\n")

    try:
        os.setsid()
        null, journal = os.open(os.devnull, os.O_RDONLY), os.open(folder / "lab.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        for source, number in ((null, 0), (journal, 1), (journal, 2)):
            os.dup2(source, number)
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True)
        sandbox.enter(keep=(state.home(),))
        lab = Lab(plan, name=name, state=folder, progress=lambda words: tell(progress=words))
        with lab:
            server = ControlServer(lab, operations)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, lambda *_: server.end())
            tell(ready=True)
            if os.read(heard, 1):
                wanted = True
                os.close(write)
                server.serve()
                code = 0
    except RealiseError as error:
        tell(error=error.args[0], remedy=error.remedy)
    except Exception as error:  # the edge of the daemon: the one who launched it must hear
        logging.getLogger(__name__).exception("lab %s failed", name)
        tell(error=f"{type(error).__name__}: {error}", remedy=f"the details are in {folder / 'lab.log'}")
    finally:
        if not wanted:
            state.forget(name)
        os._exit(code)
