"""Out through a NAT gateway, against a hand-written masquerade rule in its place.

An instance, a NAT gateway, an internet gateway and a host in the Region's own city, so that no wire delays. The peer is the same compiled plan with the
gateway's rulesets replaced by one masquerade rule; everything around it is the same. Both run side by side in one sandbox, every round measures each in
turn, and values are medians of the rounds' ratios. What bounds each measurement: see `_traffic`.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
GOAL = 0.85
GATEWAY, MASQUERADE = "gateway", "masquerade"
WORDS = {"flows": ("new connections through the NAT gateway", "flows/s"), "throughput": ("TCP throughput through the NAT gateway", "Gbit/s")}


def measure(rounds: int = 7) -> list[dict[str, Any]]:
    """Rows of {"name", "value", "unit", "against", "goal", "met"}; medians over `rounds`."""
    done = subprocess.run([sys.executable, "-m", "tests.benchmarks.nat", str(rounds)], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    values: dict[str, dict[str, list[float]]] = json.loads(done.stdout.strip().splitlines()[-1])
    return [_row(what, values[what][GATEWAY], values[what][MASQUERADE]) for what in WORDS]


def _row(what: str, own: list[float], peer: list[float]) -> dict[str, Any]:
    words, unit = WORDS[what]
    ratio = statistics.median(one / other for one, other in zip(own, peer, strict=True))
    against = f"a masquerade rule ({statistics.median(peer):,.3g} {unit}; gateway {statistics.median(own):,.3g})"
    return {"name": words, "value": round(ratio, 3), "unit": "x", "against": against, "goal": GOAL, "met": ratio >= GOAL}


def topology(name: str) -> Any:
    """A private host, a NAT gateway, and a host in the Region's city."""
    from testbed.model import ElasticIp, Instance, Internet, InternetGateway, NatGateway, Route, RouteTable, SecurityGroup, Subnet, Topology, User, Vpc

    region, vpc = "eu-west-1", f"vpc-{name}"
    return Topology(
        name=f"nat-{name}",
        resources=(
            Internet(),
            User(id=f"far-{name}", city="Dublin"),
            Vpc(id=vpc, region=region, cidr_block="10.0.0.0/16"),
            InternetGateway(id=f"igw-{name}", vpc_id=vpc),
            Subnet(id=f"public-{name}", vpc_id=vpc, cidr_block="10.0.0.0/24", availability_zone="eu-west-1a"),
            Subnet(id=f"private-{name}", vpc_id=vpc, cidr_block="10.0.1.0/24", availability_zone="eu-west-1a"),
            ElasticIp(id=f"eip-{name}", region=region),
            NatGateway(id=f"nat-{name}", subnet_id=f"public-{name}", allocation_id=f"eip-{name}"),
            RouteTable(id=f"rtb-public-{name}", vpc_id=vpc, associations=(f"public-{name}",), routes=(Route(destination_cidr_block="0.0.0.0/0", gateway_id=f"igw-{name}"),)),
            RouteTable(id=f"rtb-private-{name}", vpc_id=vpc, associations=(f"private-{name}",), routes=(Route(destination_cidr_block="0.0.0.0/0", nat_gateway_id=f"nat-{name}"),)),
            SecurityGroup(id=f"sg-{name}", vpc_id=vpc),
            Instance(id=f"near-{name}", subnet_id=f"private-{name}", security_group_ids=(f"sg-{name}",)),
        ),
    )


@contextmanager
def _path(name: str) -> Iterator[Any]:
    """The two hosts, running."""
    from testbed.compile import compile_plan
    from testbed.engine.lab import Lab
    from testbed.plan import NftChain, NftRule, NftTable, Ruleset
    from testbed.resolve import resolve
    from tests.benchmarks._traffic import Path as Way

    plan = replace(compile_plan(resolve(topology(name))), services=())
    if name == MASQUERADE:
        chain = NftChain(name="postrouting", hook="type nat hook postrouting priority srcnat; policy accept;", rules=(NftRule(statement='oifname "eth0" masquerade'),))
        by_hand = Ruleset(tables=(NftTable(name="nat", chains=(chain,)),))
        plan = replace(plan, nodes=tuple(replace(node, ruleset=by_hand) if node.name == f"nat-{name}" else node for node in plan.nodes))
    with Lab(plan) as lab, Way(lab, f"near-{name}", f"far-{name}") as way:
        yield way


def run(rounds: int) -> dict[str, dict[str, list[float]]]:
    """Each round's value of everything, by what and by path."""
    from testbed.engine import sandbox
    from tests.benchmarks import _traffic

    sandbox.enter()
    measurements: dict[str, Callable[[Any], float]] = {"flows": _traffic.flows_per_s, "throughput": _traffic.throughput_gbit_s}
    with ExitStack() as stack:
        paths = {name: stack.enter_context(_path(name)) for name in (GATEWAY, MASQUERADE)}
        values: dict[str, dict[str, list[float]]] = {what: {name: [] for name in paths} for what in measurements}
        for what, measured in measurements.items():
            for way in paths.values():
                measured(way)  # warm
            for number in range(rounds):
                for name in paths if number % 2 else reversed(paths):
                    values[what][name].append(measured(paths[name]))
    return values


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]))))
    sys.stdout.flush()
    os._exit(0)
