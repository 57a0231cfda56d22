"""A plan as a Mininet topology: every node and link names its own class, so stock Mininet can build and start it.

    net = Mininet(topo=PlanTopo(plan), controller=None)

Services start with ``net.start()`` and end with ``net.stop()``: they hang on a switch of their own (`ServiceSwitch`), which Mininet
starts after all others because its name sorts last.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mininet.net import Mininet
from mininet.node import Switch
from mininet.topo import Topo
from mininet.util import numCores

from testbed.engine.coalescing import coalesce
from testbed.engine.ethtool import settle
from testbed.engine.links import LabLink
from testbed.engine.namespaces import NamespaceMaker
from testbed.engine.nodes import FORWARDING, ForwardingNode, LabNode
from testbed.engine.preflight import DelayLine, Tagging, delay_line, tagging
from testbed.engine.rulesets import Rulesets
from testbed.engine.supervise import Supervisor
from testbed.engine.wire import VlanSpec, WireSpec
from testbed.engine.wires import WireHolder
from testbed.plan import Link, Plan
from testbed.plan.network import LinkKey

SERVICES = "~services"
"""No AWS id has a tilde, so no node can have this name, and it sorts behind all of them."""


def spare_the_host() -> None:
    """Tell Mininet that it is initialised: its own initialisation writes sysctls of the host; and how many cores there are, for which it would start two programs."""
    Mininet.inited = True
    numCores.ncores = os.cpu_count()


class PlanTopo(Topo):  # type: ignore[misc]
    """The Mininet topology of a plan. `state` is the folder for logs."""

    def __init__(self, plan: Plan, state: Path, progress: Callable[[str], None] = lambda _: None) -> None:
        self.plan = plan
        self.state = state
        self.progress = progress
        self.built: dict[str, LabNode] = {}
        self.supervisor = Supervisor(self.built, state, plan.time_scale, progress)
        if plan.services:
            self.supervisor.warm_up()  # imports while the network is built
        self.wires = WireHolder()
        self.delay_line = DelayLine.USERSPACE_WIRE
        self.tagging = Tagging.USERSPACE_WIRE
        self.rulesets = Rulesets()
        forked = min(sum(node.ruleset is not None for node in plan.nodes), os.cpu_count() or 1)
        if forked:
            self.rulesets.start(forked)
        self.namespaces = NamespaceMaker()
        super().__init__()

    def build(self, *_args: Any, **_params: Any) -> None:
        """Mininet's hook: declare nodes and links."""
        ends = Counter(end.node for link in self.plan.links for end in (link.a, link.b))
        for node in self.plan.nodes:
            if node.kind in FORWARDING:
                self.addSwitch(node.name, cls=ForwardingNode, spec=node, namespaces=self.namespaces, registry=self.built, rulesets=self.rulesets, links_to_come=ends[node.name])
            else:
                self.addHost(node.name, cls=LabNode, spec=node, namespaces=self.namespaces, registry=self.built, rulesets=self.rulesets, links_to_come=ends[node.name])
        if any(link.wire is not None for link in self.plan.links):
            self.delay_line = delay_line()
        if self._vlans:
            self.tagging = tagging()
        for link in self.plan.links:
            self.addLink(link.a.node, link.b.node, **self.making(link))
        self.addSwitch(SERVICES, cls=ServiceSwitch, topo=self)
        self._announce()

    def _announce(self) -> None:
        """Have namespaces made in the order in which the links need them: the first link can be made when two are there, while others are on their way."""
        sysctls = {node.name: node.sysctls for node in self.plan.nodes}
        for first, second, _ in self.links(sort=True, withInfo=True):
            for name in (first, second):
                self.namespaces.announce(name, sysctls[name])

    def links(self, *arguments: Any, **options: Any) -> list[Any]:
        """Mininet's hook: a VLAN comes after the link that it is on."""
        found: list[Any] = super().links(*arguments, **options)
        return sorted(found, key=lambda link: link[-1]["spec"].vlan is not None) if options.get("withInfo") else found

    def making(self, link: Link) -> dict[str, Any]:
        """How Mininet makes a link of the plan."""
        return {"cls": LabLink, "spec": link, "delay_line": self._delay_line(link), "tagging": self.tagging, "registry": self.built}

    @property
    def plan(self) -> Plan:
        """What the network is, or is about to be."""
        return self._plan

    @plan.setter
    def plan(self, plan: Plan) -> None:
        self._plan = plan
        self._vlans: dict[LinkKey, list[Link]] = {}
        for link in plan.links:
            if link.vlan is not None:
                self._vlans.setdefault(link.vlan.trunk, []).append(link)

    def _delay_line(self, link: Link) -> DelayLine:
        """The userspace wire also carries the links whose VLANs it must tag."""
        return DelayLine.USERSPACE_WIRE if self.tagging is Tagging.USERSPACE_WIRE and link.key in self._vlans else self.delay_line

    def userspace_wires(self) -> tuple[WireSpec, ...]:
        """The plan's links that a process must carry: those with a delay, where the kernel has no netem, and those with VLANs, where it has no such devices."""
        return tuple(
            WireSpec(
                a=(self.built[link.a.node].namespace.descriptor, link.a.name),
                b=(self.built[link.b.node].namespace.descriptor, link.b.name),
                delay_ms=link.wire.delay_ms,
                jitter_ms=link.wire.jitter_ms,
                loss_percent=link.wire.loss_percent,
                rate_mbit=link.wire.rate_mbit,
                vlans=self._tagged_here(link),
            )
            for link in self.plan.links
            if link.wire is not None and self._delay_line(link) is DelayLine.USERSPACE_WIRE
        )

    def _tagged_here(self, trunk: Link) -> tuple[VlanSpec, ...]:
        if self.tagging is Tagging.KERNEL:
            return ()
        found = []
        for link in self._vlans.get(trunk.key, ()):
            assert link.vlan is not None
            ends = {parent: (self.built[end.node].namespace.descriptor, end.name) for end, parent in zip((link.a, link.b), link.parents, strict=True)}
            found.append(VlanSpec(tag=link.vlan.tag, a=ends[trunk.a.node, trunk.a.name], b=ends[trunk.b.node, trunk.b.name]))
        return tuple(found)


class ServiceSwitch(Switch):  # type: ignore[misc]
    """Not a switch: Mininet's own hook to start and stop what runs on a network."""

    def __init__(self, name: str, *, topo: PlanTopo, **params: Any) -> None:
        self.topo = topo
        params["inNamespace"] = True
        super().__init__(name, **params)

    @classmethod
    def setup(cls) -> None:
        """Nothing is needed."""

    def startShell(self, mnopts: str | None = None) -> None:
        """It has no shell."""

    def defaultDpid(self, dpid: str | None = None) -> str:
        """OpenFlow's number of a switch means nothing here."""
        return "0"

    def start(self, _controllers: Sequence[object]) -> None:
        """Wait for the rulesets, hold the wires, have every link carry, start every service of the plan and wait until all are ready. Raises RealiseError naming the ones that are not."""
        self.topo.rulesets.wait()
        self.topo.wires.start(self.topo.userspace_wires())
        for node in self.topo.built.values():
            settle(node, node.intfNames())
            coalesce(node, (intf.name for intf in node.intfList() if intf.spec.coalesces))
        self.topo.supervisor.start(self.topo.plan)

    def stop(self, deleteIntfs: bool = False) -> None:
        """End every service and let the wires go."""
        self.topo.supervisor.stop()
        self.topo.wires.stop()
