"""One VPC with 1,000 network interfaces and 10,000 rules: how fast packets pass, how fast a rule changes, and how long explanations take.

200 security groups of 50 rules, in overlapping blocks and port ranges, every eighth of which refers to a group; each interface holds three groups, and five
interfaces share a set of groups. Beside it, in a lab of its own, the same VPC without its filters; the two are measured in turns, as in `path`.

    apply       one more rule in one group, and its removal: `plan.diff` and what it says, to the end. Meanwhile one TCP connection pours and a UDP stream is
                counted; told is the median, and the goal is missed if a flow breaks: a datagram lost, a connection reset or standing still.
    explain     one probe, with its packets, traces and the oracle's answer, in a lab that knows its topology.
    reach       the matrix of all pairs, from the oracle.
"""

from __future__ import annotations

import gc
import json
import os
import random
import resource
import select
import socket
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from ipaddress import IPv4Network
from typing import Any

from tests.benchmarks.path import FILTERS, PLAIN, ROOT, Values

INTERFACES, GROUPS, RULES_OF_A_GROUP, GROUPS_OF_AN_INTERFACE = 1000, 200, 50, 3
VPC, FILTERED = "vpc-scale", "filtered"
SOURCE, SINK = "i-0000", "i-0600"
SUBNETS = 4
CHANGED_GROUP = 7
COUNTED, POURED = 5011, 5012
EVERY_MS, STANDSTILL_S = 2, 1.0
FLOWS = "flows"
SLICES = 4
CHANGES = 4
WORDS = {
    "throughput": ("TCP throughput", "Gbit/s", 0.85),
    "packets": ("64-byte packets of an established flow", "packets/s", 0.75),
    "flows": ("new TCP flows", "flows/s", 0.5),
}
TIMES = {"apply": ("apply of one rule", "ms", 100.0), "explain": ("explain", "s", 1.0), "reach": ("reach matrix", "s", 10.0)}


def measure(rounds: int = 3) -> list[dict[str, Any]]:
    """Rows of {"name", "value", "unit", "against", "goal", "met"}."""
    done = subprocess.run([sys.executable, "-m", "tests.benchmarks.path_scale", str(rounds)], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    told = json.loads(done.stdout.strip().splitlines()[-1])
    return [*(_ratio_row(what, told["values"][what]) for what in WORDS), *(_time_row(what, told["times"][what], told["broken"], told["busy_ms"]) for what in TIMES)]


def _ratio_row(what: str, values: dict[str, list[float]]) -> dict[str, Any]:
    words, unit, goal = WORDS[what]
    ratio = statistics.median(own / plain for own, plain in zip(values[FILTERED], values[PLAIN], strict=True))
    own, plain = (statistics.median(values[name]) for name in (FILTERED, PLAIN))
    return _row(f"{words}, {_size()}", ratio, "x", f"no filters, {own:,.3g} to {plain:,.3g} {unit}", goal, ratio >= goal)


def _time_row(what: str, values: list[float], broken: list[str], busy_ms: float) -> dict[str, Any]:
    words, unit, goal = TIMES[what]
    value = statistics.median(values)
    flows = f", {busy_ms:.0f} ms of processor time each; flows broken: {', '.join(broken) or 'none'}" if what == "apply" else ""
    return _row(f"{words}, {_size()}", value, unit, f"{len(values)} times, {min(values):.3g} to {max(values):.3g} {unit}{flows}", goal, value < goal and not (flows and broken))


def _row(name: str, value: float, unit: str, against: str, goal: float, met: bool) -> dict[str, Any]:
    return {"name": name, "value": round(value, 3), "unit": unit, "against": against, "goal": goal, "met": met}


def _size() -> str:
    return f"{INTERFACES} interfaces, {GROUPS * RULES_OF_A_GROUP} rules"


def topology(*, one_more: bool = False) -> Any:
    """The VPC; with `one_more`, a rule more in one group."""
    from testbed.model import Instance, Subnet, Topology, Vpc

    chance = random.Random(2)
    sets = [tuple(f"sg-{number:03}" for number in sorted(chance.sample(range(GROUPS), GROUPS_OF_AN_INTERFACE))) for _ in range(GROUPS)]
    return Topology(
        name="path-scale",
        resources=(
            Vpc(id=VPC, region="eu-west-1", cidr_block="10.0.0.0/16"),
            *(Subnet(id=f"subnet-{n}", vpc_id=VPC, cidr_block=f"10.0.{64 * n}.0/18", availability_zone="eu-west-1a") for n in range(SUBNETS)),
            *_groups(one_more),
            *(Instance(id=f"i-{n:04}", subnet_id=f"subnet-{n * SUBNETS // INTERFACES}", security_group_ids=sets[n % GROUPS]) for n in range(INTERFACES)),
        ),
    )


def _groups(one_more: bool) -> tuple[Any, ...]:
    """Each lets its own members in and everything of the VPC out; the others of its rules speak of other networks and of other groups."""
    from testbed.model import SecurityGroup, SecurityGroupRule

    chance = random.Random(1)
    groups = []
    for number in range(GROUPS):
        rules = []
        for place in range(RULES_OF_A_GROUP - 2):
            port = chance.randrange(1, 60000)
            peer: dict[str, Any] = {"security_group_id": f"sg-{chance.randrange(GROUPS):03}"} if place % 8 == 0 else {"cidr_ip": _block(chance)}
            rules.append(SecurityGroupRule(ip_protocol=chance.choice(("tcp", "udp")), from_port=port, to_port=port + chance.choice((0, 0, 10, 1000)), **peer))
        added = (SecurityGroupRule(ip_protocol="tcp", from_port=4444, to_port=4444, cidr_ip="172.16.0.0/12"),) if one_more and number == CHANGED_GROUP else ()
        half = len(rules) // 2
        groups.append(
            SecurityGroup(
                id=f"sg-{number:03}", vpc_id=VPC,
                security_group_ingress=(*rules[:half], SecurityGroupRule(ip_protocol="-1", security_group_id=f"sg-{number:03}"), *added),
                security_group_egress=(*rules[half:], SecurityGroupRule(ip_protocol="-1", cidr_ip="10.0.0.0/8")),
            )
        )
    return tuple(groups)


def _block(chance: random.Random) -> IPv4Network:
    return IPv4Network((172 << 24 | chance.randrange(1 << 24), chance.choice((16, 20, 24, 24, 32))), strict=False)


def run(rounds: int) -> dict[str, Any]:
    """The median slice of each round by path; times of apply, explain and reach; and which flows an apply broke."""
    from testbed.compile import compile_plan
    from testbed.engine import sandbox
    from testbed.engine.lab import Lab
    from testbed.resolve import resolve
    from tests.benchmarks import _traffic

    resolved = resolve(topology())
    plan, changed = (replace(compile_plan(each), services=()) for each in (resolved, resolve(topology(one_more=True))))
    unfiltered = tuple(
        node if node.ruleset is None else replace(node, ruleset=replace(node.ruleset, tables=tuple(table for table in node.ruleset.tables if table.name != FILTERS))) for node in plan.nodes
    )
    sandbox.enter()
    values: Values = {what: {PLAIN: [], FILTERED: []} for what in WORDS}
    measurements = {"throughput": _traffic.throughput_gbit_s, "packets": _traffic.packets_per_s, "flows": _traffic.flows_per_s}
    with Lab(replace(plan, nodes=unfiltered, name=PLAIN)) as plain, Lab(plan) as lab:
        gc.collect()
        gc.freeze()  # what two labs of a thousand nodes hold is not to be looked through in between
        with _traffic.Way(plain, SOURCE, SINK) as bare, _traffic.Way(lab, SOURCE, SINK) as way:
            ways = {PLAIN: bare, FILTERED: way}
            for what, measured in measurements.items():
                for each in ways.values():
                    measured(each)  # warm
                for _ in range(rounds):
                    slices: dict[str, list[float]] = {name: [] for name in ways}
                    for turn in range(SLICES):
                        for name in ways if turn % 2 else reversed(ways):
                            slices[name].append(measured(ways[name]))
                    for name, found in slices.items():
                        values[what][name].append(statistics.median(found))
        with Flows(way) as flows:
            before = _processor_ms()
            times = {"apply": [_took(lab.apply, each) * 1000 for _ in range(CHANGES) for each in (changed, plan)]}
            busy_ms = (_processor_ms() - before) / len(times["apply"])
        times |= {"explain": _explained(lab, resolved), "reach": _reached(resolved)}
    return {"values": values, "times": times, "broken": flows.broken, "busy_ms": busy_ms}


class Flows:
    """A TCP connection that goes on and on and a UDP stream that is counted, in a process of their own, from before a change until after it; then `broken` names what did not survive."""

    def __init__(self, way: Any) -> None:
        self._way = way
        self.broken: list[str] = []

    def __enter__(self) -> Flows:
        lab, way = self._way.lab, self._way
        udp_out, udp_in = (lab.socket(node, socket.AF_INET, socket.SOCK_DGRAM) for node in (way.source, way.sink))
        udp_in.bind((way.sink_address, COUNTED))
        udp_out.connect((way.sink_address, COUNTED))
        listener, tcp_out = (lab.socket(node, socket.AF_INET, socket.SOCK_STREAM) for node in (way.sink, way.source))
        listener.bind((way.sink_address, POURED))
        listener.listen(1)
        tcp_out.connect((way.sink_address, POURED))
        tcp_in, _ = listener.accept()
        sockets = (udp_out, udp_in, tcp_out, tcp_in)
        numbers = [sock.fileno() for sock in sockets]
        self._process = subprocess.Popen([sys.executable, "-m", "tests.benchmarks.path_scale", FLOWS, *map(str, numbers)], cwd=ROOT, pass_fds=numbers, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for sock in (*sockets, listener):
            sock.close()
        assert self._process.stdout is not None
        self._process.stdout.readline()  # they flow
        return self

    def __exit__(self, *_: object) -> None:
        told, _ = self._process.communicate()
        self.broken += json.loads(told)


def flow(udp_out: socket.socket, udp_in: socket.socket, tcp_out: socket.socket, tcp_in: socket.socket) -> list[str]:
    """Send and count until stdin ends; which flows broke."""
    tcp_in.settimeout(STANDSTILL_S)
    tcp_out.settimeout(STANDSTILL_S)
    udp_in.settimeout(STANDSTILL_S)
    broken: list[str] = []
    sent = 0
    over = select.poll()
    over.register(sys.stdin, select.POLLIN | select.POLLHUP)
    print("flowing", flush=True)
    while not over.poll(EVERY_MS):
        number = sent.to_bytes(8, "big")
        sent += 1
        try:
            udp_out.send(number)
            if udp_in.recv(8) != number:
                broken.append(f"UDP (datagram {sent} is another)")
        except OSError as error:
            broken.append(f"UDP (datagram {sent}: {error})")
        try:
            tcp_out.sendall(number * 100)
            left = 800
            while left and (data := tcp_in.recv(left)):
                left -= len(data)
        except OSError as error:
            return [*broken, f"TCP ({error})"]
        if left:
            return [*broken, "TCP (it ended)"]
    return broken


def _took(work: Any, *arguments: Any) -> float:
    began = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - began


def _processor_ms() -> float:
    """What this process and those that it waited for (nft) have used."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used) * 1000


def _explained(lab: Any, resolved: Any) -> list[float]:
    from testbed.observe.explain import explain
    from testbed.observe.probe import Protocol
    from testbed.oracle import Oracle

    oracle, address = Oracle(resolved), next(interface.address for interface in resolved.interfaces if interface.node == SINK)

    def ask(source: str) -> None:
        told = explain(lab, source, address, Protocol.TCP, 4443, oracle=oracle)
        if not told.agrees:
            raise RuntimeError(f"the model disagrees: {told}")

    return [_took(ask, source) for source in (SOURCE, "i-0001", SOURCE, "i-0001")]


def _reached(resolved: Any) -> list[float]:
    from testbed.oracle import Oracle

    return [_took(Oracle(resolved).reach, "tcp", 443)]


if __name__ == "__main__":
    if sys.argv[1] == FLOWS:
        print(json.dumps(flow(*(socket.socket(fileno=int(number)) for number in sys.argv[2:]))))
    else:
        print(json.dumps(run(int(sys.argv[1]))))
    sys.stdout.flush()
    os._exit(0)
