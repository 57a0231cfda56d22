"""How long a network takes to be: web_app whole, and plain hosts against stock Mininet's and against the raw netlink floor.

Every measurement runs in a sandbox and a process of its own, in turn, so that none profits from another's warm caches.
The floor is what nobody can do without: a namespace, a veth pair, an address at each end and a route, by hand-packed netlink.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from ipaddress import IPv4Interface, IPv4Network
from typing import Any

HUB = IPv4Interface("10.255.255.1/32")
SIZES = (10, 100, 1000)
STOCK_ROUNDS = {10: 3, 100: 3, 1000: 1}
"""Stock Mininet takes half a minute or more for a thousand hosts."""


def measure(rounds: int = 5) -> list[dict[str, Any]]:
    """Rows of {"name", "value", "unit", "against", "goal", "met"}; medians over `rounds` of the ratio within each round."""
    rows = []
    has_stock = bool(shutil.which("mnexec") and shutil.which("ifconfig"))
    for size in SIZES:
        pairs = [(_seconds("floor", size), _seconds("ours", size)) for _ in range(rounds)]
        floor_ms = statistics.median(floor for floor, _ in pairs) / size * 1000
        rows.append(_row(f"cost of a host, {size} hosts", statistics.median(ours / floor for floor, ours in pairs), "x", f"raw netlink floor, {floor_ms:.2f} ms", 1.5))
        if has_stock:
            stock = [(_seconds("stock", size), _seconds("ours", size)) for _ in range(min(rounds, STOCK_ROUNDS[size]))]
            stock_ms = statistics.median(theirs for theirs, _ in stock) / size * 1000
            rows.append(_row(f"cost of a host, {size} hosts", statistics.median(ours / theirs for theirs, ours in stock), "x", f"stock Mininet, {stock_ms:.1f} ms", 0.05))
    up, down, memory = zip(*(_web_app() for _ in range(rounds)), strict=True)
    rows.append(_row("web_app up, all ready", statistics.median(up), "s", "goal", 3.0))
    rows.append(_row("web_app down", statistics.median(down), "s", "goal", 0.5))
    rows.append(_row("web_app unshared memory", statistics.median(memory), "MiB", "goal", 400.0))
    return rows


def _row(name: str, value: float, unit: str, against: str, goal: float) -> dict[str, Any]:
    return {"name": name, "value": round(value, 3), "unit": unit, "against": against, "goal": goal, "met": value <= goal}


def _seconds(what: str, size: int) -> float:
    return _in_own_process(what, size)["seconds"]


def _in_own_process(what: str, size: int) -> dict[str, float]:
    done = subprocess.run([sys.executable, "-m", "tests.benchmarks.startup", what, str(size)], capture_output=True, text=True, check=True)
    answer: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def _web_app() -> tuple[float, float, float]:
    answer = _in_own_process("web_app", 0)
    return answer["up"], answer["down"], answer["memory_mib"]


def star(size: int) -> Any:
    """A plan of `size` hosts around one forwarding node."""
    from testbed.plan import Interface, Link, Node, NodeKind, Plan, Route

    def address(number: int) -> IPv4Interface:
        return IPv4Interface(f"10.{number >> 8}.{number & 255}.1/32")

    def mac(number: int) -> str:
        return "02:00:" + ":".join(f"{byte:02x}" for byte in number.to_bytes(4, "big"))

    everything = IPv4Network("0.0.0.0/0")
    hub = Node(
        name="hub", kind=NodeKind.FABRIC, loopback=(HUB,), sysctls=(("ipv4/ip_forward", "1"),),
        routes=tuple(Route(destination=address(n).network, device=f"e{n}") for n in range(size)),
    )
    hosts = tuple(
        Node(name=f"h{n}", kind=NodeKind.INSTANCE, routes=(Route(destination=HUB.network, device="eth0"), Route(destination=everything, device="eth0", via=HUB.ip)))
        for n in range(size)
    )
    links = tuple(
        Link(a=Interface(node=f"h{n}", name="eth0", mac=mac(2 * n), addresses=(address(n),)), b=Interface(node="hub", name=f"e{n}", mac=mac(2 * n + 1))) for n in range(size)
    )
    return Plan(name="star", nodes=(hub, *hosts), links=links)


def run_ours(size: int) -> float:
    """The engine's own way: Mininet with the lab's nodes and links."""
    from testbed.engine import sandbox
    from testbed.engine.topo import SERVICES, PlanTopo, spare_the_host

    class NetworkOnly(PlanTopo):
        """Nodes and links without the services, as the floor has none."""

        def build(self, *args: Any, **params: Any) -> None:
            super().build(*args, **params)
            self.g.node.pop(SERVICES)

    from mininet.net import Mininet

    plan = star(size)
    sandbox.enter()
    spare_the_host()
    began = time.perf_counter()
    topo = NetworkOnly(plan, sandbox.RUN)
    net = Mininet(topo=topo, controller=None, build=False)
    net.build()
    net.start()
    took = time.perf_counter() - began
    _check(lambda: topo.built["h0"].popen(["ping", "-c1", "-W1", "10.0.1.1"], stdout=subprocess.DEVNULL).wait())
    return took


def run_floor(size: int) -> float:
    """Namespaces, veths, addresses and routes, and nothing that keeps track of them."""
    from testbed.engine import netlink, sandbox, syscalls

    sandbox.enter()
    began = time.perf_counter()
    spaces = []
    for _ in range(size + 1):
        syscalls.unshare(syscalls.CLONE_NEWNET)
        spaces.append((os.open("/proc/thread-self/ns/net", os.O_RDONLY), netlink.Socket()))
    hub_descriptor, hub = spaces[0]
    for number, (descriptor, host) in enumerate(spaces[1:]):
        batch = netlink.Batch()
        mac = "02:00:" + ":".join(f"{byte:02x}" for byte in (2 * number).to_bytes(4, "big"))
        batch.veth(netlink.VethEnd("eth0", descriptor, mac, 1500, 2), netlink.VethEnd(f"e{number}", hub_descriptor, mac[:-2] + "ff", 1500, 100 + number))
        batch.up(netlink.LOOPBACK_INDEX)
        batch.address(2, IPv4Interface(f"10.{number >> 8}.{number & 255}.1/32"))
        batch.route(HUB.network, kind="unicast", table=254, index=2)
        batch.route(IPv4Network("0.0.0.0/0"), kind="unicast", table=254, index=2, via=HUB.ip)
        host.send(batch)
        batch = netlink.Batch()
        batch.up(100 + number)
        batch.route(IPv4Network(f"10.{number >> 8}.{number & 255}.1/32"), kind="unicast", table=254, index=100 + number)
        hub.send(batch)
    batch = netlink.Batch()
    batch.address(netlink.LOOPBACK_INDEX, HUB)
    hub.send(batch)
    return time.perf_counter() - began


def run_stock(size: int) -> float:
    """Stock Mininet: its own hosts and links around one of its hosts, which forwards."""
    from mininet.link import Link
    from mininet.net import Mininet
    from mininet.node import Host

    from testbed.engine import sandbox

    sandbox.enter()
    Mininet.inited = True
    began = time.perf_counter()
    net = Mininet(controller=None, link=Link, host=Host, build=False)
    hub = net.addHost("hub", ip=None)
    for number in range(size):
        net.addLink(net.addHost(f"h{number}", ip=f"10.{number >> 8}.{number & 255}.2/30", defaultRoute=f"via 10.{number >> 8}.{number & 255}.1"), hub, params2={"ip": f"10.{number >> 8}.{number & 255}.1/30"})
    net.build()
    net.start()
    took = time.perf_counter() - began
    _check(lambda: net["h0"].popen(["ping", "-c1", "-W1", "10.0.0.1"], stdout=subprocess.DEVNULL).wait())
    return took


def run_web_app() -> dict[str, float]:
    """The whole of web_app: up until every service is ready, its memory, and down."""
    from testbed.engine.status import unshared_kib
    from testbed.lab import Lab
    from topologies.web_app import web_app

    lab = Lab(web_app())
    began = time.perf_counter()
    lab.start()
    up = time.perf_counter() - began
    memory_mib = unshared_kib(os.getpid()) / 1024
    began = time.perf_counter()
    lab.stop()
    return {"up": up, "down": time.perf_counter() - began, "memory_mib": memory_mib}


def _check(ping: Callable[[], int]) -> None:
    if ping() != 0:
        raise SystemExit("the network that was measured does not carry packets")


if __name__ == "__main__":
    what, number = sys.argv[1], int(sys.argv[2])
    result = run_web_app() if what == "web_app" else {"seconds": {"ours": run_ours, "floor": run_floor, "stock": run_stock}[what](number)}
    print(json.dumps(result))
    sys.stdout.flush()
    os._exit(0)
