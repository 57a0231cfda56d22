"""`Lab`: a topology as a running network, in this very program.

    from testbed.lab import Lab
    from topologies.web_app import web_app

    with Lab(web_app()) as lab:
        print(lab["client"].curl("https://shop.example.com/products").text)

Entering the block moves the program into a sandbox (`engine.sandbox.enter`), resolves and compiles the topology, and starts it; leaving it ends
everything. `lab["client"]` is a node as an experiment wants it (`observe.nodes.LabNode`); `lab.net` is the live Mininet network.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path

from testbed.compile import compile_plan
from testbed.engine import lab as engine_lab
from testbed.engine import sandbox
from testbed.engine.status import Summary
from testbed.model.launching import carried_over, launched
from testbed.model.topology import Topology
from testbed.observe.explain import PROBE_TIMEOUT_S, Explanation, explain
from testbed.observe.flow_log import FlowLogReader
from testbed.observe.nodes import Observed
from testbed.observe.probe import Protocol
from testbed.observe.reach import Difference, differences
from testbed.oracle import Oracle, Reach
from testbed.resolve import resolve
from testbed.scaling.controller import Controller


class Lab(Observed, engine_lab.Lab):
    """A topology, running between ``with`` and its end. Raises ModelError with all faults of the topology, RealiseError if the machine refuses."""

    def __init__(self, topology: Topology, *, name: str | None = None, state: Path | None = None, progress: Callable[[str], None] = lambda _: None) -> None:
        self.topology = launched(topology)
        self.resolved = resolve(self.topology)
        super().__init__(compile_plan(self.resolved), name=name, state=state, progress=progress)
        self.scaling = self._controller()

    def start(self) -> None:
        """Enter a sandbox if this program is not in one, and start everything."""
        sandbox.enter()
        super().start()
        self.scaling = self._controller()  # a lab that is started again knows nothing of before
        self.scaling.start()

    def stop(self) -> None:
        """End what changes it, then everything."""
        self.scaling.stop()
        super().stop()

    @property
    def oracle(self) -> Oracle:
        """What AWS does with packets in the topology as it is now."""
        return Oracle(self.resolved)

    def explain(self, source: str, destination: str | IPv4Address, *, port: int = 0, protocol: str = "tcp", timeout_s: float = PROBE_TIMEOUT_S) -> Explanation:
        """Send a real probe and tell which AWS rules judged it and its reply; `destination` is a node or an address. Raises LookupError."""
        address = self[source].resolved(destination)
        return explain(self, source, address, Protocol(protocol), port, oracle=self.oracle, timeout_s=timeout_s)

    def reach(self, *, port: int = 443, protocol: str = "tcp") -> Reach:
        """Who reaches whom, all pairs of nodes, from the model."""
        return self.oracle.reach(protocol, port)

    def reach_differences(self, matrix: Reach) -> tuple[Difference, ...]:
        """The pairs of `matrix` that real packets contradict (TCP and ICMP)."""
        return differences(self, matrix, {(source, destination): matrix.address(source, destination) for source in matrix.names for destination in matrix.names})

    def flow_logs(self, resource: str) -> FlowLogReader:
        """The flow log records of an interface, a subnet or a VPC: ``.more()`` gives those that have come since."""
        return FlowLogReader(self, resource)

    def change(self, topology: Topology) -> Summary:
        """Change the running network to another topology; connections that the change does not concern go on. Instances of its Auto Scaling groups and tasks that run already stay."""
        with self.changing:
            return self._become(launched(carried_over(self.topology, topology)), patient=True)

    def _controller(self) -> Controller:
        return Controller(self, lambda: self.resolved, self._scale)

    def _scale(self, topology: Topology) -> Summary:
        return self._become(topology, patient=False)

    def _become(self, topology: Topology, *, patient: bool) -> Summary:
        resolved = resolve(topology)
        summary = self.apply(compile_plan(resolved), patient=patient)
        self.topology, self.resolved = topology, resolved
        return summary
