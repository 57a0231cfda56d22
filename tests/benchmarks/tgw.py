"""A transit gateway with many attachments, each a VPC of its own with a host that answers, against the raw floor for the same network.

The floor is what no program can do without: ``unshare``, veth pairs, addresses, routes, rules and neighbours by one netlink message for each namespace, and a ruleset for
each VPC as a batch of nfnetlink messages, recorded once from the kernel and sent again. It keeps no track of what it makes and sets no sysctl.
Each measurement is a process of its own; ours and the floor take turns. Two cores build: the floor's rulesets are sent in the same thread.
`measure` goes up to `TESTBED_BENCH_ATTACHMENTS` attachments (5,000, the seed's number) and draws cost against size into ``tgw.svg`` beside the current directory's other files.
"""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SIZES = (10, 100, 1000, 5000)
LARGEST = "TESTBED_BENCH_ATTACHMENTS"


def measure(plot: Path | None = None) -> list[dict[str, Any]]:
    """Rows of {"name", "value", "unit", "against", "goal", "met"}, and the plot if there is a file for it."""
    largest = int(os.environ.get(LARGEST, SIZES[-1]))
    sizes = sorted({*(size for size in SIZES if size < largest), largest})
    found = {size: _in_own_process("ours", size) for size in sizes}
    floors = {size: _in_own_process("floor", size) for size in (100, largest)}
    most, few, hundred = found[largest], found[10], found[100]
    if plot is not None:
        draw(found, floors, plot)
    each = f"{1000 * most['build_s'] / largest:.2f} ms each; 100: {1000 * hundred['build_s'] / 100:.2f}"
    return [
        _row(f"building {largest} attachments, to the floor", most["build_s"] / floors[largest]["build_s"], "x", f"raw netlink and nfnetlink ({floors[largest]['build_s']:.2f} s; ours {most['build_s']:.2f})", 2.0),
        _row(f"an attachment of {largest}, to one of 100", (most["build_s"] / largest) / (hundred["build_s"] / 100), "x", each, 1.3),
        _row(f"memory of an attachment of {largest}", most["kib"] / 1024, "MiB", f"floor {floors[largest]['kib'] / 1024:.2f}", 1.0),
        _row(f"down with {largest} attachments", most["down_s"], "s", "until the last interface is gone", 10.0),
        _row(f"round trip at {largest}, to 10", most["rtt_us"] / few["rtt_us"], "x", f"{few['rtt_us']:.0f} µs at 10", 1.1),
        _row(f"time of a transfer at {largest}, to 10", few["gbit_s"] / most["gbit_s"], "x", f"{few['gbit_s']:.1f} Gbit/s at 10", 1.1),
        _row(f"resolve and compile {largest} attachments", most["compile_s"], "s", f"100: {hundred['compile_s']:.2f} s", 0.01 * largest),
    ]


def _row(name: str, value: float, unit: str, against: str, goal: float) -> dict[str, Any]:
    return {"name": name, "value": round(value, 3), "unit": unit, "against": against, "goal": goal, "met": value <= goal}


def _in_own_process(what: str, size: int) -> dict[str, float]:
    done = subprocess.run([sys.executable, "-m", "tests.benchmarks.tgw", what, str(size)], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    answer: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def topology(size: int) -> Any:
    """`size` VPCs with a host each, all attached to one transit gateway."""
    from testbed.model import Instance, Quotas, Route, RouteTable, SecurityGroup, SecurityGroupRule, Subnet, Topology, TransitGateway, TransitGatewayVpcAttachment, Vpc

    everyone = "10.0.0.0/8"
    resources: list[Any] = [TransitGateway(id="tgw", region="eu-west-1")]
    for number in range(size):
        block = f"10.{number >> 8}.{number & 255}.0/24"
        resources += [
            Vpc(id=f"vpc-{number:04}", region="eu-west-1", cidr_block=block),
            Subnet(id=f"subnet-{number:04}", vpc_id=f"vpc-{number:04}", cidr_block=block, availability_zone="eu-west-1a"),
            SecurityGroup(id=f"sg-{number:04}", vpc_id=f"vpc-{number:04}", security_group_ingress=(SecurityGroupRule(ip_protocol="-1", cidr_ip=everyone),)),
            RouteTable(id=f"rtb-{number:04}", vpc_id=f"vpc-{number:04}", main=True, routes=(Route(destination_cidr_block=everyone, transit_gateway_id="tgw"),)),
            TransitGatewayVpcAttachment(id=f"att-{number:04}", transit_gateway_id="tgw", vpc_id=f"vpc-{number:04}", subnet_ids=(f"subnet-{number:04}",)),
            Instance(id=host(number), subnet_id=f"subnet-{number:04}", private_ip_address=f"10.{number >> 8}.{number & 255}.10", security_group_ids=(f"sg-{number:04}",)),
        ]
    return Topology(name="tgw", quotas=Quotas(vpcs_per_region=size), resources=tuple(resources))


def host(number: int) -> str:
    """The host of one VPC."""
    return f"h-{number:04}"


def plan_of(size: int) -> Any:
    """The network alone: the floor has no services either."""
    from dataclasses import replace

    from testbed.compile import compile_plan
    from testbed.resolve import resolve

    return replace(compile_plan(resolve(topology(size))), services=())


def run_ours(size: int) -> dict[str, float]:
    """Build, ping and transfer across the gateway, take down."""
    from testbed.engine import netlink, sandbox
    from testbed.engine.lab import Lab

    began = time.perf_counter()
    plan = plan_of(size)
    compile_s = time.perf_counter() - began
    sandbox.enter()
    before = used_kib()
    began = time.perf_counter()
    lab = Lab(plan)
    lab.start()
    build_s = time.perf_counter() - began
    kib = (used_kib() - before) / size
    rtt_us = min(_round_trip_us(lab, size - 1) for _ in range(3))
    gbit_s = max(_gbit_s(lab, size - 1) for _ in range(3))
    last = list(lab.nodes.values())[-1]
    sentinel = netlink.Batch()
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    sentinel.veth(netlink.VethEnd("sentinel", here, "02:00:00:00:00:01", 1500), netlink.VethEnd("sentinel", last.namespace.descriptor, "02:00:00:00:00:02", 1500))
    netlink.Socket().send(sentinel)
    began = time.perf_counter()
    lab.stop()
    while "sentinel" in Path("/proc/thread-self/net/dev").read_text():
        time.sleep(0.01)
    return {"compile_s": compile_s, "build_s": build_s, "kib": kib, "rtt_us": rtt_us, "gbit_s": gbit_s, "down_s": time.perf_counter() - began}


def used_kib() -> int:
    """Memory in use: the kernel's objects, and this process."""
    counters = {line.split(":")[0]: int(line.split()[1]) for line in Path("/proc/meminfo").read_text().splitlines()}
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return counters["Slab"] + counters["Percpu"] + counters["KernelStack"] + own


def _round_trip_us(lab: Any, last: int) -> float:
    ping = lab.popen(host(0), ["ping", "-q", "-c", "400", "-i", "0.001", f"10.{last >> 8}.{last & 255}.10"], stdout=subprocess.PIPE, text=True)
    words = ping.communicate(timeout=60)[0]
    found = re.search(r", 0% packet loss[\s\S]*= ([0-9.]+)/([0-9.]+)/", words)
    if found is None:
        raise SystemExit(f"the network that was measured does not carry packets: {words}")
    return 1000 * float(found[2])


def _gbit_s(lab: Any, last: int, seconds: float = 1.0) -> float:
    import socket
    import threading

    listener = lab.socket(host(last), socket.AF_INET, socket.SOCK_STREAM)
    sender = lab.socket(host(0), socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("0.0.0.0", 5001))
    listener.listen()
    received = 0

    def receive() -> None:
        nonlocal received
        connection = listener.accept()[0]
        buffer = bytearray(1 << 20)
        while count := connection.recv_into(buffer):
            received += count

    thread = threading.Thread(target=receive)
    thread.start()
    sender.connect((f"10.{last >> 8}.{last & 255}.10", 5001))
    chunk, began = bytes(1 << 18), time.perf_counter()
    while time.perf_counter() - began < seconds:
        sender.sendall(chunk)
    sender.close()
    thread.join()
    listener.close()
    return received * 8 / (time.perf_counter() - began) / 1e9


def run_floor(size: int) -> dict[str, float]:
    """The same namespaces, links, addresses, routes and rulesets, and nothing that keeps track of them."""
    from testbed.engine import netlink, sandbox, syscalls
    from testbed.engine.nodes import configure
    from testbed.engine.rulesets import nftables_socket

    plan = plan_of(size)
    sandbox.enter()
    recorded = _recorded(next(node for node in plan.nodes if node.kind == "fabric"), plan.links)
    before = used_kib()
    began = time.perf_counter()
    spaces: dict[str, tuple[int, Any, dict[str, int], Any]] = {}
    kept = []
    for node in plan.nodes:
        syscalls.unshare(syscalls.CLONE_NEWNET)
        spaces[node.name] = (os.open("/proc/thread-self/ns/net", os.O_RDONLY), netlink.Socket(), {"lo": netlink.LOOPBACK_INDEX}, netlink.Batch())
        spaces[node.name][3].up(netlink.LOOPBACK_INDEX)
        if node.kind == "fabric":
            opened = nftables_socket()
            opened.send(recorded)
            kept.append(opened)
    for index, link in enumerate(plan.links):
        ends = []
        for number, end in enumerate((link.a, link.b)):
            descriptor, _, indexes, batch = spaces[end.node]
            indexes[end.name] = 100 + 2 * index + number
            ends.append(netlink.VethEnd(end.name, descriptor, end.mac, end.mtu_bytes, indexes[end.name]))
            batch.up(indexes[end.name])
            for address in end.addresses:
                batch.address(indexes[end.name], address)
        pair = netlink.Batch()
        pair.veth(*ends)
        spaces[link.a.node][1].send(pair)
    for node in plan.nodes:
        _, opened, indexes, batch = spaces[node.name]
        configure(batch, node, indexes)
        opened.send(batch)
    return {"build_s": time.perf_counter() - began, "kib": (used_kib() - before) / size}


def _recorded(node: Any, links: Sequence[Any]) -> bytes:
    """One VPC's ruleset as a batch that makes it anew: loaded once, where the devices are that it names, and read back from the kernel, with what only an answer has taken out."""
    import struct

    from testbed.engine import netlink, syscalls
    from testbed.engine.nft import load
    from testbed.engine.rulesets import nftables_socket
    from testbed.engine.ttl import keep_ttl

    syscalls.unshare(syscalls.CLONE_NEWNET)
    space = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    devices, wired = netlink.Batch(), netlink.Socket()
    for number, end in enumerate(end for link in links for end in (link.a, link.b) if end.node == node.name):
        devices.veth(netlink.VethEnd(end.name, space, end.mac, end.mtu_bytes), netlink.VethEnd(f"other-{number}", space, f"02:ff:00:00:00:{number:02x}", end.mtu_bytes))
    wired.send(devices)
    opened = nftables_socket()
    keep_ttl(opened)
    load(node.ruleset, space)
    table, chain, rule, new_set, elements = 0, 3, 6, 9, 12
    wanted = {table: {1, 2}, chain: {1, 3, 4, 5, 7, 10}, rule: {1, 2, 4, 7}, new_set: {1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 17, 18}, elements: {1, 2, 3}}
    found: dict[int, list[bytes]] = {kind: [] for kind in wanted}
    sets: list[bytes] = []

    def attributes(body: bytes) -> dict[int, bytes]:
        parts, offset = {}, 0
        while offset + 4 <= len(body):
            length, kind = struct.unpack_from("=HH", body, offset)
            parts[kind & 0x3FFF] = body[offset : offset + length] + bytes(-length % 4)
            offset += (length + 3) & ~3
        return parts

    def message(kind: int, flags: int, body: bytes) -> bytes:
        return struct.pack("=IHHII", 16 + len(body), 10 << 8 | kind, 1 | flags, 0, 0) + body

    def dump(kind: int, body: bytes = b"") -> None:
        opened.send(message(kind + 1, 0x300, b"\2\0\0\0" + body))
        while True:
            data, offset = opened.recv(1 << 18), 0
            while offset < len(data):
                length, answer = struct.unpack_from("=IH", data, offset)
                if answer == 3:
                    return
                parts = attributes(data[offset + 20 : offset + length])
                if kind == new_set:
                    sets.append(parts[1] + parts[2])
                    parts[10] = struct.pack("!HHI", 8, 10, len(sets)) if sys.byteorder == "big" else struct.pack("=HH", 8, 10) + len(sets).to_bytes(4, "big")
                if b"dynset" in parts.get(4, b""):  # one rule in sixty: its set does not come back with what the rule needs
                    offset += (length + 3) & ~3
                    continue
                keep = wanted[kind] | ({10} if kind == new_set else set())
                found[kind].append(message(kind, 0x400 | (0x800 if kind == rule else 0), b"\2\0\0\0" + b"".join(value for number, value in sorted(parts.items()) if number in keep)))
                offset += (length + 3) & ~3

    for kind in (table, chain, new_set, rule):
        dump(kind)
    for of_set in tuple(sets):
        dump(elements, of_set)
    edge = [struct.pack("=IHHIIBB", 20, kind, 1, 0, 0, 0, 0) + (10).to_bytes(2, "big") for kind in (16, 17)]
    return edge[0] + b"".join(m for kind in (table, chain, new_set, elements, rule) for m in found[kind]) + edge[1]


def draw(found: dict[int, dict[str, float]], floors: dict[int, dict[str, float]], file: Path) -> None:
    """Milliseconds and KiB per attachment against the number of attachments, as SVG."""
    width, height, left, top = 640, 360, 60, 30
    panels: tuple[tuple[str, Callable[[int, dict[str, float]], float]], ...] = (
        ("ms to build one attachment", lambda size, values: 1000 * values["build_s"] / size),
        ("KiB of one attachment", lambda _, values: values["kib"]),
    )
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{2 * height}" font-family="sans-serif" font-size="12">', '<rect width="100%" height="100%" fill="white"/>']
    for panel, (title, value) in enumerate(panels):
        lines = {"ours": {size: value(size, values) for size, values in found.items()}, "floor": {size: value(size, values) for size, values in floors.items()}}
        highest = 1.15 * max(max(line.values()) for line in lines.values())
        sizes = sorted(found)
        bottom = panel * height + height - 40

        def place(size: int, each: float, bottom: int = bottom, highest: float = highest, sizes: list[int] = sizes) -> tuple[float, float]:
            return left + (width - left - 90) * sizes.index(size) / max(1, len(sizes) - 1), bottom - (height - 40 - top) * each / highest

        parts.append(f'<text x="{left}" y="{panel * height + 20}" font-size="14">{title}</text>')
        parts += [f'<text x="{place(size, 0)[0]:.0f}" y="{bottom + 18}" text-anchor="middle">{size}</text>' for size in sizes]
        for step in range(5):
            y = place(sizes[0], highest * step / 4)[1]
            parts.append(f'<line x1="{left}" x2="{width - 90}" y1="{y:.0f}" y2="{y:.0f}" stroke="#ddd"/><text x="{left - 6}" y="{y + 4:.0f}" text-anchor="end">{highest * step / 4:.3g}</text>')
        for name, colour in (("ours", "#1f6feb"), ("floor", "#888")):
            points = [place(size, each) for size, each in sorted(lines[name].items())]
            parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{" ".join(f"{x:.0f},{y:.0f}" for x, y in points)}"/>')
            parts += [f'<circle cx="{x:.0f}" cy="{y:.0f}" r="3" fill="{colour}"/>' for x, y in points]
            parts.append(f'<text x="{points[-1][0] + 8:.0f}" y="{points[-1][1] + 4:.0f}" fill="{colour}">{name}</text>')
    file.write_text("\n".join((*parts, "</svg>")) + "\n")


if __name__ == "__main__":
    result = {"ours": run_ours, "floor": run_floor}[sys.argv[1]](int(sys.argv[2]))
    print(json.dumps(result))
    sys.stdout.flush()
    os._exit(0)
