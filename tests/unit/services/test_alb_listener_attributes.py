"""A whole balancer on loopback: mutual TLS, headers of responses, transforms, and statuses that go with them."""

import asyncio
import contextlib
import ssl
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import trustme

from services.alb.config import Action, Forward, Redirect, Rewrite, Rule
from tests.unit.services.balancing import OK, Balancer, ScriptedTarget, a_config, balancing, body, run, status
from tests.unit.services.test_alb_login import HOST, Files, fields
from tests.unit.services.test_http2 import speaking


async def configured(balancer: Balancer, target: ScriptedTarget, rules: tuple[Rule, ...] = (), tls: tuple[Any, ...] = (), **listener: Any) -> None:
    """Put these attributes of the listener in force."""
    config = a_config((target,), balancer.port, rules=rules, tls=tls)
    assert balancer.runtime.reload is not None
    await balancer.runtime.reload(replace(config, listeners=(replace(config.listeners[0], **listener),)))


def client_context(files: Files, authority: trustme.CA | None) -> ssl.SSLContext:
    """A client that trusts the lab's authority, with a certificate of `authority`'s."""
    context = ssl.create_default_context(cafile=files.trust_file)
    if authority is not None:
        authority.issue_cert("device-7.example.com", common_name="device, 7").configure_cert(context)
    return context


def test_mutual_tls_tells_the_target_who_the_client_is_and_nobody_else_gets_in(tmp_path: Path):
    async def scenario() -> None:
        files, target = Files(tmp_path), ScriptedTarget("web-a")
        tls = (files.tls(HOST),)
        async with balancing(tmp_path, target, tls=tls) as balancer:
            request = f"GET / HTTP/1.1\r\nHost: {HOST}\r\nX-Amzn-Mtls-Clientcert-Subject: CN=root\r\nConnection: close\r\n\r\n".encode()
            assert body(await balancer.exchange_tls(request, client_context(files, None), HOST)) == b"web-a"
            assert "x-amzn-mtls-clientcert-subject" not in fields(target.requests[-1])
            config = a_config((target,), balancer.port, tls=tls)
            assert balancer.runtime.reload is not None
            await balancer.runtime.reload(replace(config, listeners=(replace(config.listeners[0], client_trust_file=files.trust_file),)))
            assert body(await balancer.exchange_tls(request, client_context(files, files.authority), HOST)) == b"web-a"
            told = {name: value for name, value in fields(target.requests[-1]).items() if name.startswith("x-amzn-mtls")}
            assert told["x-amzn-mtls-clientcert-subject"].startswith(r"CN=device\, 7")
            assert "trustme" in told["x-amzn-mtls-clientcert-issuer"]
            assert int(told["x-amzn-mtls-clientcert-serial-number"], 16) > 0
            assert told["x-amzn-mtls-clientcert-validity"].startswith("NotBefore=")
            assert unquote(told["x-amzn-mtls-clientcert-leaf"]).startswith("-----BEGIN CERTIFICATE-----")
            before = len(target.requests)
            for stranger in (None, trustme.CA()):
                with contextlib.suppress(ssl.SSLError, ConnectionError):  # a client of TLS 1.3 learns of it only after its own last message
                    assert await balancer.exchange_tls(request, client_context(files, stranger), HOST) == b""
            assert len(target.requests) == before

    run(scenario())


def test_headers_of_responses_stand_in_place_of_the_targets(tmp_path: Path):
    async def answer(head: bytes, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nServer: nginx\r\nX-Frame-Options: ALLOW\r\nContent-Length: 2\r\n\r\nok")

    async def scenario() -> None:
        target = ScriptedTarget("web-a", answer)
        async with balancing(tmp_path, target) as balancer:
            plain = await balancer.get()
            assert b"Server: nginx" in plain
            rule = Rule(priority=1, path_pattern=("/none",), action=Action(forward=Forward.to("tg")), origin="l#1", host_rewrite=Rewrite(regex="^.*$", replace="a b"))
            await configured(balancer, target, (rule,), response_headers=(("X-Frame-Options", "DENY"), ("Strict-Transport-Security", "max-age=1")), server_header=False)
            for path, code in (("/", 200), ("/", 200), ("/none", 500)):
                response = await balancer.get(path)
                assert status(response) == code
                assert b"Server:" not in response
                assert response.count(b"X-Frame-Options") == 1
                assert b"X-Frame-Options: DENY\r\n" in response
                assert b"Strict-Transport-Security: max-age=1\r\n" in response

    run(scenario())


def test_a_target_gets_the_transformed_host_and_url_and_one_that_is_none_is_500(tmp_path: Path):
    async def scenario() -> None:
        target = ScriptedTarget("web-a")
        rules = (
            Rule(priority=1, path_pattern=("/api/*",), action=Action(forward=Forward.to("tg")), origin="l#1", host_rewrite=Rewrite(regex="^shop", replace="internal"), url_rewrite=Rewrite(regex="^/api/", replace="/")),
            Rule(priority=2, path_pattern=("/bad",), action=Action(forward=Forward.to("tg")), origin="l#2", url_rewrite=Rewrite(regex="^/", replace="")),
        )  # fmt: skip
        async with balancing(tmp_path, target, rules=rules) as balancer:
            await balancer.get("/api/products?x=/api/")
            assert target.requests[-1].startswith(b"GET /products?x=/api/ HTTP/1.1\r\n")
            assert fields(target.requests[-1])["host"] == f"internal.example.com:{balancer.port}"
            assert status(await balancer.get("/bad")) == 500
            await balancer.get("/api-docs")
            assert target.requests[-1].startswith(b"GET /api-docs ")

    run(scenario())


def test_a_redirect_to_a_url_that_is_too_long_is_507(tmp_path: Path):
    async def scenario() -> None:
        redirect = Redirect(status_code=301, protocol="HTTPS", host="#{host}", port="443", path="/#{path}", query="#{query}&#{query}")
        async with balancing(tmp_path, ScriptedTarget("web-a"), rules=(Rule(priority=1, path_pattern=("/r",), action=Action(redirect=redirect), origin="l#1"),)) as balancer:
            assert [status(await balancer.get(f"/r?{'a' * length}")) for length in (100, 5000)] == [301, 507]

    run(scenario())


def test_grpc_to_a_group_of_http_1_1_is_464(tmp_path: Path):
    async def scenario() -> None:
        target = ScriptedTarget("web-a")
        async with speaking(tmp_path, target) as (_, client):
            assert (await client.answer(client.ask("POST", "/", ("content-type", "application/grpc+proto"))))[0] == 464
            assert (await client.answer(client.ask("GET", "/")))[0] == 200
        assert len(target.requests) == 1

    run(scenario())


def test_a_websocket_over_tls_is_logged_as_wss_when_it_ends(tmp_path: Path):
    async def echo(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        writer.write(await reader.readexactly(4))
        await reader.read()
        writer.close()

    async def scenario() -> None:
        files, target = Files(tmp_path), ScriptedTarget("web-a", echo)
        tls = (files.tls(HOST),)
        async with balancing(tmp_path, target, tls=tls) as balancer:
            config = a_config((target,), balancer.port, tls=tls)
            assert balancer.runtime.reload is not None
            listener = replace(config.listeners[0], certificate_arns=("arn:cert",))
            await balancer.runtime.reload(replace(config, listeners=(listener,), attributes=replace(config.attributes, access_logs=True)))
            reader, writer = await asyncio.open_connection("127.0.0.1", balancer.port, ssl=client_context(files, None), server_hostname=HOST)
            writer.write(f"GET /chat HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nping".encode())
            await reader.readuntil(b"ping")
            assert balancer.events("alb_access_log") == []
            writer.close()
            await balancer.until(lambda: bool(balancer.events("alb_access_log")))
            (event,) = balancer.events("alb_access_log")
            assert str(event["line"]).startswith("wss ")
            assert " TLSv1.3 " in str(event["line"])
            assert " 101 101 " in str(event["line"])

    run(scenario())


def test_a_client_that_closes_its_half_has_left(tmp_path: Path):
    """Its FIN is the end of the connection, not of its request alone (assumed: AWS says only that 460 is a client that closed)."""

    async def slow(head: bytes, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.1)
        writer.write(OK % (3, b"end"))

    async def scenario() -> None:
        async with balancing(tmp_path, ScriptedTarget("web-a", slow)) as balancer:
            reader, writer = await asyncio.open_connection("127.0.0.1", balancer.port)
            writer.write(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            writer.write_eof()
            answer = await reader.read()
            writer.close()
            assert answer == b""
            assert body(await balancer.get()) == b"end"
            assert [event["status"] for event in await balancer.requests()] == [460, 200]

    run(scenario())


def test_drips_of_a_head_or_a_body_end_with_the_idle_timeout_and_hold_nobody_up(tmp_path: Path):
    """Slowloris: each byte is a sign of life on AWS too, so what ends it is silence; meanwhile others are served, and no target hears of a head that is not whole."""

    async def scenario() -> None:
        target = ScriptedTarget("web-a")
        async with balancing(tmp_path, target, time_scale=100.0) as balancer:
            connections = [await asyncio.open_connection("127.0.0.1", balancer.port) for _ in range(100)]
            for byte in b"GET / HTTP/1.1\r\nHost: h\r\nX: ":
                for _, writer in connections:
                    writer.write(bytes((byte,)))
                await asyncio.sleep(0.002)
            assert body(await balancer.get()) == b"web-a"
            assert len(target.requests) == 1
            answers = await asyncio.gather(*(asyncio.wait_for(reader.read(), 5) for reader, _ in connections))
            assert {status(answer) for answer in answers} == {408}
            for _, writer in connections:
                writer.close()

    run(scenario())


@pytest.mark.parametrize("junk", [b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"\x00" * 100, b"\x00" * 600, b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"])
def test_what_is_no_tls_ends_that_connection_alone(tmp_path: Path, junk: bytes):
    async def scenario() -> None:
        files, target = Files(tmp_path), ScriptedTarget("web-a")
        async with balancing(tmp_path, target, tls=(files.tls(HOST),)) as balancer:
            reader, writer = await asyncio.open_connection("127.0.0.1", balancer.port)
            writer.write(junk)
            writer.write_eof()
            answer = await asyncio.wait_for(reader.read(), 5)
            writer.close()
            assert b"HTTP" not in answer
            request = f"GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode()
            assert body(await balancer.exchange_tls(request, client_context(files, None), HOST)) == b"web-a"
            assert len(target.requests) == 1

    run(scenario())
