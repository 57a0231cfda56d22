"""A whole balancer on loopback: what clients and targets see of it."""

import asyncio
import os
import socket
import ssl
import time
from dataclasses import replace
from pathlib import Path

import trustme
from hypothesis import HealthCheck as Hypothesis
from hypothesis import given, settings
from hypothesis import strategies as st

from services.alb.config import Action, FixedResponse, Redirect, Rule
from services.common.config import Tls
from tests.unit.services.balancing import OK, ScriptedTarget, a_config, balancing, body, no_answer, run, status


def test_requests_take_turns_over_two_targets_and_reuse_connections(tmp_path: Path):
    async def scenario() -> None:
        a, b = ScriptedTarget("web-a"), ScriptedTarget("web-b")
        async with balancing(tmp_path, a, b) as balancer:
            answers = [body(await balancer.get()) for _ in range(6)]
            assert sorted(answers) == [b"web-a"] * 3 + [b"web-b"] * 3
            assert (a.connections, b.connections) == (2, 2)  # one for the health check, one for all requests
            events = (await balancer.requests())
            assert [event["target_reused"] for event in events] == [False, False, True, True, True, True]
            assert {event["rule"] for event in events} == {"listener#default"}

    run(scenario())


def test_a_target_sees_what_an_alb_adds_and_the_event_names_it_all(tmp_path: Path):
    async def scenario() -> None:
        target = ScriptedTarget("web-a")
        async with balancing(tmp_path, target) as balancer:
            response = await balancer.get("/p?q=1", "X-Forwarded-For: 198.51.100.9", "X-Amzn-Trace-Id: Root=1-67891233-abcdef012345678912345678", "X-Amz-Cf-Id: abc=", "X-Custom: Kept")
            sent = target.requests[0].decode()
            assert sent.startswith("GET /p?q=1 HTTP/1.1\r\nX-Amz-Cf-Id: abc=\r\nX-Custom: Kept\r\n")
            assert f"Host: shop.example.com:{balancer.port}\r\n" in sent
            assert "X-Forwarded-For: 198.51.100.9, 127.0.0.1\r\n" in sent
            assert f"X-Forwarded-Proto: http\r\nX-Forwarded-Port: {balancer.port}\r\n" in sent
            assert ";Root=1-67891233-abcdef012345678912345678\r\n" in sent
            assert "Connection" not in sent
            assert b"awselb" not in response
            (event,) = (await balancer.requests())
            assert {key: event[key] for key in ("trace_id", "cf_id", "method", "host", "uri", "status", "target_status", "action", "target_group", "target", "target_peer", "error_reason")} == {
                "trace_id": "1-67891233-abcdef012345678912345678", "cf_id": "abc=", "method": "GET", "host": "shop.example.com", "uri": "/p?q=1", "status": 200, "target_status": 200,
                "action": "forward", "target_group": "tg", "target": "web-a", "target_peer": f"127.0.0.1:{target.port}", "error_reason": None,
            }  # fmt: skip
            assert str(event["local"]).startswith("127.0.0.1:")
            assert all(isinstance(event[key], float) for key in ("connect_ms", "target_wait_ms", "duration_ms"))

    run(scenario())


def test_health_checks_are_the_elbs_own_on_a_connection_each(tmp_path: Path):
    async def scenario() -> None:
        target = ScriptedTarget("web-a")
        async with balancing(tmp_path, target, time_scale=1000) as balancer:
            await balancer.until(lambda: len(target.checks) >= 3)
            assert target.connections >= 3
            assert target.checks[0].startswith(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUser-Agent: ELB-HealthChecker/2.0\r\n" % target.port)
            assert [(event["target"], event["state"]) for event in balancer.events("target_health")] == [("web-a", "initial"), ("web-a", "healthy")]

    run(scenario())


def test_a_target_that_dies_is_502_at_once_and_then_gets_nothing_more(tmp_path: Path):
    async def scenario() -> None:
        a, b = ScriptedTarget("web-a"), ScriptedTarget("web-b")
        async with balancing(tmp_path, a, b, time_scale=100) as balancer:
            b.stop()
            await asyncio.sleep(0)
            codes = [status(await balancer.get()) for _ in range(2)]
            assert sorted(codes) == [200, 502]
            await balancer.until(lambda: any(event["state"] == "unhealthy" for event in balancer.events("target_health")))
            assert [status(await balancer.get()) for _ in range(4)] == [200] * 4
            failed = next(event for event in (await balancer.requests()) if event["status"] == 502)
            assert (failed["error_reason"], failed["target"], failed["target_status"]) == ("connection-refused", "web-b", None)
            b_again = await b.start()
            await balancer.until(lambda: balancer.events("target_health")[-1]["state"] == "healthy")
            assert {body(await balancer.get()) for _ in range(2)} == {b"web-a", b_again.name.encode()}

    run(scenario())


def test_a_target_that_closes_or_babbles_is_502(tmp_path: Path):
    async def close(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def reset(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        writer.transport.abort()

    async def babble(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH\r\n")

    async def long_headers(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n" + (b"X: " + b"a" * 8000 + b"\r\n") * 5 + b"Content-Length: 0\r\n\r\n")

    async def two_lengths(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")

    async def scenario() -> None:
        for answer, reason in ((close, "closed-by-peer"), (reset, "closed-by-peer"), (babble, "malformed-response"), (long_headers, "response-headers-too-large"), (two_lengths, "malformed-response")):
            async with balancing(tmp_path, ScriptedTarget("web-a", answer)) as balancer:
                response = await balancer.get()
                assert status(response) == 502
                assert b"Server: awselb/2.0\r\nContent-Type: text/html\r\n" in response
                assert body(response) == b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n"
                assert (await balancer.requests())[-1]["error_reason"] == reason

    run(scenario())


def test_a_silent_target_is_504_after_the_idle_timeout(tmp_path: Path):
    async def scenario() -> None:
        async with balancing(tmp_path, ScriptedTarget("web-a", no_answer), time_scale=200) as balancer:
            began = time.monotonic()
            response = await balancer.get()
            assert status(response) == 504
            assert 0.25 < time.monotonic() - began < 30  # 60 s, 200 times faster
            assert (await balancer.requests())[-1]["error_reason"] == "response-timeout"

    run(scenario())


def test_if_all_targets_are_unhealthy_all_are_used(tmp_path: Path):
    async def scenario() -> None:
        a, b = ScriptedTarget("web-a"), ScriptedTarget("web-b")
        a.healthy = b.healthy = False
        async with balancing(tmp_path, a, b, time_scale=300) as balancer:
            await balancer.until(lambda: len([event for event in balancer.events("target_health") if event["state"] == "unhealthy"]) == 2)
            assert {body(await balancer.get()) for _ in range(2)} == {b"web-a", b"web-b"}
            assert balancer.events("target_health")[-1]["reason"] == "Target.ResponseCodeMismatch: [500]"

    run(scenario())


def test_only_a_group_without_targets_is_503(tmp_path: Path):
    async def scenario() -> None:
        async with balancing(tmp_path) as balancer:
            response = await balancer.get()
            assert (status(response), b"503 Service Temporarily Unavailable" in body(response)) == (503, True)

    run(scenario())


def test_rules_answer_and_redirect_without_a_target(tmp_path: Path):
    rules = (
        Rule(priority=10, path_pattern=("/status",), action=Action(fixed_response=FixedResponse(status_code=200, message_body="up\n")), origin="listener#10"),
        Rule(priority=20, path_pattern=("/old/*",), action=Action(redirect=Redirect(status_code=301, protocol="HTTPS", host="#{host}", port="443", path="/#{path}", query="#{query}")), origin="listener#20"),
    )

    async def scenario() -> None:
        async with balancing(tmp_path, rules=rules) as balancer:
            up = await balancer.get("/status")
            assert (status(up), body(up)) == (200, b"up\n")
            assert b"Server: awselb/2.0\r\nContent-Type: text/plain\r\n" in up
            moved = await balancer.get("/old/a?b=c")
            assert (status(moved), b"Location: https://shop.example.com:443/old/a?b=c\r\n" in moved) == (301, True)
            assert [(event["rule"], event["action"], event["status"]) for event in (await balancer.requests())] == [("listener#10", "fixed-response", 200), ("listener#20", "redirect", 301)]

    run(scenario())


def test_statuses_that_an_alb_makes_itself(tmp_path: Path):
    async def scenario() -> None:
        async with balancing(tmp_path, ScriptedTarget("web-a")) as balancer:
            assert status(await balancer.exchange(b"TRACE / HTTP/1.1\r\nHost: h\r\n\r\n")) == 405
            assert status(await balancer.exchange(b"GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: " + b", ".join([b"192.0.2.1"] * 31) + b"\r\n\r\n")) == 463
            assert status(await balancer.exchange(b"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n")) == 501
            assert status(await balancer.exchange(b"GET / HTTP/2.0\r\nHost: h\r\n\r\n")) == 505
            assert status(await balancer.exchange(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab")) == 400
            assert [event["status"] for event in (await balancer.requests())] == [405, 463, 501, 505, 400]

    run(scenario())


def test_a_client_that_is_silent_in_the_middle_of_a_head_gets_408_and_an_idle_one_nothing(tmp_path: Path):
    async def scenario() -> None:
        async with balancing(tmp_path, ScriptedTarget("web-a"), time_scale=300) as balancer:
            assert status(await balancer.exchange(b"GET / HTTP/1.1\r\nHo")) == 408
            assert await balancer.exchange(b"") == b""

    run(scenario())


def test_a_client_that_leaves_is_460_in_the_log_and_the_target_is_let_go(tmp_path: Path):
    let_go = asyncio.Event()

    async def wait(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        let_go.set()

    async def scenario() -> None:
        target = ScriptedTarget("web-a", wait)
        async with balancing(tmp_path, target) as balancer:
            _, writer = await asyncio.open_connection("127.0.0.1", balancer.port)
            writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            await balancer.until(lambda: bool(target.requests))
            writer.close()
            await asyncio.wait_for(let_go.wait(), 2)
            await balancer.until(lambda: bool(balancer.events("alb_request")))
            assert (await balancer.requests())[0]["status"] == 460

    run(scenario())


def test_large_bodies_stream_both_ways_in_both_framings(tmp_path: Path):
    size = 3_000_000

    async def mirror(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if b"Content-Length" in head:
            data = await reader.readexactly(size)
            writer.write(OK % (size, data))
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while line := await reader.readline():
                chunk = await reader.readexactly(int(line, 16) + 2)
                writer.write(line + chunk)
                await writer.drain()
                if line == b"0\r\n":
                    return

    async def scenario() -> None:
        payload = os.urandom(size)
        async with balancing(tmp_path, ScriptedTarget("web-a", mirror)) as balancer:
            plain = await balancer.exchange(b"POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % size + payload)
            assert body(plain) == payload
            chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (payload[at : at + 50_000] for at in range(0, size, 50_000)))
            chunked = await balancer.exchange(b"POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
            assert unchunked(body(chunked)) == payload

    run(scenario())


def unchunked(data: bytes) -> bytes:
    parts = []
    while data:
        line, _, data = data.partition(b"\r\n")
        parts.append(data[: int(line, 16)])
        data = data[int(line, 16) + 2 :]
    return b"".join(parts)


def test_a_response_without_length_reaches_both_http_versions_whole(tmp_path: Path):
    async def until_close(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nab")
        await writer.drain()
        await asyncio.sleep(0.02)
        writer.write(b"cd")
        writer.close()

    async def scenario() -> None:
        async with balancing(tmp_path, ScriptedTarget("web-a", until_close)) as balancer:
            assert unchunked(body(await balancer.get())) == b"abcd"
            assert body(await balancer.exchange(b"GET / HTTP/1.0\r\n\r\n")) == b"abcd"

    run(scenario())


def test_a_body_cut_short_by_the_target_is_cut_short_for_the_client(tmp_path: Path):
    async def half(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        await writer.drain()
        await asyncio.sleep(0.02)
        writer.close()

    async def scenario() -> None:
        async with balancing(tmp_path, ScriptedTarget("web-a", half)) as balancer:
            reader, writer = await asyncio.open_connection("127.0.0.1", balancer.port)
            writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            got = b""
            try:
                while part := await asyncio.wait_for(reader.read(1000), 2):
                    got += part
            except ConnectionResetError:
                pass
            writer.close()
            assert body(got) == b"abc"
            assert (await balancer.requests())[-1]["error_reason"] == "closed-by-peer"

    run(scenario())


def test_a_kept_connection_that_the_target_closes_as_a_request_arrives_is_the_classic_502(tmp_path: Path):
    async def once(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK % (0, b""))
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    async def scenario() -> None:
        async with balancing(tmp_path, ScriptedTarget("web-a", once)) as balancer:
            assert [status(await balancer.get()) for _ in range(2)] == [200, 502]

    run(scenario())


def test_head_leaves_the_kept_connection_in_order(tmp_path: Path):
    async def answer(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + (b"" if head.startswith(b"HEAD") else b"hello"))

    async def scenario() -> None:
        target = ScriptedTarget("web-a", answer)
        async with balancing(tmp_path, target) as balancer:
            head = await balancer.exchange(b"HEAD / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            assert (b"Content-Length: 5\r\n" in head, body(head)) == (True, b"")
            assert body(await balancer.get()) == b"hello"
            assert target.connections == 2

    run(scenario())


def test_a_websocket_passes_through_both_ways(tmp_path: Path):
    async def mirror(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert b"Connection: Upgrade\r\nUpgrade: websocket\r\n" in head
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        while data := await reader.read(1000):
            writer.write(data.upper())

    async def scenario() -> None:
        async with balancing(tmp_path, ScriptedTarget("web-a", mirror)) as balancer:
            reader, writer = await asyncio.open_connection("127.0.0.1", balancer.port)
            writer.write(b"GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\nearly")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
            assert await reader.readexactly(5) == b"EARLY"
            writer.write(b"later")
            assert await reader.readexactly(5) == b"LATER"
            writer.close()
            await balancer.until(lambda: bool(balancer.events("alb_request")))
            assert (await balancer.requests())[0]["status"] == 101

    run(scenario())


def test_a_new_configuration_changes_rules_and_targets_under_open_connections(tmp_path: Path):
    async def scenario() -> None:
        a, b = await ScriptedTarget("web-a").start(), await ScriptedTarget("web-b").start()
        async with balancing(tmp_path, a) as balancer:
            reader, writer = await asyncio.open_connection("127.0.0.1", balancer.port)
            request = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
            writer.write(request)
            assert (await reader.readuntil(b"web-a")).startswith(b"HTTP/1.1 200")
            assert balancer.runtime.reload is not None
            await balancer.runtime.reload(a_config((b,), balancer.port))
            writer.write(request)
            assert (await asyncio.wait_for(reader.readuntil(b"web-b"), 2)).startswith(b"HTTP/1.1 200")
            answers = Rule(priority=1, action=Action(fixed_response=FixedResponse(status_code=418, message_body="tea")))
            await balancer.runtime.reload(a_config((b,), balancer.port, rules=(answers,)))
            writer.write(request)
            assert (await asyncio.wait_for(reader.readuntil(b"tea"), 2)).startswith(b"HTTP/1.1 418")
            await balancer.runtime.reload(replace(a_config((b,), balancer.port), listeners=()))
            assert await asyncio.wait_for(reader.read(), 2) == b""
            writer.close()

    run(scenario())


def certificate(directory: Path, authority: trustme.CA, name: str) -> Tls:
    issued = authority.issue_cert(name)
    key, chain = directory / f"{name}.key", directory / f"{name}.pem"
    issued.private_key_pem.write_to_path(str(key))
    for index, blob in enumerate(issued.cert_chain_pems):
        blob.write_to_path(str(chain), append=index > 0)
    return Tls(host_names=(name,), certificate_file=str(chain), key_file=str(key))


def test_sni_chooses_the_certificate(tmp_path: Path):
    async def scenario() -> None:
        authority = trustme.CA()
        certificates = (certificate(tmp_path, authority, "first.example"), certificate(tmp_path, authority, "*.shop.example"))
        trust = ssl.create_default_context()
        authority.configure_trust(trust)

        async def get(name: str) -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", balancer.port, ssl=trust, server_hostname=name)
            writer.write(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            answer = await reader.read()
            writer.close()
            return answer

        target = ScriptedTarget("web-a")
        async with balancing(tmp_path, target, tls=certificates) as balancer:
            assert body(await get("first.example")) == b"web-a"
            assert body(await get("www.shop.example")) == b"web-a"
            assert b"X-Forwarded-Proto: https\r\n" in target.requests[0]
            try:
                await get("unknown.example")
            except ssl.SSLCertVerificationError as error:
                assert "unknown.example" in str(error)
            else:
                raise AssertionError("the default certificate is not for that name")

    run(scenario())


def test_random_bytes_never_end_the_daemon_and_give_400_or_a_close(tmp_path: Path):
    @settings(max_examples=60, deadline=None, suppress_health_check=list(Hypothesis))
    @given(st.lists(st.one_of(st.binary(min_size=1, max_size=80), st.sampled_from([b"GET / HTTP/1.1\r\n", b"\r\n", b"Host: h\r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"])), min_size=1, max_size=8))
    def thrown(parts: list[bytes]) -> None:
        cases.append(b"".join(parts))

    cases: list[bytes] = []
    thrown()

    async def scenario() -> None:
        async with balancing(tmp_path, ScriptedTarget("web-a"), time_scale=1000) as balancer:
            for case in cases:
                answer = await balancer.exchange(case)  # reads to the end: the connection is always closed
                assert answer == b"" or status(answer) in (200, 400, 408, 501, 504, 505)
            assert body(await balancer.get()) == b"web-a"

    run(scenario())
