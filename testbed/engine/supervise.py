"""Supervision: start daemons in the order of their needs, bring back the ones that die, and know how each is.

    waiting ──needs ready──► starting ──says ready──► ready
                                ▲                        │
                                └──── dies: again ◄──────┘     (at once; after a second crash within CALM_S, with growing pauses)

One thread of the lab's process does all of it; callers wait on `Supervisor.start` or ask `status`.
The userspace wires, where the plan has links with a delay, are held by a process of the same kind (`wires`).
"""

from __future__ import annotations

import logging
import os
import select
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from testbed.engine.authority import Authority
from testbed.engine.errors import RealiseError
from testbed.engine.zygote import Notice, Spawn, Zygote, listens_elsewhere
from testbed.plan import Plan, ServiceSpec

if TYPE_CHECKING:
    from testbed.engine.nodes import LabNode

log = logging.getLogger(__name__)
CONFIG = Path("/run/testbed/config")
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 0.25
CALM_S = 5.0
PAUSES_S = (0.0, 0.05, 0.2, 0.5, 1.0, 2.0)


@dataclass(slots=True, kw_only=True)
class Service:
    """What is known of one daemon. `since` is wall-clock time of the last change of `state`."""

    spec: ServiceSpec
    state: str = "waiting"
    pid: int = 0
    restarts: int = 0
    since: float = field(default_factory=time.time)
    crashes: int = 0
    last_status: int = 0
    again_at: float | None = None
    wanted: bool = True

    def become(self, state: str) -> None:
        self.state, self.since = state, time.time()


class Supervisor:
    """Starts, watches and ends the services of a lab in the nodes of `nodes`; logs go to ``<state>/logs``."""

    def __init__(self, nodes: dict[str, LabNode], state: Path, time_scale: float, progress: Callable[[str], None]) -> None:
        self._nodes = nodes
        self._logs = state / "logs"
        self.time_scale = time_scale
        self._progress = progress
        self._authority = Authority()
        self._zygote: Zygote | None = None
        self._services: dict[str, Service] = {}
        self._changed = threading.Condition()
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._thread: threading.Thread | None = None
        self._stopping = False

    def warm_up(self) -> None:
        """Fork the zygote: it imports while the network is built. Called before the lab has threads of its own where possible."""
        if self._zygote is None:
            self._zygote = Zygote()

    def start(self, plan: Plan) -> None:
        """Start the plan's services and wait until all are ready. Raises RealiseError naming those that are not, with the end of their logs."""
        self.add(plan.services)
        self.wait_ready()

    def add(self, specs: tuple[ServiceSpec, ...]) -> None:
        """Take services under supervision; they start when what they need is ready."""
        if not specs:
            return
        self._begin()
        with self._changed:
            for spec in specs:
                self._prepare(spec)
                self._services[spec.name] = Service(spec=spec)
        self._wake()

    def _begin(self) -> None:
        """Before the first service: its surroundings, and the thread that watches."""
        if self._thread is None:
            self._logs.mkdir(parents=True, exist_ok=True)
            CONFIG.mkdir(parents=True, exist_ok=True)
            self.warm_up()
            self._authority.publish()
            self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)
            self._thread.start()

    def remove(self, names: tuple[str, ...]) -> None:
        """End services for good."""
        with self._changed:
            for name in names:
                service = self._services.pop(name)
                service.wanted = False
                _signal(service.pid, signal.SIGTERM)

    def replace(self, spec: ServiceSpec, *, reload: bool) -> None:
        """Give a service its new specification: by SIGHUP where only its configuration changed, else by a new process."""
        with self._changed:
            service = self._services[spec.name]
            # sockets in other namespaces are opened at the start of a process: one more VPC needs another process
            reload = reload and _listens_of(spec) == _listens_of(service.spec)
            self._prepare(spec)
            service.spec = spec
            if not reload:
                service.become("stopping")
            _signal(service.pid, signal.SIGHUP if reload else signal.SIGTERM)

    def hold(self, names: tuple[str, ...]) -> None:
        """Kill services, and do not bring them back before `release`."""
        with self._changed:
            for name in names:
                service = self._services[name]
                if service.state != "failed":
                    service.become("failed")
                    _signal(service.pid, signal.SIGKILL)

    def release(self, names: tuple[str, ...]) -> None:
        """Start services again that were held."""
        with self._changed:
            for name in names:
                service = self._services.get(name)
                if service is not None and service.state == "failed":
                    service.restarts += 1
                    service.again_at = None
                    service.become("waiting")
        self._wake()

    def wait_ready(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Wait until every service is ready. Raises RealiseError."""
        deadline = time.monotonic() + timeout_s
        told = 0
        with self._changed:
            while True:
                late = sorted(name for name, service in self._services.items() if service.state not in ("ready", "failed"))
                done = len(self._services) - len(late)
                if done != told:
                    told = done
                    self._progress(f"{done} of {len(self._services)} services are ready")
                if not late:
                    return
                hopeless = [name for name in late if self._services[name].crashes > len(PAUSES_S)]
                if hopeless or time.monotonic() > deadline:
                    raise RealiseError(f"not ready: {', '.join(late)}{self._evidence(hopeless or late)}", "read the logs named above; `testbed doctor` tries what the machine can do")
                self._changed.wait(timeout=0.2)

    def status(self) -> tuple[Service, ...]:
        """All services, by name."""
        with self._changed:
            return tuple(self._services[name] for name in sorted(self._services))

    def stop(self) -> None:
        """Ask every service to end, give them a moment, and end the rest."""
        self._stopping = True
        with self._changed:
            for service in self._services.values():
                service.wanted = False
                _signal(service.pid, signal.SIGTERM)
            deadline = time.monotonic() + STOP_TIMEOUT_S
            while any(service.pid for service in self._services.values()) and time.monotonic() < deadline:
                self._changed.wait(timeout=0.02)
        self._wake()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._zygote is not None:
            self._zygote.close()
            self._zygote = None

    def _prepare(self, spec: ServiceSpec) -> None:
        (CONFIG / f"{spec.name}.json").write_text(spec.config)
        for certificate in spec.certificates:
            self._authority.issue(certificate)

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        assert self._zygote is not None
        poll.register(self._zygote, select.POLLIN)
        while not (self._stopping and not any(service.pid for service in self._services.values())):
            ready = {descriptor for descriptor, _ in poll.poll(self._pause_ms())}
            if self._wake_read in ready:
                os.read(self._wake_read, 4096)
                if self._stopping:
                    return
            if self._zygote.fileno() in ready:
                notice = self._zygote.receive()
                if notice is None:
                    poll.unregister(self._zygote)
                    self._replace_zygote()
                    poll.register(self._zygote, select.POLLIN)
                else:
                    self._take(notice)
            self._start_what_can()

    def _pause_ms(self) -> float | None:
        waits = [service.again_at for service in self._services.values() if service.again_at is not None]
        return max(0.0, (min(waits) - time.monotonic()) * 1000) if waits else None

    def _take(self, notice: Notice) -> None:
        with self._changed:
            service = self._services.get(notice.name)
            if service is None and notice.event == "spawned":  # it was taken away while it was on its way
                _signal(notice.pid, signal.SIGTERM)
            if service is not None:
                if notice.event == "spawned":
                    service.pid = notice.pid
                elif notice.event == "ready" and service.pid in (0, notice.pid):  # a quick daemon speaks before its zygote has told of it
                    service.pid = notice.pid
                    service.become("ready")
                elif notice.pid == service.pid and notice.event == "exited":
                    self._lost(service, notice.status)
            self._changed.notify_all()

    def _lost(self, service: Service, status: int) -> None:
        service.pid, service.last_status = 0, status
        if not service.wanted:
            service.become("stopped")
            return
        if service.state == "failed":
            return
        if service.state != "stopping":
            log.warning("%s ended with status %s; starting it again", service.spec.name, status)
            service.crashes = service.crashes + 1 if time.time() - service.since < CALM_S else 1
        service.restarts += 1
        service.again_at = time.monotonic() + PAUSES_S[min(service.crashes, len(PAUSES_S)) - 1 if service.crashes else 0]
        service.become("waiting")

    def _start_what_can(self) -> None:
        now = time.monotonic()
        with self._changed:
            for service in self._services.values():
                if service.state != "waiting" or not service.wanted or (service.again_at is not None and service.again_at > now):
                    continue
                if service.restarts == 0 and any(self._services[need].state not in ("ready", "failed") for need in service.spec.after if need in self._services):
                    continue
                service.again_at = None
                service.become("starting")
                self._spawn(service.spec)

    def _spawn(self, spec: ServiceSpec) -> None:
        assert self._zygote is not None
        events = os.open(self._logs / f"{spec.name}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        stderr = os.open(self._logs / f"{spec.name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        message = Spawn(
            name=spec.name,
            kind=spec.kind,
            config_file=str(CONFIG / f"{spec.name}.json"),
            time_scale=self.time_scale,
            unprivileged=spec.unprivileged,
        )
        try:
            self._zygote.spawn(message, [events, stderr, self._nodes[spec.node].namespace.descriptor])
        finally:
            os.close(events)
            os.close(stderr)

    def _replace_zygote(self) -> None:
        """The zygote died, and every daemon with it: a new one, and all of them again."""
        log.warning("the zygote ended; starting another")
        assert self._zygote is not None
        self._zygote.close()
        self._zygote = Zygote()
        with self._changed:
            for service in self._services.values():
                if service.wanted:
                    service.pid = 0
                    service.restarts += 1
                    service.become("waiting")
            self._changed.notify_all()

    def _evidence(self, names: list[str]) -> str:
        told = []
        for name in names[:3]:
            file = self._logs / f"{name}.log"
            lines = file.read_text(errors="replace").strip().splitlines() if file.exists() else []
            told.append(f"\n  {file}: {lines[-1] if lines else 'empty'}")
        return "".join(told)

    def _wake(self) -> None:
        os.write(self._wake_write, b"\0")


def _listens_of(spec: ServiceSpec) -> frozenset[tuple[str, str]]:
    return frozenset(listens_elsewhere(msgspec.json.decode(spec.config)))


def _signal(pid: int, number: int) -> None:
    if pid:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            log.debug("process %s is gone already", pid)
