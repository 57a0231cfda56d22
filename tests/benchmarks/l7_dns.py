"""Queries per second of our authoritative server beside dnslib's own, in one run over loopback.

Each server is a process of its own and so is the load, which keeps 100 queries outstanding. Rounds alternate between the two servers; medians are
compared. Our server writes its query log to a file, as in a lab.
"""

from __future__ import annotations

import multiprocessing
import os
import select
import socket
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from dnslib import QTYPE, RR, A, DNSRecord
from dnslib.server import BaseResolver, DNSLogger, DNSServer

from services.common.config import Listen, Transport
from services.common.events import EventLog
from services.common.main import run
from services.common.runtime import Runtime
from services.dns.config import Authority, Config, Record, Zone

GOAL = 10.0
OUTSTANDING = 100
ROUND_S = 0.5
NAME, ADDRESS, TTL_S = "www.shop.example.com", "192.0.2.10", 60
SOA = "ns-1.awsdns-01.com. awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400"
LOST_AFTER_S = 0.2
_fork = multiprocessing.get_context("fork")


def measure(rounds: int = 5) -> list[dict[str, Any]]:
    """Rows of the benchmark's table."""
    with tempfile.TemporaryDirectory() as folder, _serving(_serve_ours, Path(folder)) as ours, _serving(_serve_dnslib, Path(folder)) as theirs:
        rates: dict[int, list[float]] = {ours: [], theirs: []}
        for _ in range(rounds):
            for port in (ours, theirs):
                rates[port].append(_load_from_another_process(port))
    our_rate, their_rate = statistics.median(rates[ours]), statistics.median(rates[theirs])
    ratio = our_rate / their_rate
    against = f"dnslib's own server ({their_rate:,.0f} queries/s; ours {our_rate:,.0f})"
    return [{"name": f"DNS, authoritative, {OUTSTANDING} outstanding", "value": round(ratio, 1), "unit": "x", "against": against, "goal": GOAL, "met": ratio >= GOAL}]


@contextmanager
def _serving(serve: Callable[[int, Path], None], folder: Path) -> Iterator[int]:
    """A server in a process of its own, on a free port, from its first answer on."""
    port = _free_port()
    process = _fork.Process(target=serve, args=(port, folder))
    process.start()
    try:
        _await_answer(port)
        yield port
    finally:
        process.terminate()
        process.join()


def _serve_ours(port: int, folder: Path) -> None:
    listen = Listen(address=IPv4Address("127.0.0.1"), port=port, transport=Transport.UDP)
    zone = Zone(name="shop.example.com", soa=SOA, records=(Record(name=NAME, type="A", ttl=TTL_S, values=(ADDRESS,)),))
    config = Config(name="bench", authorities=(Authority(listen=(listen,), zones=(zone,)),))
    log = os.open(folder / "dns.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    run("dns", config, Runtime(name="bench", events=EventLog("dns", log)), folder / "unused.json")


class _Fixed(BaseResolver):  # type: ignore[misc]  # dnslib has no types
    def resolve(self, request: DNSRecord, handler: Any) -> DNSRecord:
        reply = request.reply()
        reply.add_answer(RR(NAME, QTYPE.A, ttl=TTL_S, rdata=A(ADDRESS)))
        return reply


def _serve_dnslib(port: int, folder: Path) -> None:
    DNSServer(_Fixed(), address="127.0.0.1", port=port, logger=DNSLogger("-request,-reply,-truncated,-error,-recv,-send,-data")).start()


def _load_from_another_process(port: int) -> float:
    receiving, sending = _fork.Pipe(duplex=False)
    process = _fork.Process(target=lambda: sending.send(_load(port)))
    process.start()
    rate: float = receiving.recv()
    process.join()
    return rate


def _load(port: int) -> float:
    """Correct answers per second with `OUTSTANDING` queries on their way; a lost one is replaced."""
    question = DNSRecord.question(NAME).pack()[2:]
    expected = IPv4Address(ADDRESS).packed
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect(("127.0.0.1", port))
    sock.setblocking(False)
    answered, id_, missing = 0, 0, OUTSTANDING
    started = time.perf_counter()
    while (now := time.perf_counter()) < started + ROUND_S:
        for _ in range(missing):
            id_ = (id_ + 1) & 0xFFFF
            sock.send(id_.to_bytes(2) + question)
        if not select.select([sock], [], [], LOST_AFTER_S)[0]:
            missing = OUTSTANDING
            continue
        missing = 0
        while missing < OUTSTANDING:
            try:
                reply = sock.recv(4096)
            except BlockingIOError:
                break
            if expected not in reply:
                raise RuntimeError(f"a wrong answer: {reply!r}")
            missing += 1
        answered += missing
    return answered / (now - started)


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _await_answer(port: int, within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", port))
        sock.settimeout(0.1)
        while time.monotonic() < deadline:
            try:
                sock.send(DNSRecord.question(NAME).pack())
                sock.recv(4096)
                return
            except OSError:
                time.sleep(0.02)
    raise RuntimeError(f"no server on port {port} within {within_s} s")
