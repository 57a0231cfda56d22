"""Requests per second of the ALB beside HAProxy as the same reverse proxy, in one run over loopback.

Plain HTTP on both sides, one thread each, the same backend, `wrk` as the load. The proxies have the last processor and everything else the first one; who
goes first alternates; medians of the rounds' ratios are compared. The backend is nginx, if it is installed: the one in Python may be what limits HAProxy.
The ALB is the whole daemon: it logs an event and makes an X-Amzn-Trace-Id for every request; HAProxy adds X-Forwarded-For.

`wrk` sends the same head again and again, which the ALB does not parse anew (`services.common.http.repeat`). The last row is for heads that all
differ, as they do behind an edge; what it must reach is a floor against getting worse, not the goal.

Two workers are measured against one by requests per second of the busier process's own time: what they would answer with a processor each, since here the load, the backend and
they share two. That falls short of 2 where one of them gets more than its half of the requests, and where a request costs more than it did.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import uvloop

from services.alb.config import Action, Config, Forward, ListenerConfig, Rule, Target, TargetGroup
from services.common.config import Listen, encode

GOALS = {2: 0.9, 64: 0.5}
"""By connections: the share of HAProxy's requests per second."""
FLOOR_FOR_UNIQUE_HEADS = 0.25
TWO_WORKERS = 1.7
LONGEST_P99 = 2.5
"""How many times HAProxy's."""
ROUND_S = 1
LOOPBACK = IPv4Address("127.0.0.1")
READY_WITHIN_S = 10.0
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 64\r\n\r\n" + b"x" * 63 + b"\n"
HAPROXY = """
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  option forwardfor
  http-reuse always
  timeout connect 10s
  timeout client 60s
  timeout server 60s
frontend listener
  bind 127.0.0.1:{listen}
  default_backend group
backend group
  server target 127.0.0.1:{backend}
"""


NGINX = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  server {{
    listen 127.0.0.1:{backend} backlog=1024;
    location / {{ default_type text/plain; return 200 "{body}"; }}
  }}
}}
"""
UNIQUE = """
local n = 0
request = function()
  n = n + 1
  return wrk.format("GET", "/" .. n, {["User-Agent"] = "wrk", ["Accept"] = "*/*", ["X-Amz-Cf-Id"] = "id" .. n})
end
"""
SYSTEM_PATH = "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"
FIRST_CPU, *_, LAST_CPU = sorted(os.sched_getaffinity(0)) * 2


def measure(rounds: int = 7) -> list[dict[str, Any]]:
    """Rows of the benchmark's table. Raises FileNotFoundError naming the program that is missing (`haproxy`, `wrk`, `taskset`)."""
    for program in ("haproxy", "wrk", "taskset"):
        if shutil.which(program, path=SYSTEM_PATH) is None:
            raise FileNotFoundError(f"{program} is not installed: apt-get install {program}")
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        backend, ours, theirs = _free_ports(3)
        (folder / "haproxy.cfg").write_text(HAPROXY.format(listen=theirs, backend=backend))
        (folder / "alb.json").write_text(encode(_alb_config(ours, backend)))
        (folder / "nginx.conf").write_text(NGINX.format(folder=folder, backend=backend, body="x" * 63))
        (folder / "unique.lua").write_text(UNIQUE)
        nginx = shutil.which("nginx", path=SYSTEM_PATH)
        for log, cpu, command in (
            ("backend.log", FIRST_CPU, [nginx, "-c", str(folder / "nginx.conf")] if nginx else [sys.executable, "-m", "tests.benchmarks.l7_alb", str(backend)]),
            ("haproxy.log", LAST_CPU, ["haproxy", "-db", "-f", str(folder / "haproxy.cfg")]),
            ("alb.log", LAST_CPU, [sys.executable, "-m", "services.alb", "--config", str(folder / "alb.json")]),
        ):
            stack.enter_context(_process(_on_cpu(cpu, command), folder / log))
        for port in (backend, theirs, ours):
            _await_answer(port)
        scaling = _scaling(folder, backend, rounds)
        rows = [row for connections, goal in GOALS.items() for row in _compare(f"{connections} connections", connections, ours, theirs, rounds, goal)]
        rate, _ = _compare("64 connections, all heads differ", 64, ours, theirs, rounds, FLOOR_FOR_UNIQUE_HEADS, ("-s", str(folder / "unique.lua")))
        return [*rows, rate, scaling]


def _scaling(folder: Path, backend: int, rounds: int) -> dict[str, Any]:
    """The row of two workers against one."""
    rates: dict[int, list[float]] = {1: [], 2: []}
    with ExitStack() as stack:
        ports = dict(zip(rates, _free_ports(2), strict=True))
        processes = {}
        for workers, port in ports.items():
            (folder / f"alb-{workers}.json").write_text(encode(replace(_alb_config(port, backend), workers=workers)))
            processes[workers] = stack.enter_context(_process([sys.executable, "-m", "services.alb", "--config", str(folder / f"alb-{workers}.json")], folder / f"alb-{workers}.log"))
        for port in ports.values():
            _await_answer(port)
        for number in range(rounds):
            for workers in (1, 2) if number % 2 else (2, 1):
                rates[workers].append(_per_busiest_second(processes[workers].pid, ports[workers]))
    value, two, one = _medians(list(zip(rates[2], rates[1], strict=True)))
    return {
        "name": "ALB, two workers", "value": round(value, 2), "unit": "ratio", "goal": TWO_WORKERS, "met": value >= TWO_WORKERS,
        "against": f"one ({two:.0f} against {one:.0f} requests per second of the busier process's time, 64 connections)",
    }  # fmt: skip


def _per_busiest_second(pid: int, port: int) -> float:
    """Requests per second of processor time of the process, or child of it, that needed most."""
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    before = {each: _processor_s(each) for each in (pid, *children)}
    rate, _ = _load(port, 64, ())
    return rate * ROUND_S / max(_processor_s(each) - before[each] for each in before)


def _processor_s(pid: int) -> float:
    """Of all its threads, in user and system mode, by the scheduler's own account."""
    return sum(int(task.read_text().split()[0]) for task in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def _compare(what: str, connections: int, ours: int, theirs: int, rounds: int, goal: float, options: tuple[str, ...] = ()) -> tuple[dict[str, Any], dict[str, Any]]:
    """The rows of the rate and of the slowest hundredth."""
    rates, slowest = [], []
    for number in range(rounds):
        told = {port: _load(port, connections, options) for port in ((ours, theirs) if number % 2 else (theirs, ours))}
        rates.append((told[ours][0], told[theirs][0]))
        slowest.append((told[ours][1], told[theirs][1]))
    rate, own, peer = _medians(rates)
    late, own_ms, peer_ms = _medians(slowest)
    return (
        {
            "name": f"ALB requests/s, {what}", "value": round(rate, 2), "unit": "ratio", "goal": goal, "met": rate >= goal,
            "against": f"HAProxy, one thread ({own:.0f} against {peer:.0f} requests/s)",
        },
        {
            "name": f"ALB p99, {what}", "value": round(late, 2), "unit": "ratio", "goal": f"at most {LONGEST_P99}", "met": late <= LONGEST_P99,
            "against": f"HAProxy, one thread ({own_ms:.2f} against {peer_ms:.2f} ms)",
        },
    )  # fmt: skip


def _medians(pairs: list[tuple[float, float]]) -> tuple[float, float, float]:
    """Of the ratios, and of each side."""
    own, peer = (statistics.median(column) for column in zip(*pairs, strict=True))
    return statistics.median(ours / theirs for ours, theirs in pairs), own, peer


def _on_cpu(cpu: int, command: list[str]) -> list[str]:
    return ["taskset", "-c", str(cpu), *command]


def _load(port: int, connections: int, options: tuple[str, ...]) -> tuple[float, float]:
    """Requests per second, and the 99th percentile of what they took in milliseconds."""
    command = _on_cpu(FIRST_CPU, ["wrk", "--latency", "-t1", f"-c{connections}", f"-d{ROUND_S}s", *options, f"http://{LOOPBACK}:{port}/"])
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=ROUND_S + 10).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        raise RuntimeError(f"not every request was answered:\n{output}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
    late = re.search(r"99%\s+([\d.]+)(us|ms|s)", output)
    if rate is None or late is None:
        raise RuntimeError(f"wrk told no rate:\n{output}")
    return float(rate[1]), float(late[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[late[2]]


def _alb_config(listen: int, backend: int) -> Config:
    rule = Rule(priority=0, action=Action(forward=Forward.to("tg")), origin="listener#default")
    return Config(
        name="alb",
        load_balancer="alb",
        dns_name="alb.example",
        address=LOOPBACK,
        availability_zone="eu-west-1a",
        listeners=(ListenerConfig(id="listener", listen=Listen(address=LOOPBACK, port=listen), rules=(rule,)),),
        target_groups=(TargetGroup(id="tg", targets=(Target(id="target", address=LOOPBACK, port=backend),)),),
    )


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server((str(LOOPBACK), 0))) for _ in range(count)]
        return [sock.getsockname()[1] for sock in sockets]


@contextmanager
def _process(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()


def _await_answer(port: int) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while True:
        try:
            with socket.create_connection((str(LOOPBACK), port), timeout=1) as sock:
                sock.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
                if sock.recv(1000).startswith(b"HTTP/1.1 200"):
                    return
        except OSError:
            pass  # not listening yet
        if time.monotonic() > deadline:
            raise TimeoutError(f"port {port} did not answer within {READY_WITHIN_S:g} s")
        time.sleep(0.05)


class _Backend(asyncio.Protocol):
    """Answers without parsing more than it must."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(RESPONSE * data.count(b"\r\n\r\n"))  # type: ignore[attr-defined]


async def _serve_backend(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Backend, str(LOOPBACK), port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve_backend(int(sys.argv[1])))
