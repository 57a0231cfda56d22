"""A running plan: the Mininet network, its services, and the ways into its nodes. Must be made inside a sandbox.

What happens at start, in order:
1. the zygote is forked and begins to import the daemons;
2. Mininet builds the topology: namespaces, links, then addresses, routes and rulesets of each node;
3. Mininet starts the switches: the forwarding nodes, the userspace wires, then the services in the order of their needs.
"""

from __future__ import annotations

import logging
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from mininet.log import setLogLevel
from mininet.net import Mininet

from testbed.engine import sandbox
from testbed.engine.apply import apply
from testbed.engine.conntrack import load_connection_tracking
from testbed.engine.errors import RealiseError
from testbed.engine.failure import Failures
from testbed.engine.nodes import LabNode
from testbed.engine.preflight import require_programs
from testbed.engine.status import Failure, FailureMode, ServiceStatus, Summary, status_of
from testbed.engine.topo import PlanTopo, spare_the_host
from testbed.plan import Plan

log = logging.getLogger(__name__)
OF_ONE_LAB = ("bgp", "config", "etc", "rds", "suricata", "tls", "zone_health")
"""Folders under /run/testbed that an earlier lab of this sandbox may have left: its keys, its databases, the health of its zones."""


class Lab:
    """One plan, running. `net` is the live Mininet network; `state` holds logs and captures. A sandbox holds one lab with services at a time.

    Whoever changes it by what it is (a plan made from the present one) holds `changing` from the look to the end of the change.
    """

    _running: ClassVar[Lab | None] = None

    def __init__(self, plan: Plan, *, name: str | None = None, state: Path | None = None, progress: Callable[[str], None] = lambda _: None) -> None:
        self.plan = plan
        self.name = name or plan.name
        self.state = state or sandbox.RUN / "labs" / self.name
        self.log_directory = self.state / "logs"
        self.capture_directory = self.state / "captures"
        self._progress = progress
        self.net: Any = None
        self._topo: PlanTopo | None = None
        self._failures: Failures | None = None
        self.changing = threading.RLock()
        self.revision = 0
        """How often the plan has changed."""

    def start(self) -> None:
        """Build and start everything; on failure nothing is left. Raises RealiseError."""
        if not sandbox.inside():
            raise RealiseError("a lab starts only inside a sandbox", "call testbed.engine.sandbox.enter() first")
        require_programs(self.plan)
        load_connection_tracking()
        if self.plan.services:
            self._take_run_folder()
        self.capture_directory.mkdir(parents=True, exist_ok=True)
        setLogLevel("warning")
        spare_the_host()
        self._topo = PlanTopo(self.plan, self.state, self._progress)
        self._progress(f"building {len(self.plan.nodes)} nodes and {len(self.plan.links)} links")
        try:
            self.net = Mininet(topo=self._topo, controller=None, build=False)
            self.net.build()
            self._progress(f"starting {len(self.plan.services)} services")
            self.net.start()
            self._failures = Failures(self.net, self._topo)
        except OSError as error:
            self.stop()
            raise RealiseError(str(error)) from error
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the services and let every namespace go, once nobody is changing anything."""
        with self.changing:
            self._stop()

    def _stop(self) -> None:
        if self._topo is None:
            return
        if Lab._running is self:
            Lab._running = None
        self._topo.rulesets.stop()
        self._topo.supervisor.stop()
        self._topo.wires.stop()
        for node in self.nodes.values():
            node.terminate()
        self._topo.namespaces.close()
        self._topo, self.net, self._failures = None, None, None

    def _take_run_folder(self) -> None:
        """Be the one lab whose services use /run/testbed, and find there nothing of an earlier one."""
        if Lab._running is not None:
            raise RealiseError(f"lab {Lab._running.name} runs in this sandbox already", "leave its `with` block first, or start the other one by `testbed up`")
        Lab._running = self
        for folder in (*(sandbox.RUN / name for name in OF_ONE_LAB), self.log_directory):
            shutil.rmtree(folder, ignore_errors=True)

    def __enter__(self) -> Lab:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def nodes(self) -> dict[str, LabNode]:
        """The Mininet nodes by name."""
        return {} if self._topo is None else self._topo.built

    def node(self, name: str) -> LabNode:
        """The Mininet node called `name`. Raises KeyError with the names that there are."""
        try:
            return self.nodes[name]
        except KeyError:
            raise KeyError(f"no node {name!r}; there are {', '.join(sorted(self.nodes))}") from None

    def socket(self, node: str, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """A socket opened in the node's namespace."""
        return self.node(node).socket(family, kind, protocol)

    def popen(self, node: str, argv: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
        """Start any host program in the node, as `subprocess.Popen`."""
        return self.node(node).popen(list(argv), **{"stdout": None, "stderr": None, **options})

    def ps(self) -> tuple[ServiceStatus, ...]:
        """How each service is, by name."""
        return () if self._topo is None else tuple(status_of(service) for service in self._topo.supervisor.status())

    def apply(self, plan: Plan, *, patient: bool = True) -> Summary:
        """Change the running network to `plan`; what does not differ is not touched. `patient`: wait until all its services are ready. Raises RealiseError."""
        with self.changing:
            if self._topo is None or self.net is None:
                raise RealiseError("the lab is not running", "start it first")
            assert self._failures is not None
            with self._failures.around(plan):
                summary = apply(self.net, self._topo, self.plan, plan, patient=patient)
            self.plan, self.revision = plan, self.revision + 1
        return replace(summary, still_failing=tuple(f"{failure.what}: {failure.words}" for failure in self.failures))

    @property
    def failures(self) -> tuple[Failure, ...]:
        """What has been made to fail, by name."""
        return () if self._failures is None else self._failures.all()

    def fail(self, what: str, mode: str = FailureMode.CUT, *, loss_percent: float = 0.0, delay_ms: float = 0.0, jitter_ms: float = 0.0) -> Failure:
        """Make a link, a node or a service fail (`engine.failure`) until it is healed. Raises RealiseError."""
        if self._failures is None:
            raise RealiseError("the lab is not running", "start it first")
        with self.changing:
            return self._failures.fail(what, FailureMode(mode), loss_percent=loss_percent, delay_ms=delay_ms, jitter_ms=jitter_ms)

    def heal(self, what: str | None = None) -> tuple[Failure, ...]:
        """Heal what fails under this name, or everything. Raises RealiseError."""
        with self.changing:
            return () if self._failures is None else self._failures.heal(what)
