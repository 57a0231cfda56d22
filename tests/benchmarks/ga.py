"""Global Accelerator: how long a connection takes to make by the public internet and by the accelerator, and how soon users are served elsewhere when something fails.

Latency (topologies/global_accelerator.py, with ``--plot`` as a picture): users on three continents connect to one Region's balancer over the internet, and to the accelerator, in turn. The internet's detours and
jitter are the topology's. TCP is not ended at the edge here (see `testbed/compile/accelerator.py`): on AWS connecting is quicker still.
Failover (tests/scenarios/accelerated.py): a new connection is begun every 10 ms, and an endpoint falls silent; what counts is the longest time in which none was begun that was made, against threshold x interval,
in AWS's seconds. An edge location falls silent, likewise: BFD notices, in seconds of the clock.
"""

from __future__ import annotations

import json
import os
import select
import socket
import statistics
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
COUNT, RUNS, RUNS_BY_DEFAULT = 40, 5, 3
DEFAULT_INTERVAL_S = 30
INTERNET, ACCELERATOR = "internet", "accelerator"
FAR, DRAWN = "user-singapore", ("user-singapore", "user-newyork")
MOST_OF_THE_INTERNETS = 0.8
CHECK_TIMEOUT_S = 10
MOST_EDGE_S = 2.0
EVERY_S, STEADY, PATIENCE_S = 0.01, 20, 60.0


def measure(plot: Path | None = None) -> list[dict[str, Any]]:
    """Rows of {"name", "value", "unit", "against", "goal", "met"}, and the plot if there is a file for it."""
    trips: dict[str, dict[str, list[float]]] = _in_own_process("latency")
    if plot is not None:
        plot.write_text(_drawn(trips))
    rows = [_latency(user, each) for user, each in trips.items()]
    found = _in_own_process("failover")
    rows.append(_failover(found["endpoint_s"], found["interval_s"], found["threshold"]))
    rows.append(_failover(found["by_default_s"], DEFAULT_INTERVAL_S, found["threshold"]))
    edge_s = statistics.median(found["edge_s"])
    rows.append(_row("an edge location fails: a new connection by another after", edge_s, "s", f"BFD 3 x 0.3 s; longest {max(found['edge_s']):.2f} s", MOST_EDGE_S, edge_s <= MOST_EDGE_S))
    return rows


def _latency(user: str, trips: dict[str, list[float]]) -> dict[str, Any]:
    medians = {name: statistics.median(each) for name, each in trips.items()}
    spreads = {name: statistics.quantiles(each, n=20)[-1] - min(each) for name, each in trips.items()}
    ratio = medians[ACCELERATOR] / medians[INTERNET]
    told = ", ".join(f"{name} {medians[name]:.1f} ms (spread {spreads[name]:.1f})" for name in trips)
    return _row(f"{user}: connecting by the accelerator, to the internet", ratio, "x", told, MOST_OF_THE_INTERNETS if user == FAR else 1.0, ratio <= (MOST_OF_THE_INTERNETS if user == FAR else 1.0))


def _failover(seconds: list[float], interval_s: float, threshold: int) -> dict[str, Any]:
    goal, median = threshold * interval_s + CHECK_TIMEOUT_S, statistics.median(seconds)
    told = f"{threshold} x {interval_s:g} s (and {CHECK_TIMEOUT_S} s for the last check); {len(seconds)} runs, {min(seconds):.1f}-{max(seconds):.1f} s"
    return _row(f"an endpoint checked every {interval_s:g} s fails: a new connection elsewhere after", median, "s (AWS's)", told, goal, median <= goal)


def _row(name: str, value: float, unit: str, against: str, goal: float, met: bool) -> dict[str, Any]:
    return {"name": name, "value": round(value, 3), "unit": unit, "against": against, "goal": goal, "met": met}


def _drawn(trips: dict[str, dict[str, list[float]]]) -> str:
    from _scatter import scatter  # beside this file: `testbed bench` has put its folder on the path

    def words(each: list[float]) -> str:
        return f"median {statistics.median(each):.1f} ms\nfastest {min(each):.1f} ms\nlongest {max(each):.1f} ms"

    series = {
        f"{user.removeprefix('user-')}, {name}": ([(float(number), trip) for number, trip in enumerate(each)], words(each)) for user in DRAWN for name, each in trips[user].items()
    }
    return scatter(series, title="Connecting to an application: the public internet, and Global Accelerator", x="connections", y="to connect, ms")


def _in_own_process(what: str) -> Any:
    done = subprocess.run([sys.executable, "-m", "tests.benchmarks.ga", what], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def run_latency() -> dict[str, dict[str, list[float]]]:
    """By user and way, milliseconds."""
    from testbed.lab import Lab
    from tests.scenarios.accelerated import until
    from topologies.global_accelerator import HTTP, global_accelerator

    with Lab(global_accelerator(), name="bench-ga") as lab:
        users = [user.node for user in lab.resolved.users]
        direct = next(interface.public_address for interface in lab.resolved.interfaces if interface.node == "alb-eu-a")
        ways = {INTERNET: str(direct), ACCELERATOR: str(lab.resolved.accelerators[0].addresses[0])}
        for user in users:
            until(lambda user=user: all(_connected_ms(lab, user, address, HTTP) is not None for address in ways.values()), f"{user} reaches nobody")  # type: ignore[misc]
        trips: dict[str, dict[str, list[float]]] = {user: {name: [] for name in ways} for user in users}
        for user in users:
            for _ in range(COUNT):
                for name, address in ways.items():
                    took = _connected_ms(lab, user, address, HTTP)
                    assert took is not None, f"{user} does not reach {address}"
                    trips[user][name].append(took)
    return trips


def run_failover() -> dict[str, Any]:
    """Seconds: of AWS's for endpoints, of the clock's for edges."""
    from testbed.lab import Lab
    from testbed.model import EndpointGroup
    from tests.scenarios.accelerated import ENDPOINTS, HTTP, INTERVAL_S, THRESHOLD, TIME_SCALE, accelerated, ready, start

    endpoint_s, by_default_s, edge_s = [], [], []
    often = accelerated()
    seldom = replace(often, resources=tuple(replace(each, health_check_interval_seconds=DEFAULT_INTERVAL_S) if isinstance(each, EndpointGroup) else each for each in often.resources))
    with Lab(often, name="bench-ga-failover") as lab, ExitStack() as stack:
        for name in ENDPOINTS:
            stack.callback(start(lab, name).kill)
        address = str(lab.resolved.accelerators[0].addresses[0])

        def fails(what: str, user: str) -> float:
            ready(lab)
            with Connections(lab, user, address, HTTP) as connections:
                connections.wait_for(STEADY)
                lab.fail(what, "blackhole")
                connections.wait_for(STEADY)
            lab.heal()
            took_s = connections.out_for_s()
            print(f"{what}: {took_s:.2f} s", file=sys.stderr, flush=True)
            time.sleep(2)
            return took_s

        for _ in range(RUNS):
            endpoint_s.append(fails("web-us", "user-newyork") * TIME_SCALE)
            edge_s.append(fails("ga-edge-lhr", "user-london"))
        lab.change(seldom)
        for _ in range(RUNS_BY_DEFAULT):
            by_default_s.append(fails("web-us", "user-newyork") * TIME_SCALE)
    return {"endpoint_s": endpoint_s, "by_default_s": by_default_s, "edge_s": edge_s, "interval_s": INTERVAL_S, "threshold": THRESHOLD}


def _connected_ms(lab: Any, user: str, address: str, port: int) -> float | None:
    """How long a connection takes to make, in milliseconds; None if it is not made within a second."""
    with lab[user].socket() as sock:
        sock.settimeout(1)
        began = time.perf_counter()
        try:
            sock.connect((address, port))
        except OSError:
            return None
        return (time.perf_counter() - began) * 1000


class Connections:
    """A new connection every 10 ms while the context is open, and when those were begun that were made."""

    def __init__(self, lab: Any, user: str, address: str, port: int) -> None:
        self._lab, self._user, self._at = lab, user, (address, port)
        self._ending = threading.Event()
        self.made: list[float] = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Connections:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def wait_for(self, count: int) -> None:
        """Until so many more have been made that were begun after now. Raises TimeoutError."""
        since = time.perf_counter()
        while sum(begun > since for begun in tuple(self.made)) < count:
            if time.perf_counter() - since > PATIENCE_S:
                raise TimeoutError(f"{self._user} is served by nobody")
            time.sleep(EVERY_S)

    def out_for_s(self) -> float:
        """The longest time in which none was begun that was made."""
        return max(after - before for before, after in pairwise(sorted(self.made)))

    def _run(self) -> None:
        poll, waiting = select.epoll(), dict[int, tuple[socket.socket, float]]()
        while not self._ending.is_set():
            sock = self._lab[self._user].socket()
            sock.setblocking(False)
            waiting[sock.fileno()] = sock, time.perf_counter()
            sock.connect_ex(self._at)
            poll.register(sock, select.EPOLLOUT)
            until = time.perf_counter() + EVERY_S
            while (left := until - time.perf_counter()) > 0:
                for number, events in poll.poll(left):
                    made, begun = waiting.pop(number)
                    poll.unregister(number)  # a process that was forked meanwhile may still hold it
                    made.close()
                    if not events & (select.EPOLLERR | select.EPOLLHUP):
                        self.made.append(begun)
            for number in [number for number, (_, begun) in waiting.items() if time.perf_counter() - begun > 1]:
                poll.unregister(number)
                waiting.pop(number)[0].close()
        for sock, _ in waiting.values():
            sock.close()
        poll.close()


if __name__ == "__main__":
    print(json.dumps({"latency": run_latency, "failover": run_failover}[sys.argv[1]]()))
    sys.stdout.flush()
    os._exit(0)
