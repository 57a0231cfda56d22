"""A whole balancer on loopback for tests: real sockets, scripted targets, scaled timers."""

import asyncio
import json
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import uvloop

from services.alb.config import Action, Config, Forward, ListenerConfig, Rule, Target, TargetGroup
from services.alb.request_log import GATHER_S
from services.alb.server import serve
from services.common.config import HealthCheck, Listen, Tls
from services.common.events import EventLog
from services.common.runtime import Runtime, listening_socket

LOOPBACK = IPv4Address("127.0.0.1")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b"
Answer = Callable[[bytes, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class ScriptedTarget:
    """A target that passes health checks while `healthy`, and does with every other request what `answer` says (by default: its name)."""

    def __init__(self, name: str, answer: Answer | None = None) -> None:
        self.name = name
        self.healthy = True
        self.checks: list[bytes] = []
        self.requests: list[bytes] = []
        self.connections = 0
        self._answer = answer
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self) -> "ScriptedTarget":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def stop(self) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if b"ELB-HealthChecker" in head:
                    self.checks.append(head)
                    writer.write(OK % (0, b"") if self.healthy else b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
                    continue
                self.requests.append(head)
                if self._answer is not None:
                    await self._answer(head, reader, writer)
                else:
                    writer.write(OK % (len(self.name), self.name.encode()))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


class Balancer:
    """The balancer under test: raw requests in, raw responses and events out."""

    def __init__(self, config: Config, runtime: Runtime, log: Path, port: int) -> None:
        self.config = config
        self.runtime = runtime
        self.port = port
        self._log = log

    async def requests(self) -> list[dict[str, object]]:
        """The requests told of so far; the balancer gathers for some milliseconds."""
        await asyncio.sleep(GATHER_S * 3)
        return self.events("alb_request")

    def events(self, kind: str) -> list[dict[str, object]]:
        self.runtime.events.flush()
        return [event for event in map(json.loads, self._log.read_text().splitlines()) if event["event"] == kind]

    async def exchange(self, request: bytes, until: bytes = b"", limit_s: float = 5.0) -> bytes:
        """Everything that is answered to `request` up to `until`, or to the end of the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(request)
            async with asyncio.timeout(limit_s):
                return await (reader.readuntil(until) if until else reader.read(-1))
        finally:
            writer.close()

    async def exchange_tls(self, request: bytes, context: ssl.SSLContext, server_name: str) -> bytes:
        """The same over TLS, to the end of the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=context, server_hostname=server_name)
        try:
            writer.write(request)
            async with asyncio.timeout(5.0):
                return await reader.read(-1)
        finally:
            writer.close()

    async def get(self, path: str = "/", *headers: str) -> bytes:
        lines = "".join(f"{header}\r\n" for header in headers)
        return await self.exchange(f"GET {path} HTTP/1.1\r\nHost: shop.example.com\r\n{lines}Connection: close\r\n\r\n".encode())

    async def until(self, condition: Callable[[], bool], limit_s: float = 5.0) -> None:
        async with asyncio.timeout(limit_s):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.005)


DEFAULT = Rule(priority=0, action=Action(forward=Forward.to("tg")), origin="listener#default")


def a_config(
    targets: tuple[ScriptedTarget, ...], port: int, rules: tuple[Rule, ...] = (), tls: tuple[Tls, ...] = (), check: HealthCheck | None = None, group: dict[str, Any] | None = None
) -> Config:
    """One listener whose default rule forwards to the group ``tg`` of `targets`, with attributes `group`."""
    listen = Listen(address=LOOPBACK, port=port)
    return Config(
        name="alb-a", load_balancer="alb", dns_name="alb-1.eu-west-1.elb.amazonaws.com", address=LOOPBACK, availability_zone="eu-west-1a",
        listeners=(ListenerConfig(id="listener", listen=listen, rules=(*rules, DEFAULT), tls=tls),),
        target_groups=(TargetGroup(id="tg", targets=tuple(Target(id=t.name, address=LOOPBACK, port=t.port) for t in targets), health_check=check or HealthCheck(path="/health"), **group or {}),),
        cookie_key="5a" * 32,
    )  # fmt: skip


@asynccontextmanager
async def balancing(tmp_path: Path, *targets: ScriptedTarget, time_scale: float = 1.0, rules: tuple[Rule, ...] = (), tls: tuple[Tls, ...] = (), check: HealthCheck | None = None, group: dict[str, Any] | None = None) -> AsyncIterator[Balancer]:
    for target in targets:
        if target.port == 0:
            await target.start()
    sock = listening_socket(Listen(address=LOOPBACK, port=0))
    port = sock.getsockname()[1]
    config = a_config(targets, port, rules, tls, check, group)
    log = tmp_path / "events.jsonl"
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    ready = asyncio.Event()
    runtime = Runtime(name="alb-a", events=EventLog("alb", descriptor), time_scale=time_scale, sockets={config.listeners[0].listen: sock}, on_ready=ready.set)
    serving = asyncio.ensure_future(serve(config, runtime))
    waiting = asyncio.ensure_future(ready.wait())
    try:
        await asyncio.wait((serving, waiting), timeout=10, return_when=asyncio.FIRST_COMPLETED)
        assert ready.is_set(), serving
        yield Balancer(config, runtime, log, port)
        assert not serving.done(), "the daemon ended"
    finally:
        waiting.cancel()
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        os.close(descriptor)


def run(coroutine: Awaitable[None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(coroutine)  # type: ignore[arg-type]


def body(response: bytes) -> bytes:
    return response.partition(b"\r\n\r\n")[2]


def status(response: bytes) -> int:
    return int(response.split(b" ", 2)[1])


async def no_answer(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
