"""How soon a balancer knows: from a target's death to its being unhealthy, and from its return to its being healthy, against interval × threshold.

A Network Load Balancer's node (TCP), an Application Load Balancer's (HTTP) and a Gateway Load Balancer's (TCP), each in a lab of its own whose timers run `TIME_SCALE` times as fast as AWS's. A
target's server dies at a moment between two checks that nobody chooses; what counts is the time until the balancer's own event says "unhealthy", in AWS's time. By AWS's documents that is at
least (threshold - 1) × interval and, with the check under way and its timeout, at most threshold × interval + timeout; the same for the return, by the healthy threshold.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RUNS = 5
LONGEST_S = 60.0
PORT = 8080
SERVER = """
import socket, sys
listener = socket.create_server(("0.0.0.0", int(sys.argv[1])))
while True:
    sock, _ = listener.accept()
    with sock:
        sock.settimeout(1)
        try:
            if sock.recv(4096):
                sock.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n")
        except OSError:
            pass
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A balancer whose one target's health is asked for. Times are AWS's."""

    name: str
    type: str
    protocol: str
    check: str
    interval_s: int = 10
    timeout_s: int = 5
    healthy: int = 3
    unhealthy: int = 2
    time_scale: float = 20.0


KINDS = (
    Checked(name="Network Load Balancer, TCP", type="network", protocol="TCP", check="TCP"),
    Checked(name="Application Load Balancer, HTTP", type="application", protocol="HTTP", check="HTTP"),
    Checked(name="Gateway Load Balancer, TCP", type="gateway", protocol="GENEVE", check="TCP"),
)


def measure() -> list[dict[str, Any]]:
    """Rows of {"name", "value", "unit", "against", "goal", "met"}."""
    rows = []
    for kind in KINDS:
        done = subprocess.run([sys.executable, "-m", "tests.benchmarks.failover_targets", kind.type], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
        found = json.loads(done.stdout.strip().splitlines()[-1])
        rows += [_row(kind, what, found[what], threshold) for what, threshold in (("unhealthy", kind.unhealthy), ("healthy", kind.healthy))]
    return rows


def _row(kind: Checked, what: str, times_s: list[float], threshold: int) -> dict[str, Any]:
    value, most = statistics.median(times_s), threshold * kind.interval_s + kind.timeout_s
    told = f"{kind.interval_s} s × {threshold}: {(threshold - 1) * kind.interval_s} to {most} s; of {len(times_s)} runs {min(times_s):.1f} to {max(times_s):.1f}"
    return {"name": f"{kind.name}: {what} after", "value": round(value, 1), "unit": "s of AWS's", "against": told, "goal": f"at most {most}", "met": value <= most}


def run(kind: Checked) -> dict[str, list[float]]:
    """The times, in AWS's seconds."""
    from testbed.lab import Lab

    times: dict[str, list[float]] = {"unhealthy": [], "healthy": []}
    with Lab(_topology(kind), name="bench-failover-targets") as lab:
        events = _Events(lab.log_directory)
        for number in range(RUNS + 1):
            with _server(lab):
                back_s = events.wait("healthy")
                if number:
                    times["healthy"].append(back_s * kind.time_scale)
                time.sleep(kind.interval_s / kind.time_scale * (0.1 + 0.7 * number / RUNS))
            times["unhealthy"].append(events.wait("unhealthy") * kind.time_scale)
    return times


class _Events:
    """What a lab's balancers say of their targets, as it is written."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._seen = 0

    def wait(self, state: str) -> float:
        """How long it takes from now until a target is in this state. Raises TimeoutError."""
        began = time.time()
        while time.time() - began < LONGEST_S:
            lines = [json.loads(line) for log in sorted(self._directory.glob("balancer*.jsonl")) for line in log.read_text().splitlines()]
            for event in lines:
                if event["event"] == "target_health" and event["state"] == state and event["t"] >= began:
                    return float(event["t"]) - began
            time.sleep(0.01)
        raise TimeoutError(f"no target is {state}")


@contextmanager
def _server(lab: Any) -> Iterator[None]:
    process = lab.popen("target", [sys.executable, "-c", SERVER, str(PORT)])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _topology(kind: Checked) -> Any:
    from testbed.model import Forward, Instance, Internet, Listener, LoadBalancer, SecurityGroup, SecurityGroupRule, Subnet, TargetGroup, Topology, Vpc

    geneve = kind.type == "gateway"
    port = 6081 if geneve else 80 if kind.type == "application" else PORT
    zones = ("eu-west-1a", "eu-west-1b")[: 2 if kind.type == "application" else 1]
    group = TargetGroup(
        id="tg", vpc_id="vpc", port=6081 if geneve else PORT, protocol=kind.protocol, targets=("target",), health_check_protocol=kind.check, health_check_port=PORT,
        health_check_interval_seconds=kind.interval_s, health_check_timeout_seconds=kind.timeout_s, healthy_threshold_count=kind.healthy, unhealthy_threshold_count=kind.unhealthy,
        load_balancing_cross_zone_enabled=True if kind.type == "network" else None,
    )  # fmt: skip
    return Topology(
        name="failover_targets",
        time_scale=kind.time_scale,
        resources=(
            Internet(),
            Vpc(id="vpc", region="eu-west-1", cidr_block="10.0.0.0/16"),
            *(Subnet(id=f"subnet-{number}", vpc_id="vpc", cidr_block=f"10.0.{number}.0/24", availability_zone=zone) for number, zone in enumerate(zones)),
            SecurityGroup(id="sg", vpc_id="vpc", security_group_ingress=(SecurityGroupRule(ip_protocol="-1", cidr_ip="10.0.0.0/8"),)),
            Instance(id="target", subnet_id="subnet-0", security_group_ids=("sg",)),
            LoadBalancer(
                id="balancer", type=kind.type, scheme="internet-facing" if geneve else "internal", subnets=tuple(f"subnet-{number}" for number in range(len(zones))), security_groups=() if geneve else ("sg",)
            ),
            Listener(id="listener", load_balancer_arn="balancer", port=port, protocol=kind.protocol, default_actions=(Forward(target_group_arn="tg"),)),
            group,
        ),
    )


if __name__ == "__main__":
    print(json.dumps(run(next(kind for kind in KINDS if kind.type == sys.argv[1]))))
