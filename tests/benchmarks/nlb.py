"""A Network Load Balancer's node against a node in its place that only routes; and the time that one target's change takes, of 1,000.

    source ─ fabric ─ [nlb] ─ fabric ─ sink
    source ─ fabric ─ [router] ─ fabric ─ other-sink      the same links, fabric, security groups and connection tracking

    balanced   the node chooses among 1,000 registered addresses, and the sink has all slots; the client's address is kept
    routed     the node has connection tracking and no translation; rules in the fabric send what goes between source and other-sink by way of it, and give its further
               crossing an entry of its own, as the balancer's has

So the ratio is the balancer's own: hash, slot, translation, and the replies' way back. What the fabric's filters cost is told by ``bench path``. Both are measured in turn, in
slices of a fraction of a second; a round's value is that of its best slice. What bounds each measurement is told in `_traffic`.
A target's change is told by the clock from its being known to the kernel's having it, during which a connection goes on.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
VPC, SOURCE, SINK, OTHER_SINK, NODE, ROUTER = "vpc-nlb", "source", "sink", "other-sink", "nlb-a", "router-a"
ADDRESSES = {SOURCE: "10.0.1.10", SINK: "10.0.3.10", OTHER_SINK: "10.0.3.11"}
ROUTED, BALANCED = "routed", "balanced"
TARGETS = 1000
TURNS, SLICES = 4, 3
WORDS = {"throughput": ("TCP throughput", "Gbit/s"), "packets": ("64-byte packets of an established flow", "packets/s"), "flows": ("new TCP connections", "connections/s")}
GOAL, CHANGE_GOAL_MS = 0.9, 50.0
CHANGES = 10
Values = dict[str, dict[str, list[float]]]


def measure(rounds: int = 5) -> list[dict[str, Any]]:
    """Rows of {"name", "value", "unit", "against", "goal", "met"}; medians over `rounds`."""
    done = subprocess.run([sys.executable, "-m", "tests.benchmarks.nlb", str(rounds)], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return rows(json.loads(done.stdout.strip().splitlines()[-1]))


def rows(values: Values) -> list[dict[str, Any]]:
    """Each rate against the routed path's, and the change."""
    found = []
    for what, (words, unit) in WORDS.items():
        own, plain = values[what][BALANCED], values[what][ROUTED]
        ratio = statistics.median(number / other for number, other in zip(own, plain, strict=True))
        against = f"routed, {statistics.median(own):,.4g} to {statistics.median(plain):,.4g} {unit}"
        found.append({"name": f"{words}, {TARGETS} targets", "value": round(ratio, 3), "unit": "x", "against": against, "goal": f"at least {GOAL}", "met": ratio >= GOAL})
    change = statistics.median(values["change"][BALANCED])
    found.append({"name": f"one of {TARGETS} targets changes", "value": round(change, 1), "unit": "ms", "against": "the clock", "goal": f"under {CHANGE_GOAL_MS:g}", "met": change < CHANGE_GOAL_MS})
    return found


def topology(targets: int) -> Any:
    """Source, sink and balancer in three subnets. The listeners' ports are `_traffic`'s."""
    from testbed.model import Forward, Instance, Listener, LoadBalancer, SecurityGroup, SecurityGroupRule, Subnet, TargetGroup, Topology, Vpc
    from tests.benchmarks import _traffic

    inside = (SecurityGroupRule(ip_protocol="-1", cidr_ip="10.0.0.0/8"),)
    ports = {_traffic.LISTENING: "TCP", _traffic.POURING: "TCP", _traffic.FLOODED: "UDP"}
    registered = tuple(map(str, _registered()[:targets]))

    def balancer(name: str, addresses: tuple[str, ...], port: int, protocol: str) -> tuple[Any, ...]:
        group = TargetGroup(id=f"tg-{name}-{port}", vpc_id=VPC, port=port, protocol=protocol, target_type="ip", preserve_client_ip_enabled=True, targets=addresses)
        return group, Listener(id=f"{name}-{port}", load_balancer_arn=name, port=port, protocol=protocol, default_actions=(Forward(target_group_arn=group.id),))

    return Topology(
        name="nlb",
        resources=(
            Vpc(id=VPC, region="eu-west-1", cidr_block="10.0.0.0/16"),
            *(Subnet(id=f"subnet-{number}", vpc_id=VPC, cidr_block=f"10.0.{number}.0/24", availability_zone="eu-west-1a") for number in (1, 2, 3)),
            Subnet(id="subnet-others", vpc_id=VPC, cidr_block="10.0.8.0/21", availability_zone="eu-west-1a"),
            SecurityGroup(id="sg", vpc_id=VPC, security_group_ingress=inside, security_group_egress=inside),
            *(Instance(id=name, subnet_id=f"subnet-{address[5]}", private_ip_address=address, security_group_ids=("sg",)) for name, address in ADDRESSES.items()),
            *(LoadBalancer(id=name, type="network", scheme="internal", subnets=("subnet-2",), security_groups=("sg",)) for name in ("nlb", "router")),
            *(resource for port, protocol in ports.items() for resource in balancer("nlb", registered, port, protocol)),
            *balancer("router", (ADDRESSES[OTHER_SINK],), _traffic.POURING, "TCP"),
        ),
    )


def plan() -> Any:
    """Both paths, without services: who is healthy is the plan's to say here."""
    from testbed.compile import compile_plan, fabric, return_path
    from testbed.plan import NftChain, NftRule, NftTable, Ruleset
    from testbed.resolve import resolve

    resolved = resolve(topology(TARGETS))
    whole = replace(compile_plan(resolved), services=())
    (node,) = resolved.interfaces_of("router")
    source, sink = (fabric.device(resolved.interfaces_of(name)[0]) for name in (SOURCE, OTHER_SINK))
    number = return_path.kernel_table(VPC, node.id, resolved) - fabric.FIRST_TABLE
    own, other = ADDRESSES[SOURCE], ADDRESSES[OTHER_SINK]
    zones = ((fabric.device(node), f"ip saddr {own} ip daddr {other}"), (sink, f"ip saddr {other}"))
    detour = NftTable(
        name="detour",
        chains=(
            NftChain(name="crossings", hook="type filter hook prerouting priority raw; policy accept;", rules=tuple(NftRule(statement=f'iifname "{device}" {what} ct zone set 1') for device, what in zones)),
            NftChain(
                name="detour",
                hook="type filter hook prerouting priority mangle; policy accept;",
                rules=tuple(NftRule(statement=f'iifname "{device}" ip daddr {to} meta mark set meta mark & 0xfffff000 | {number:#x}') for device, to in ((source, other), (sink, own))),
            ),
        ),
    )
    tracking = NftTable(name="router", chains=(NftChain(name="forward", hook="type filter hook forward priority filter; policy drop;", rules=(NftRule(statement="ct state established,new accept"),)),))

    def changed(each: Any) -> Any:
        if each.name == ROUTER:
            return replace(each, ruleset=Ruleset(tables=(tracking,)))
        if each.name == VPC:
            return replace(each, ruleset=Ruleset(tables=tuple(sorted((*each.ruleset.tables, detour), key=lambda table: (table.family, table.name)))))
        return _all_to_the_sink(each) if each.name == NODE else each

    return replace(whole, nodes=tuple(map(changed, whole.nodes)))


def _all_to_the_sink(node: Any) -> Any:
    """The balancer's node with the sink in every slot: no other target exists."""

    def filled(nft_map: Any) -> Any:
        port = nft_map.elements[0][1].rpartition(" ")[2]  # of a slot's target
        return nft_map if nft_map.type != "mark" else replace(nft_map, elements=tuple((slot, f"{ADDRESSES[SINK]} . {port}") for slot, _ in nft_map.elements))

    tables = tuple(replace(table, maps=tuple(map(filled, table.maps))) for table in node.ruleset.tables)
    return replace(node, ruleset=replace(node.ruleset, tables=tables))


def run(rounds: int) -> Values:
    """The best slice of each round, for everything."""
    from testbed.engine import sandbox
    from testbed.engine.lab import Lab
    from tests.benchmarks import _traffic

    both = plan()
    sandbox.enter()
    measurements: dict[str, Callable[[Any], float]] = {"throughput": _traffic.throughput_gbit_s, "packets": _traffic.packets_per_s, "flows": _traffic.flows_per_s}
    values: Values = {what: {BALANCED: [], ROUTED: []} for what in (*measurements, "change")}
    with Lab(both) as lab, _traffic.Way(lab, SOURCE, SINK) as balanced, _traffic.Way(lab, SOURCE, OTHER_SINK) as routed:
        balanced.peer_address = next(str(end.addresses[0].ip) for link in lab.plan.links for end in (link.a, link.b) if end.node == NODE)
        ways = {BALANCED: balanced, ROUTED: routed}
        for what, measured in measurements.items():
            for _ in range(rounds):
                slices: dict[str, list[float]] = {name: [] for name in ways}
                for turn in range(TURNS):
                    for name in ways if turn % 2 else reversed(ways):
                        slices[name] += [measured(ways[name]) for _ in range(SLICES)]
                for name, found in slices.items():
                    values[what][name].append(max(found))
        values["change"][BALANCED] = _changes(lab, balanced)
    return values


def _changes(lab: Any, way: Any) -> list[float]:
    """How long it takes the kernel to have one target's change, in milliseconds; a connection made before goes on."""
    from services.common.slot_maps import Kernel
    from services.nlb.config import Target, slots_for, spread
    from testbed.compile.network_load_balancer import TABLE
    from testbed.engine import syscalls
    from tests.benchmarks import _traffic

    targets = tuple(Target(id=str(number), address=address, port=_traffic.POURING) for number, address in enumerate(_registered()))
    slots, name = slots_for(TARGETS), f"slots.tg_nlb_{_traffic.POURING}"
    times = []

    async def change() -> None:
        kernel = Kernel()
        await kernel.write(TABLE, {name: spread(targets, targets, slots)})
        for number in range(CHANGES):
            began = time.perf_counter()
            await kernel.write(TABLE, {name: spread(targets, set(targets) - {targets[number]}, slots)})
            times.append(1000 * (time.perf_counter() - began))

    with lab.socket(SINK, socket.AF_INET, socket.SOCK_STREAM) as listener, lab.socket(SOURCE, socket.AF_INET, socket.SOCK_STREAM) as client:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((way.sink_address, _traffic.POURING))
        listener.listen(1)
        client.connect((way.peer_address, _traffic.POURING))
        server, _ = listener.accept()
        with server, syscalls.network_namespace(lab.node(NODE).namespace.descriptor):
            asyncio.run(change())
            client.sendall(b"undisturbed")
            if server.recv(100) != b"undisturbed":
                raise RuntimeError("a connection was disturbed")
    return times


def _registered() -> tuple[Any, ...]:
    return tuple(IPv4Address("10.0.8.4") + number for number in range(TARGETS))


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]))))
    sys.stdout.flush()
    os._exit(0)
