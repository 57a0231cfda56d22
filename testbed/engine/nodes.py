"""Mininet nodes that cost a namespace and nothing else.

`LabNode` is a `mininet.node.Node` whose namespace is a file descriptor instead of a bash process; the shell opens at the first `cmd()`.
`popen` runs any host program in the node, seeing the lab: its resolv.conf, hosts and certificates (`visible.py`).
Configuration comes from the plan, by netlink: `realise` makes what the plan says true, once the links are there.
A node that forwards for others is a Mininet switch (`ForwardingNode`): Mininet starts it after all hosts.
"""

from __future__ import annotations

import os
import select
import socket
import subprocess
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from mininet.node import Node as MininetNode
from mininet.node import Switch

from testbed.engine import netlink, syscalls
from testbed.engine.entering import Entry
from testbed.engine.namespaces import Namespace, NamespaceMaker
from testbed.engine.nft import load
from testbed.engine.rulesets import Rulesets, nftables_socket
from testbed.engine.ttl import keep_ttl
from testbed.engine.tun import create_tun
from testbed.engine.visible import View, environment
from testbed.plan import Node, NodeKind, Route

FORWARDING = frozenset({NodeKind.CITY, NodeKind.CUSTOMER_GATEWAY, NodeKind.VPN_ENDPOINT, NodeKind.VPN_GATEWAY, NodeKind.DIRECT_CONNECT, NodeKind.FABRIC, NodeKind.GATEWAY_LOAD_BALANCER_ENDPOINT, NodeKind.INTERFACE_ENDPOINT, NodeKind.INTERNET_GATEWAY, NodeKind.NAT_GATEWAY, NodeKind.NETWORK_FIREWALL, NodeKind.NETWORK_INTERFACE, NodeKind.TRANSIT_GATEWAY})
SHELL = ("bash", "--norc", "--noediting", "-is")


class LabNode(MininetNode):  # type: ignore[misc]
    """A node of a lab. `spec` is the plan's; `indexes` are the kernel's interface numbers by name, filled in by the links; it enters itself into `registry`.

    Links leave the configuration of their ends in `pending`, so that one message configures a node however many links it has. With `rulesets`, which work
    beside the building of a network, the node leaves its ruleset to them as soon as its `links_to_come` are there.
    """

    def __init__(self, name: str, *, spec: Node, namespaces: NamespaceMaker, registry: dict[str, LabNode], rulesets: Rulesets | None = None, links_to_come: int = 0, **params: Any) -> None:
        self.spec = spec
        registry[name] = self
        self._sysctls = namespaces.sysctls
        self.indexes: dict[str, int] = {"lo": netlink.LOOPBACK_INDEX}
        self._making: Future[Namespace] = namespaces.make(name, spec.sysctls)
        self._rulesets = rulesets if rulesets is not None and rulesets.working else None
        self._links_to_come = links_to_come
        self._rules_come = False
        self._view: View | None = None
        self.pending = netlink.Batch()
        super().__init__(name, **params)

    @classmethod
    def setup(cls) -> None:
        """Nothing that Mininet's own nodes need (mnexec, ifconfig) is needed here."""

    @property
    def namespace(self) -> Namespace:
        """The node's namespace; waits for it the first time. Raises OSError if it could not be made."""
        return self._making.result()

    # What Mininet calls

    def startShell(self, mnopts: str | None = None) -> None:
        """Mininet opens a shell with each node; this one waits for the first command."""

    def configDefault(self, **_params: Any) -> None:
        """Mininet configures hosts when all links are there."""
        self.realise()

    def cmd(self, *args: Any, **kwargs: Any) -> str:
        """Run a command in the node's shell and return what it printed; the first one opens the shell."""
        if self.shell is None:
            self._open_shell()
        output: str = super().cmd(*args, **kwargs)
        return output

    def sendCmd(self, *args: Any, **kwargs: Any) -> None:
        """Send a command to the node's shell, opening it first if this is the first one."""
        if self.shell is None:
            self._open_shell()
        super().sendCmd(*args, **kwargs)

    def popen(self, *args: Any, **kwargs: Any) -> subprocess.Popen[Any]:
        """Start a program in the node, as `subprocess.Popen` would: ``popen(["dig", "example.com"], stdout=PIPE)`` or ``popen("dig", "example.com")``."""
        kwargs.pop("mncmd", None)
        kwargs.pop("shell", None)
        command: Sequence[str] = args[0] if len(args) == 1 and not isinstance(args[0], str) else [str(a) for a in args]
        if len(args) == 1 and isinstance(args[0], str):
            command = ["sh", "-c", args[0]]
        kwargs.setdefault("env", {**os.environ, **environment(self.spec)})
        for stream in ("stdout", "stderr"):
            kwargs.setdefault(stream, subprocess.PIPE)
        return subprocess.Popen([str(word) for word in command], preexec_fn=Entry(descriptors=self.view().descriptors), **kwargs)

    def terminate(self) -> None:
        """End the shell and let the namespace go."""
        super().terminate()
        if self._view is not None:
            self._view.close()
            self._view = None
        self.namespace.close()

    # What the lab calls

    def view(self) -> View:
        """The namespaces that a program of this node runs in; the mount namespace is made at first need."""
        if self._view is None:
            self._view = View.make(self.spec, self.namespace.descriptor)
        return self._view

    def forget_view(self) -> None:
        """Make the next program see what the plan says now of names and resolvers."""
        if self._view is not None:
            self._view.close()
            self._view = None

    def socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """A socket in this node's namespace, for a process outside it."""
        with syscalls.network_namespace(self.namespace.descriptor):
            return socket.socket(family, kind, protocol)

    def flush(self) -> None:
        """Send what links have left to do here: their ends' addresses. Raises OSError naming what was refused."""
        if not self.pending.requests:
            return
        batch, self.pending = self.pending, netlink.Batch()
        self.namespace.netlink.send(batch)

    def realise(self) -> None:
        """Make the whole of `spec` true in the kernel: the ruleset while the interfaces are down, then the rest in one batch. Raises OSError naming what was refused.

        At a network's first start others may be at work on the ruleset (`Rulesets`), and packets flow only once they are done."""
        if not self._rules_come:
            self._load_rules()
        self._make_tuns()
        configure(self.pending, self.spec, self.indexes)
        self.flush()
        self.namespace.rest()

    def link_made(self) -> None:
        """An interface of the node is there: with the last one its ruleset can be loaded, which holds interfaces by number."""
        self._links_to_come -= 1
        if self._links_to_come == 0 and self._rulesets is not None:
            self._rules_come = self._rulesets.load(self.spec)

    def _load_rules(self) -> None:
        if self.spec.keeps_ttl:
            with syscalls.network_namespace(self.namespace.descriptor), nftables_socket() as opened:
                keep_ttl(opened)
        if self.spec.ruleset is not None:
            load(self.spec.ruleset, self.namespace.descriptor)

    def _make_tuns(self) -> None:
        """TUN devices belong to nobody's link: made here, before routes that name them."""
        for tun in self.spec.tuns:
            create_tun(self.namespace.descriptor, tun.name)
            batch = netlink.Batch()
            batch.configure_link(tun.name, mtu_bytes=tun.mtu_bytes)
            self.namespace.netlink.send(batch)
            self.indexes[tun.name] = self.namespace.netlink.index(tun.name)
            for address in tun.addresses:
                self.pending.address(self.indexes[tun.name], address)

    def write_sysctls(self, sysctls: Sequence[tuple[str, str]]) -> None:
        """Set sysctls of this node."""
        if sysctls:
            with syscalls.network_namespace(self.namespace.descriptor):
                self._sysctls.write(sysctls)

    def _open_shell(self) -> None:
        self.master, self.slave = os.openpty()
        self.shell = self.popen([*SHELL, f"mininet:{self.name}"], stdin=self.slave, stdout=self.slave, stderr=self.slave, env=self._shell_environment(), start_new_session=True)
        self.stdin = os.fdopen(self.master, "r", closefd=True)
        self.stdout = self.stdin
        self.pid = self.shell.pid
        self.pollOut = select.poll()
        self.pollOut.register(self.stdout)
        self.outToNode[self.stdout.fileno()] = self
        self.inToNode[self.stdin.fileno()] = self
        while not self.read(1024).endswith(chr(127)):
            self.pollOut.poll()
        self.waiting = False
        self.cmd("unset HISTFILE; stty -echo; set +m")

    def _shell_environment(self) -> dict[str, str]:
        return {**os.environ, **environment(self.spec), "PS1": chr(127)}


class ForwardingNode(LabNode, Switch):  # type: ignore[misc]
    """A node that forwards for others: a VPC's fabric, a gateway, a city's router. Started by Mininet as a switch."""

    def __init__(self, name: str, **params: Any) -> None:
        params["inNamespace"] = True
        super().__init__(name, **params)

    def start(self, _controllers: Sequence[object]) -> None:
        """Make the plan true here; no controller is needed."""
        self.realise()

    def stop(self, deleteIntfs: bool = False) -> None:
        """Mininet stops a switch and then terminates it; there is nothing to do in between."""

    def defaultDpid(self, dpid: str | None = None) -> str:
        """OpenFlow's number of a switch means nothing here."""
        return "0"

    def connected(self) -> bool:
        """A routed node is always connected."""
        return True


def configure(batch: netlink.Batch, spec: Node, indexes: dict[str, int]) -> None:
    """Add everything of a node's plan that netlink configures, in the order that the kernel needs."""
    for address in spec.loopback:
        batch.address(netlink.LOOPBACK_INDEX, address)
    for neighbour in spec.neighbours:
        batch.neighbour(indexes[neighbour.device], neighbour.address, neighbour.mac)
    for route in sorted(spec.routes, key=nearest_first):
        add_route(batch, route, indexes)
    for rule in spec.rules:
        batch.rule(priority=rule.priority, mark=rule.mark, mask=rule.mask, table=rule.table, source=rule.source)


def add_route(batch: netlink.Batch, route: Route, indexes: dict[str, int], *, delete: bool = False) -> None:
    """One route of the plan as a request."""
    index = indexes[route.device] if route.device is not None else None
    batch.route(
        route.destination, kind=route.type.value, table=route.table, index=index, via=route.via, onlink=route.onlink,
        source=route.source, mtu_bytes=route.mtu_bytes, metric=route.metric, delete=delete,
    )


def nearest_first(route: Route) -> tuple[bool, int]:
    """Connected routes before those whose next hop needs them, longer prefixes first."""
    return (route.via is not None, -route.destination.prefixlen)
