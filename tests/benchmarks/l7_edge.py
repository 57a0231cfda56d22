"""Requests per second of the edge on a HIT beside a bare aiohttp `Application`, in one run over loopback.

The same body, a process each with uvloop, `wrk` as the load; plain HTTP against plain HTTP and TLS against TLS. The two servers take turns, and the median of the
rounds' ratios counts. The edge is the whole daemon: it keeps its log and makes an X-Amz-Cf-Id for every request; the Application does nothing but return a response.
Its object comes from the very Application it is compared with.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import trustme
import uvloop
from aiohttp import web

from services.cloudfront.config import Behavior, CachePolicy, Config, Distribution, Origin
from services.common.config import Listen, Tls, encode

GOAL = 1.0
CONNECTIONS = (2, 64)
ROUND_S = 2
"""Long enough that 64 TLS handshakes weigh little."""
BODY = b"x" * 1024
HOST = "localhost"
LOOPBACK = IPv4Address("127.0.0.1")
READY_WITHIN_S = 10.0


def measure(rounds: int = 5) -> list[dict[str, Any]]:
    """Rows of the benchmark's table. Needs `wrk`."""
    rows = []
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        authority = trustme.CA()
        authority.cert_pem.write_to_path(folder / "trust.pem")
        authority.issue_cert(HOST).private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
        application, application_tls, edge, edge_tls = _free_ports(4)
        stack.enter_context(_process([sys.executable, "-m", "tests.benchmarks.l7_edge", str(application), str(application_tls), str(folder / "server.pem")], folder / "aiohttp.log"))
        (folder / "edge.json").write_text(encode(_edge_config(folder, application, edge, edge_tls)))
        stack.enter_context(_process([sys.executable, "-m", "services.cloudfront", "--config", str(folder / "edge.json")], folder / "edge.log"))
        for scheme, ours, theirs in (("http", edge, application), ("https", edge_tls, application_tls)):
            for port in (theirs, ours):
                _await_answer(f"{scheme}://{HOST}:{port}/", folder / "trust.pem")
            rows += [_compare(scheme, connections, ours, theirs, rounds) for connections in CONNECTIONS]
    return rows


def _compare(scheme: str, connections: int, ours: int, theirs: int, rounds: int) -> dict[str, Any]:
    """Median of the rounds' ratios: what else the machine does weighs on both halves of a round; who goes first alternates."""
    pairs = []
    for number in range(rounds):
        rates = {port: _load(f"{scheme}://{HOST}:{port}/", connections) for port in ((ours, theirs) if number % 2 else (theirs, ours))}
        pairs.append((rates[ours], rates[theirs]))
    ratio = statistics.median(our_rate / their_rate for our_rate, their_rate in pairs)
    our_rate, their_rate = (statistics.median(rates) for rates in zip(*pairs, strict=True))
    return {
        "name": f"edge, HIT, {'TLS' if scheme == 'https' else 'plain'}, {connections} connections", "value": round(ratio, 2), "unit": "x",
        "against": f"aiohttp Application ({their_rate:,.0f} requests/s; ours {our_rate:,.0f})", "goal": GOAL, "met": ratio >= GOAL,
    }


def _load(url: str, connections: int) -> float:
    """Requests per second that `wrk` gets; a single wrong answer is an error."""
    report = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{ROUND_S}s", url], capture_output=True, text=True, check=True).stdout
    rate = re.search(r"Requests/sec:\s+([\d.]+)", report)
    if rate is None or "Non-2xx" in report or "Socket errors" in report:
        raise RuntimeError(f"wrk on {url}: {report}")
    return float(rate[1])


def _edge_config(folder: Path, origin_port: int, port: int, tls_port: int) -> Config:
    behavior = Behavior(
        path_pattern="*", origin="application", viewer_protocol_policy="allow-all", allowed_methods=("GET", "HEAD"),
        cache_policy=CachePolicy(name="CachingOptimized", min_ttl=1, default_ttl=86400, max_ttl=31536000),
    )
    pem = str(folder / "server.pem")
    return Config(
        name="edge-bench", pop="LHR50-C1", http=(Listen(address=LOOPBACK, port=port),), https=(Listen(address=LOOPBACK, port=tls_port),), resolvers=(),
        distributions=(
            Distribution(
                id="cdn", domain_name=HOST, aliases=(), behaviors=(behavior,), tls=Tls(host_names=(HOST,), certificate_file=pem, key_file=pem),
                origins=(Origin(id="application", domain_name=str(LOOPBACK), protocol_policy="http-only", http_port=origin_port),),
            ),
        ),
    )


@contextmanager
def _process(arguments: list[str], log: Path) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(arguments, stdout=output, stderr=subprocess.STDOUT)
        try:
            yield
        finally:
            process.terminate()
            process.wait()


def _await_answer(url: str, trust_file: Path) -> None:
    until = time.monotonic() + READY_WITHIN_S
    while True:
        try:
            with urllib.request.urlopen(url, context=ssl.create_default_context(cafile=str(trust_file)) if url.startswith("https") else None) as response:
                if response.read() != BODY:
                    raise RuntimeError(f"{url} answers with another body")
                return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in sockets:
            sock.bind((str(LOOPBACK), 0))
        return [int(sock.getsockname()[1]) for sock in sockets]


async def _serve_application(port: int, tls_port: int, certificate_file: str) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=BODY, content_type="text/plain")

    application = web.Application()
    application.router.add_get("/", handler)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate_file)
    await web.TCPSite(runner, str(LOOPBACK), port).start()
    await web.TCPSite(runner, str(LOOPBACK), tls_port, ssl_context=context).start()
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    loop_factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(_serve_application(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
