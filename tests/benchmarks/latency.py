"""Consistent latency: round trips from the office to the VPC by Direct Connect, then by the VPN over the internet (topologies/hybrid.py), as figures and, with ``--plot``, as a picture.

The internet's jitter is the topology's; the fibre has none. What the machine adds is in both: its other work, and for the VPN the encryption.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
COUNT, EVERY_MS = 400, 10
BY_FIBRE, BY_TUNNEL = "Direct Connect", "VPN"
MOST_OF_THE_VPNS = 0.5
MOST_BEYOND_LIGHT = 1.25


def measure(plot: Path | None = None) -> list[dict[str, Any]]:
    """Rows of {"name", "value", "unit", "against", "goal", "met"}, and the plot if there is a file for it."""
    found = _in_own_process()
    trips: dict[str, list[float]] = found["trips"]
    spreads = {name: _spread(each) for name, each in trips.items()}
    if plot is not None:
        plot.write_text(_drawn(trips))
    medians = {name: statistics.median(each) for name, each in trips.items()}
    told = f"{spreads[BY_FIBRE]:.2f} ms, VPN {spreads[BY_TUNNEL]:.2f} ms (the median above the fastest)"
    ratio, light = spreads[BY_FIBRE] / spreads[BY_TUNNEL], medians[BY_FIBRE] / found["light_ms"]
    return [
        {"name": "spread of latency over Direct Connect, to the VPN's", "value": ratio, "unit": "x", "against": told, "goal": MOST_OF_THE_VPNS, "met": ratio <= MOST_OF_THE_VPNS},
        {"name": "round trip over Direct Connect, to light in its fibres", "value": light, "unit": "x", "against": f"{medians[BY_FIBRE]:.2f} ms, VPN {medians[BY_TUNNEL]:.2f} ms", "goal": MOST_BEYOND_LIGHT, "met": light <= MOST_BEYOND_LIGHT},
    ]


def _drawn(trips: dict[str, list[float]]) -> str:
    from _scatter import scatter  # beside this file: `testbed bench` has put its folder on the path

    def words(each: list[float]) -> str:
        return f"median {statistics.median(each):.2f} ms\nfastest {min(each):.2f} ms\nlongest {max(each):.2f} ms"

    series = {name: ([(number * EVERY_MS / 1000, trip) for number, trip in enumerate(each)], words(each)) for name, each in trips.items()}
    return scatter(series, title="Office to VPC: one's own fibre, and the internet", x="seconds", y="round trip, ms")


def _spread(trips: list[float]) -> float:
    """How far the median is above the fastest: what the machine's other work does makes some slow, and none fast."""
    return statistics.median(trips) - min(trips)


def _in_own_process() -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-m", "tests.benchmarks.latency"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def run() -> dict[str, Any]:
    """The round trips in milliseconds, and what light alone would take."""
    from testbed.lab import Lab
    from testbed.model.geography import CITIES, round_trip_ms
    from tests.scenarios.converging import converge
    from tests.scenarios.failing import APP, FIBRE, on_primary, soon
    from topologies.hybrid import hybrid

    with Lab(hybrid(), name="bench-latency") as lab:
        converge(lab)
        trips = {BY_FIBRE: _trips(lab, APP)}
        lab.fail(FIBRE, "cut")
        assert soon(lambda: not on_primary(lab) and lab["pc"].ping(APP).passed)
        trips[BY_TUNNEL] = _trips(lab, APP)
    light_ms = round_trip_ms(CITIES["Paris"], CITIES["London"]) + round_trip_ms(CITIES["London"], CITIES["Dublin"])
    return {"trips": trips, "light_ms": light_ms}


def _trips(lab: Any, address: str) -> list[float]:
    lab["pc"].run("ping", "-c", "5", "-i", "0.01", address)
    said = lab["pc"].run("ping", "-c", str(COUNT), "-i", str(EVERY_MS / 1000), address).out
    return [float(trip) for trip in re.findall(r"time=([0-9.]+) ms", said)]


if __name__ == "__main__":
    print(json.dumps(run()))
    sys.stdout.flush()
    os._exit(0)
