"""HTTP/2 at a balancer: real frames over TLS from a client of the library's, many streams at a time, in both directions' flow control."""

import asyncio
import contextlib
import os
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import pytest
import trustme
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.alb.config import Action, Attributes, Redirect, Rule, Stickiness
from services.common.config import Tls
from tests.unit.services.balancing import OK, Balancer, ScriptedTarget, a_config, balancing, run

HOST = "shop.example.com"
Fields = dict[bytes, list[bytes]]


class Client:
    """One connection: requests by stream, answers as (status, fields, body)."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
        self.reader, self.writer = reader, writer
        self.fields: dict[int, list[tuple[bytes, bytes]]] = {}
        self.bodies: dict[int, bytes] = {}
        self.ended: set[int] = set()
        self.reset: dict[int, int] = {}
        self.closed = False
        self.hold = False
        self.h2.initiate_connection()
        self.flush()

    def flush(self) -> None:
        self.writer.write(self.h2.data_to_send())

    def ask(self, method: str = "GET", path: str = "/", *headers: tuple[str, str], ended: bool = True) -> int:
        stream = int(self.h2.get_next_available_stream_id())
        self.h2.send_headers(stream, [(":method", method), (":scheme", "https"), (":authority", HOST), (":path", path), *headers], end_stream=ended)
        self.flush()
        return stream

    async def turn(self) -> None:
        async with asyncio.timeout(5.0):
            data = await self.reader.read(65536)
        if not data:
            self.closed = True
            return
        for event in self.h2.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived):
                self.fields[event.stream_id] = list(event.headers)
            elif isinstance(event, h2.events.DataReceived):
                self.bodies[event.stream_id] = self.bodies.get(event.stream_id, b"") + event.data
                if not self.hold:
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                self.ended.add(event.stream_id)
            elif isinstance(event, h2.events.StreamReset):
                self.reset[event.stream_id] = int(event.error_code)
        self.flush()

    async def answer(self, stream: int) -> tuple[int, Fields, bytes]:
        while stream not in self.ended and stream not in self.reset and not self.closed:
            await self.turn()
        fields: Fields = {}
        for name, value in self.fields.get(stream, []):
            fields.setdefault(name, []).append(value)
        return int(fields.get(b":status", [b"0"])[0]), fields, self.bodies.get(stream, b"")

    async def send(self, stream: int, body: bytes) -> None:
        while body:
            room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)
            if room <= 0:
                await self.turn()
                continue
            self.h2.send_data(stream, body[:room])
            body = body[room:]
            self.flush()
        self.h2.end_stream(stream)
        self.flush()


@asynccontextmanager
async def speaking(tmp_path: Path, *targets: ScriptedTarget, **more: object) -> AsyncIterator[tuple[Balancer, Client]]:
    authority = trustme.CA()
    issued = authority.issue_cert(HOST)
    tls = Tls(host_names=(HOST,), certificate_file=str(tmp_path / "c.pem"), key_file=str(tmp_path / "k.pem"))
    issued.cert_chain_pems[0].write_to_path(tls.certificate_file)
    issued.private_key_pem.write_to_path(tls.key_file)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    context.set_alpn_protocols(["h2"])
    async with balancing(tmp_path, *targets, tls=(tls,), **more) as balancer:  # type: ignore[arg-type]
        reader, writer = await asyncio.open_connection("127.0.0.1", balancer.port, ssl=context, server_hostname=HOST)
        try:
            yield balancer, Client(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(ssl.SSLError, ConnectionError):
                await writer.wait_closed()


def test_streams_are_answered_side_by_side_and_the_target_speaks_http_1_1(tmp_path: Path):
    async def scenario() -> None:
        async def by_path(head: bytes, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if b"/slow" in head:
                await asyncio.sleep(0.3)
            writer.write(OK % (4, b"done"))

        target = ScriptedTarget("web-a", by_path)
        async with speaking(tmp_path, target) as (balancer, client):
            slow, fast = client.ask("GET", "/slow"), client.ask("GET", "/fast", ("x-custom", "Kept"), ("cookie", "a=1"), ("cookie", "b=2"))
            status, fields, body = await client.answer(fast)
            assert (status, body, fields[b"content-length"]) == (200, b"done", [b"4"])
            assert slow not in client.ended
            assert (await client.answer(slow))[0] == 200
            (sent,) = (head.decode() for head in target.requests if b"/fast" in head)
            assert sent.startswith("GET /fast HTTP/1.1\r\n")
            assert f"Host: {HOST}:{balancer.port}\r\n" in sent
            assert "X-Forwarded-Proto: https\r\n" in sent
            assert "cookie: a=1; b=2\r\n" in sent
            assert "x-custom: Kept\r\n" in sent

    run(scenario())


def test_bodies_of_any_size_pass_both_ways_within_the_windows(tmp_path: Path):
    async def scenario() -> None:
        payload = os.urandom(1_500_000)

        async def mirror(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            assert b"Transfer-Encoding: chunked" in head
            body = b""
            while size := int((await reader.readline()).strip(), 16):
                body += await reader.readexactly(size)
                await reader.readexactly(2)
            await reader.readexactly(2)
            writer.write(OK % (len(body), body))

        async with speaking(tmp_path, ScriptedTarget("web-a", mirror)) as (_, client):
            stream = client.ask("POST", "/", ended=False)
            await client.send(stream, payload)
            status, _, body = await client.answer(stream)
            assert (status, body == payload) == (200, True)

    run(scenario())


def test_a_client_that_gives_no_window_holds_back_its_own_stream_only(tmp_path: Path):
    async def scenario() -> None:
        async def large(head: bytes, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            size = 400_000 if b"/large" in head else 5
            writer.write(OK % (size, b"x" * size))

        async with speaking(tmp_path, ScriptedTarget("web-a", large)) as (_, client):
            client.h2.increment_flow_control_window(1_000_000)
            client.flush()
            client.hold = True
            held = client.ask("GET", "/large")
            while len(client.bodies.get(held, b"")) < 65535:
                await client.turn()
            small = client.ask("GET", "/small")
            assert (await client.answer(small))[2] == b"xxxxx"
            assert held not in client.ended
            client.hold = False
            client.h2.acknowledge_received_data(65535, held)
            client.flush()
            assert len((await client.answer(held))[2]) == 400_000

    run(scenario())


def test_head_redirect_cookies_and_the_access_log(tmp_path: Path):
    async def scenario() -> None:
        target = ScriptedTarget("web-a")
        redirect = Redirect(status_code=302, protocol="HTTPS", host="#{host}", port="443", path="/new", query="")
        rules = (Rule(priority=1, action=Action(redirect=redirect), path_pattern=("/old",)),)
        group = {"stickiness": Stickiness(duration_s=60.0)}
        async with speaking(tmp_path, target, rules=rules, group=group) as (balancer, client):
            assert balancer.runtime.reload is not None
            config = a_config((target,), balancer.port, rules=rules, tls=balancer.config.listeners[0].tls, group=group)
            (listener,) = config.listeners
            await balancer.runtime.reload(replace(config, attributes=Attributes(access_logs=True), listeners=(replace(listener, certificate_arns=("arn",)),)))
            status, fields, body = await client.answer(client.ask("GET", "/old"))
            assert (status, fields[b"location"]) == (302, [f"https://{HOST}:443/new".encode()])
            status, fields, body = await client.answer(client.ask("GET", "/"))
            assert [value.partition(b"=")[0] for value in fields[b"set-cookie"]] == [b"AWSALB", b"AWSALBCORS"]
            assert (status, body) == (200, b"web-a")
            await balancer.requests()
            lines = [str(event["line"]) for event in balancer.events("alb_access_log")]
            assert [line.split()[0] for line in lines] == ["h2", "h2"]
            assert re.search(rf'"GET https://{HOST}:{balancer.port}/ HTTP/2.0"', lines[1])

    run(scenario())


def test_a_client_that_resets_a_stream_lets_the_target_go(tmp_path: Path):
    async def scenario() -> None:
        gone = asyncio.Event()

        async def never(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            gone.set()

        async with speaking(tmp_path, ScriptedTarget("web-a", never)) as (balancer, client):
            stream = client.ask()
            await asyncio.sleep(0.1)
            client.h2.reset_stream(stream, 8)
            client.flush()
            await asyncio.wait_for(gone.wait(), 5)
            assert [event["status"] for event in await balancer.requests()] == [460]

    run(scenario())


def test_a_target_that_fails_in_the_middle_resets_the_stream_and_others_go_on(tmp_path: Path):
    async def scenario() -> None:
        async def cut(head: bytes, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if b"/cut" not in head:
                writer.write(OK % (2, b"ok"))
                return
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
            await writer.drain()
            writer.close()

        async with speaking(tmp_path, ScriptedTarget("web-a", cut)) as (_, client):
            stream = client.ask("GET", "/cut")
            status, _, body = await client.answer(stream)
            assert (status, stream in client.reset) == (200, True)
            assert body in (b"", b"abc")
            assert (await client.answer(client.ask()))[2] == b"ok"

    run(scenario())


@pytest.mark.parametrize("headers", [(("connection", "close"),), (("transfer-encoding", "chunked"),), (("bad", "a\r\nGET /admin HTTP/1.1"),)])
def test_what_would_be_http_1_1_behind_the_balancer_never_gets_there(tmp_path: Path, headers: tuple[tuple[str, str], ...]):
    async def scenario() -> None:
        target = ScriptedTarget("web-a")
        async with speaking(tmp_path, target) as (_, client):
            client.h2.config.validate_outbound_headers = client.h2.config.normalize_outbound_headers = False
            stream = client.ask("GET", "/", *headers)
            status, _, _ = await client.answer(stream)
            assert status in (0, 400)
            assert not any(b"/admin" in head or b"chunked" in head for head in target.requests)

    run(scenario())


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(junk=st.binary(min_size=1, max_size=200))
def test_junk_after_the_preface_ends_that_connection_only(tmp_path: Path, junk: bytes):
    async def scenario() -> None:
        async with speaking(tmp_path, ScriptedTarget("web-a")) as (balancer, client):
            client.writer.write(junk)
            client.writer.write_eof() if client.writer.can_write_eof() else None
            with contextlib.suppress(TimeoutError, ConnectionError, h2.exceptions.ProtocolError):
                async with asyncio.timeout(0.05):
                    while not client.closed:
                        await client.turn()
            assert balancer.events("failed") == []

    run(scenario())
