"""Through a Gateway Load Balancer, an appliance and back, against a bare loop in the same language that only wraps and unwraps.

Two instances in two subnets of a VPC, each other's route an endpoint; one balancer, one appliance. The peer is the same compiled plan without daemons: in their place a loop that puts one
fixed header in front of what the endpoint's device gives, and takes it off what comes back, and one in the appliance that sends datagrams back. Neither knows flows, health or
options. Both run side by side in one sandbox, every round measures each in turn, and values are medians of the rounds' ratios.

What is measured is per second of the balancer process's own time: it is the one that everything goes through twice (a packet out and a packet back), and
the same on a busy machine. By the clock, with all four processes on this machine's cores, it is as told beside it.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import select
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
GOAL = 0.9
BALANCER, BARE = "balancer", "bare"
WORDS = {"throughput": ("TCP through a Gateway Load Balancer and an appliance", "Gbit/s"), "packets": ("small packets through a Gateway Load Balancer and an appliance", "packets/s")}
ENOUGH = {"throughput": 1.0, "packets": 50_000.0}
"""The goal is met by these rates too, by the clock."""
OUTER_PORT, GENEVE = 60000, 6081
POURING_S, FLOODING_S = 1.0, 1.0
SMALL = bytes(18)
AT_ONCE = 64
WINDOW = 256
"""Packets that may be on their way: more would only be lost."""
_fork = multiprocessing.get_context("fork")


def measure(rounds: int = 5) -> list[dict[str, Any]]:
    """Rows of {"name", "value", "unit", "against", "goal", "met"}; medians over `rounds`."""
    done = subprocess.run([sys.executable, "-m", "tests.benchmarks.gwlb", str(rounds)], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    values: dict[str, dict[str, list[tuple[float, float]]]] = json.loads(done.stdout.strip().splitlines()[-1])
    return [_row(what, values[what][BALANCER], values[what][BARE]) for what in WORDS]


def _row(what: str, own: list[tuple[float, float]], peer: list[tuple[float, float]]) -> dict[str, Any]:
    words, unit = WORDS[what]
    ratio = statistics.median(one / other for (one, _), (other, _) in zip(own, peer, strict=True))
    clock, other_clock = (statistics.median(by_clock for _, by_clock in values) for values in (own, peer))
    against = f"a bare loop ({other_clock:,.3g} {unit} by the clock; balancer {clock:,.3g})"
    return {"name": words, "value": round(ratio, 3), "unit": "x", "against": against, "goal": GOAL, "met": ratio >= GOAL or clock >= ENOUGH[what]}


def topology(name: str) -> Any:
    """Two hosts, an endpoint between them, and a balancer with one appliance."""
    from testbed import model as m

    region, app, security = "eu-west-1", f"vpc-{name}", f"vpc-{name}-security"
    anybody = m.SecurityGroupRule(ip_protocol="-1", cidr_ip="0.0.0.0/0")
    subnets = {f"one-{name}": (app, "10.0.1.0/24"), f"other-{name}": (app, "10.0.2.0/24"), f"inside-{name}": (app, "10.0.3.0/24"), f"security-{name}": (security, "10.1.1.0/24")}
    return m.Topology(
        name=f"gwlb-{name}",
        resources=(
            m.Vpc(id=app, region=region, cidr_block="10.0.0.0/16"),
            m.Vpc(id=security, region=region, cidr_block="10.1.0.0/16"),
            *(m.Subnet(id=subnet, vpc_id=vpc, cidr_block=block, availability_zone=f"{region}a") for subnet, (vpc, block) in subnets.items()),
            *(
                m.RouteTable(id=f"rtb-{here}-{name}", vpc_id=app, associations=(f"{here}-{name}",), routes=(m.Route(destination_cidr_block=block, vpc_endpoint_id=f"vpce-{name}"),))
                for here, block in (("one", "10.0.2.0/24"), ("other", "10.0.1.0/24"))
            ),
            *(m.SecurityGroup(id=f"sg-{vpc}", vpc_id=vpc, security_group_ingress=(anybody,)) for vpc in (app, security)),
            m.Instance(id=f"near-{name}", subnet_id=f"one-{name}", security_group_ids=(f"sg-{app}",)),
            m.Instance(id=f"far-{name}", subnet_id=f"other-{name}", security_group_ids=(f"sg-{app}",)),
            m.VpcEndpoint(id=f"vpce-{name}", vpc_id=app, vpc_endpoint_type="GatewayLoadBalancer", service_name=f"com.amazonaws.vpce.{region}.svc-{name}", subnet_ids=(f"inside-{name}",)),
            m.VpcEndpointService(id=f"svc-{name}", gateway_load_balancer_arns=(f"lb-{name}",)),
            m.LoadBalancer(id=f"lb-{name}", type="gateway", subnets=(f"security-{name}",)),
            m.Listener(id=f"all-{name}", load_balancer_arn=f"lb-{name}", protocol="GENEVE", port=GENEVE, default_actions=(m.Forward(target_group_arn=f"tg-{name}"),)),
            m.TargetGroup(id=f"tg-{name}", vpc_id=security, protocol="GENEVE", port=GENEVE, targets=(f"fw-{name}",)),
            m.Instance(id=f"fw-{name}", subnet_id=f"security-{name}", security_group_ids=(f"sg-{security}",), user_data=m.GeneveAppliance(signatures=("EICAR",))),
        ),
    )


class Way:
    """A running path: its hosts, and the process that carries packets."""

    def __init__(self, lab: Any, name: str, carrier: int) -> None:
        self.lab, self.near, self.far, self.carrier = lab, f"near-{name}", f"far-{name}", carrier
        self.addresses = {node: str(next(end.addresses[0].ip for link in lab.plan.links for end in (link.a, link.b) if end.node == node)) for node in (self.near, self.far)}

    def sockets(self, kind: int) -> tuple[socket.socket, socket.socket]:
        return self.lab.socket(self.near, socket.AF_INET, kind), self.lab.socket(self.far, socket.AF_INET, kind)


@contextmanager
def _path(name: str) -> Iterator[Way]:
    from testbed.compile import compile_plan
    from testbed.engine.lab import Lab
    from testbed.resolve import resolve

    plan = compile_plan(resolve(topology(name)))
    wanted = {"gwlb", "geneve_appliance"}
    plan = replace(plan, services=tuple(service for service in plan.services if name == BALANCER and service.kind in wanted))
    with Lab(plan) as lab:
        if name == BALANCER:
            yield Way(lab, name, next(service.pid for service in lab.ps() if service.kind == "gwlb"))
            return
        processes = [_fork.Process(target=target, args=(lab, name), daemon=True) for target in (_bare_balancer, _bare_appliance)]
        for process in processes:
            process.start()
        time.sleep(0.2)
        try:
            yield Way(lab, name, processes[0].pid or 0)
        finally:
            for process in processes:
                process.terminate()
                process.join()


def _address(lab: Any, node: str) -> str:
    return str(next(end.addresses[0].ip for link in lab.plan.links for end in (link.a, link.b) if end.node == node and end.name == "eth0"))


def _udp(lab: Any, node: str, port: int) -> socket.socket:
    sock: socket.socket = lab.socket(node, socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    for option in (33, 32):  # SO_RCVBUFFORCE, SO_SNDBUFFORCE
        try:
            sock.setsockopt(socket.SOL_SOCKET, option, 8 << 20)
        except PermissionError:
            continue
    sock.bind((_address(lab, node), port))
    sock.setblocking(False)
    return sock


def _bare_balancer(lab: Any, name: str) -> None:
    from services.gwlb.geneve import HEADER_BYTES, Header, header_bytes
    from services.gwlb.tun import attach

    header = header_bytes(Header(1, 2, 3))
    tun, out, back = attach("gwlb", f"vpce-{name}"), _udp(lab, f"lb-{name}-a", OUTER_PORT), _udp(lab, f"lb-{name}-a", GENEVE)
    out.connect((_address(lab, f"fw-{name}"), GENEVE))

    def wrap() -> None:
        for _ in range(AT_ONCE):
            os.writev(out.fileno(), (header, os.read(tun, 9216)))

    def unwrap() -> None:
        for _ in range(AT_ONCE):
            os.write(tun, memoryview(back.recv(9216))[HEADER_BYTES:])

    _forever({tun: wrap, back.fileno(): unwrap})


def _bare_appliance(lab: Any, name: str) -> None:
    heard, out = _udp(lab, f"fw-{name}", GENEVE), _udp(lab, f"fw-{name}", OUTER_PORT)
    out.connect((_address(lab, f"lb-{name}-a"), GENEVE))

    def turn() -> None:
        for _ in range(AT_ONCE):
            out.send(heard.recv(9216))

    _forever({heard.fileno(): turn})


def _forever(readers: dict[int, Callable[[], None]]) -> None:
    epoll = select.epoll()
    for descriptor in readers:
        epoll.register(descriptor, select.EPOLLIN)
    while True:
        for descriptor, _ in epoll.poll():
            try:
                readers[descriptor]()
            except (BlockingIOError, ConnectionRefusedError):
                continue


def _used_s(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def throughput(way: Way) -> tuple[float, float]:
    """One TCP connection at full speed, in Gbit/s: per second of the carrier's time, and by the clock."""
    sender, listener = way.sockets(socket.SOCK_STREAM)
    with sender, listener:
        listener.bind((way.addresses[way.far], 0))
        listener.listen(1)
        sender.connect(listener.getsockname())
        receiver, _ = listener.accept()
        process = _fork.Process(target=_pour, args=(sender,), daemon=True)
        process.start()
        with receiver:
            _drain(receiver, POURING_S / 3)  # until the window has grown
            before, began = _used_s(way.carrier), time.monotonic()
            received = _drain(receiver, POURING_S)
            used_s, took_s = _used_s(way.carrier) - before, time.monotonic() - began
        process.terminate()
        process.join()
    return received * 8 / used_s / 1e9, received * 8 / took_s / 1e9


def packets(way: Way) -> tuple[float, float]:
    """Small datagrams of one flow that arrive, in packets/s: per second of the carrier's time, and by the clock. No more are sent than may be under way."""
    near, far = way.sockets(socket.SOCK_DGRAM)
    with near, far:
        far.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)
        far.bind((way.addresses[way.far], 0))
        far.settimeout(1.0)
        near.connect(far.getsockname())
        near.send(SMALL)
        far.recv(100)
        sent = arrived = 0
        before, began = _used_s(way.carrier), time.monotonic()
        while time.monotonic() < began + FLOODING_S:
            while sent - arrived < WINDOW:
                near.send(SMALL)
                sent += 1
            try:
                for _ in range(WINDOW // 2):
                    far.recv(100)
                    arrived += 1
            except TimeoutError:  # some were lost on the way
                sent = arrived
        used_s, took_s = _used_s(way.carrier) - before, time.monotonic() - began
    return arrived / used_s, arrived / took_s


def _pour(sock: socket.socket) -> None:
    data = bytes(256 * 1024)
    while True:
        sock.sendall(data)


def _drain(sock: socket.socket, seconds: float) -> int:
    received, end = 0, time.monotonic() + seconds
    buffer = bytearray(256 * 1024)
    while time.monotonic() < end:
        received += sock.recv_into(buffer)
    return received


def run(rounds: int) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """Each round's value of everything, by what and by path."""
    from testbed.engine import sandbox

    sandbox.enter()
    measurements: dict[str, Callable[[Way], tuple[float, float]]] = {"throughput": throughput, "packets": packets}
    with ExitStack() as stack:
        ways = {name: stack.enter_context(_path(name)) for name in (BALANCER, BARE)}
        values: dict[str, dict[str, list[tuple[float, float]]]] = {what: {name: [] for name in ways} for what in measurements}
        for what, measured in measurements.items():
            for way in ways.values():
                measured(way)  # warm
            for number in range(rounds):
                for name in ways if number % 2 else reversed(ways):
                    values[what][name].append(measured(ways[name]))
    return values


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]))))
    sys.stdout.flush()
    os._exit(0)
