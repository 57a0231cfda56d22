"""The hybrid topology: how soon it has converged, and how long traffic is out when a part of it fails and when it is back (topologies/hybrid.py).

A datagram every 10 ms and a TCP connection, both answered, cross while things fail; what is told is the longest time without answers (`testbed.observe.continuity`).
The blackholed fibre is done `TESTBED_BENCH_RUNS` times (20), the others a quarter as often; of 20 the slowest does not count. Without BFD the hold timer of 90 s decides, divided by the topology's time scale.
All in one process of its own, in one lab; the machine should have nothing else to do.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RUNS, DEFAULT_RUNS = "TESTBED_BENCH_RUNS", 20
MOST_S, ENOUGH = 1.0, 0.95
CONVERGED_S = 5.0
HOLD_S = 90


def measure() -> list[dict[str, Any]]:
    """Rows of {"name", "value", "unit", "against", "goal", "met"}."""
    runs = int(os.environ.get(RUNS, DEFAULT_RUNS))
    found = _in_own_process("hybrid", runs)
    rows = [_row("hybrid up and converged", found["converged_s"], "s", f"up {found['up_s']:.1f} s; sessions, BFD, tunnels", CONVERGED_S)]
    for name, outages in found["outages"].items():
        durations = sorted(out for out, _ in outages)
        soon = sum(duration < MOST_S for duration in durations)
        within = "hold timer" if "tunnel" in name else f"{soon} of {len(durations)} under {MOST_S:g} s"
        told = f"median {statistics.median(durations):.2f}, longest {durations[-1]:.2f}; {within}"
        goal = found["tunnel_hold_s"] + MOST_S if "tunnel" in name else MOST_S
        rows.append(_row(f"{name}: out for", durations[math.ceil(ENOUGH * len(durations)) - 1], "s", told, goal))
        if name in found["healed"]:
            rows.append(_row(f"{name}: lost on the return", max(lost for _, lost in outages), "datagrams of 10 ms", f"most of {len(outages)} runs", 5))
    without = _in_own_process("without", 1)
    rows.append(_row("Direct Connect blackholed, no BFD: out for", without["outage_s"], "s", f"hold timer of {HOLD_S} s, here {without['hold_s']:g}", without["hold_s"] + MOST_S))
    return rows


def _row(name: str, value: float, unit: str, against: str, goal: float) -> dict[str, Any]:
    return {"name": name, "value": round(value, 3), "unit": unit, "against": against, "goal": goal, "met": value <= goal}


def _in_own_process(what: str, runs: int) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-m", "tests.benchmarks.failover", what, str(runs)], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def run_hybrid(runs: int) -> dict[str, Any]:
    """Every failure, so many times."""
    from testbed.lab import Lab
    from testbed.observe.continuity import Continuity
    from tests.scenarios.converging import converge
    from tests.scenarios.failing import FAILURES, fails, flap, reset, returns
    from topologies.hybrid import hybrid

    began = time.perf_counter()
    outages: dict[str, list[tuple[float, int]]] = {}
    with Lab(hybrid(), name="bench-failover") as lab:
        up_s = time.perf_counter() - began
        converge(lab)
        converged_s = time.perf_counter() - began
        with Continuity(lab, "pc", "app") as traffic:
            for number, failing in enumerate(FAILURES):
                for _ in range(runs if number == 0 else max(1, runs // 4)):
                    out = fails(lab, traffic, failing)
                    back = returns(lab, traffic)
                    outages.setdefault(failing.name, []).append((out.duration_s, back.lost))
                    print(f"{failing.name}: {out}; back: {back}", file=sys.stderr, flush=True)
            for name, suffer in (("BGP session reset", lambda: reset(lab, "router-hq", "dxvif-hq")), ("the fibre flaps", lambda: flap(lab))):
                for _ in range(max(1, runs // 4)):
                    since = traffic.now()
                    suffer()
                    back = returns(lab, traffic)
                    outages.setdefault(name, []).append((traffic.outage(since).duration_s, 0))
                    print(f"{name}: {traffic.outage(since)}; back: {back}", file=sys.stderr, flush=True)
        return {"up_s": up_s, "converged_s": converged_s, "outages": outages, "healed": [failing.name for failing in FAILURES], "tunnel_hold_s": 30 / lab.topology.time_scale}


def run_without(_: int) -> dict[str, Any]:
    """The fibre blackholed, and no BFD on the customer's side."""
    from testbed.lab import Lab
    from testbed.model import TransitVirtualInterface
    from testbed.observe.continuity import Continuity
    from tests.scenarios.converging import converge
    from tests.scenarios.failing import FAILURES, fails
    from topologies.hybrid import hybrid

    topology = hybrid()
    resources = tuple(replace(each, customer_device=replace(each.customer_device, bfd=False)) if isinstance(each, TransitVirtualInterface) else each for each in topology.resources)
    with Lab(replace(topology, resources=resources), name="bench-failover") as lab:
        converge(lab)
        with Continuity(lab, "pc", "app") as traffic:
            out = fails(lab, traffic, FAILURES[0])
    return {"outage_s": out.duration_s, "hold_s": HOLD_S / topology.time_scale}


if __name__ == "__main__":
    result = {"hybrid": run_hybrid, "without": run_without}[sys.argv[1]](int(sys.argv[2]))
    print(json.dumps(result))
    sys.stdout.flush()
    os._exit(0)
