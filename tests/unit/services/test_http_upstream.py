"""Requests over kept connections: reuse, retry, timeouts, timings."""

import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable

import pytest
import trustme
import uvloop

from services.common.http import Destination, FailureKind, Timeouts, UpstreamPool, UpstreamRequest
from services.common.http.failure import UpstreamError
from services.common.http.head import HttpDate, end_to_end, fields_of, serialise

GET = UpstreamRequest(b"GET", b"/", [(b"Host", b"h")])
POST = UpstreamRequest(b"POST", b"/", [(b"Host", b"h")], b"abc", content_length=3)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def run(scenario: Callable[[asyncio.TaskGroup], Awaitable[None]]) -> None:
    async def inside() -> None:
        async with asyncio.TaskGroup() as tasks:
            await scenario(tasks)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(inside())


async def listening(script: Script, tls: ssl.SSLContext | None = None) -> int:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await script(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    return int(server.sockets[0].getsockname()[1])


async def answer_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)


async def answer_once_then_close_at_the_next(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(OK)
    await reader.readuntil(b"\r\n\r\n")


def pool_to(port: int, tasks: asyncio.TaskGroup, *, retry_stale: bool = True, timeouts: Timeouts | None = None) -> UpstreamPool:
    return UpstreamPool(Destination(host="127.0.0.1", port=port, timeouts=timeouts or Timeouts()), tasks, retry_stale=retry_stale)


async def failure_of(pool: UpstreamPool, request: UpstreamRequest = GET) -> FailureKind:
    with pytest.raises(UpstreamError) as caught:
        await pool.fetch(request)
    return caught.value.failure.kind


def test_a_connection_is_opened_once_and_its_timings_say_so():
    async def scenario(tasks: asyncio.TaskGroup) -> None:
        pool = pool_to(await listening(answer_all), tasks)
        first, second = await pool.fetch(GET), await pool.fetch(GET)
        assert (first.head.status, first.body) == (200, b"hi")
        assert (first.timings.reused, second.timings.reused) == (False, True)
        assert first.timings.connect_ms is not None and second.timings.connect_ms is None
        assert first.timings.local == second.timings.local
        assert second.timings.wait_ms is not None and second.timings.wait_ms > 0
        pool.abort()

    run(scenario)


def test_requests_at_once_have_a_connection_each():
    async def scenario(tasks: asyncio.TaskGroup) -> None:
        pool = pool_to(await listening(answer_all), tasks)
        answers = await asyncio.gather(*(pool.fetch(GET) for _ in range(3)))
        assert len({answer.timings.local for answer in answers}) == 3
        assert pool.outstanding == 0
        pool.abort()

    run(scenario)


def test_an_idempotent_request_on_a_stale_connection_is_sent_once_more():
    async def scenario(tasks: asyncio.TaskGroup) -> None:
        pool = pool_to(await listening(answer_once_then_close_at_the_next), tasks)
        await pool.fetch(GET)
        again = await pool.fetch(GET)
        assert (again.head.status, again.timings.reused) == (200, False)
        pool.abort()

    run(scenario)


def test_other_requests_on_a_stale_connection_fail():
    async def scenario(tasks: asyncio.TaskGroup) -> None:
        port = await listening(answer_once_then_close_at_the_next)
        posting, strict = pool_to(port, tasks), pool_to(port, tasks, retry_stale=False)
        await posting.fetch(GET)
        await strict.fetch(GET)
        assert await failure_of(posting, POST) is FailureKind.CLOSED
        assert await failure_of(strict) is FailureKind.CLOSED

    run(scenario)


def test_a_fresh_connection_that_closes_is_not_tried_again():
    opened: list[int] = []

    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(1)
        await reader.readuntil(b"\r\n\r\n")

    async def scenario(tasks: asyncio.TaskGroup) -> None:
        assert await failure_of(pool_to(await listening(close), tasks)) is FailureKind.CLOSED
        assert len(opened) == 1

    run(scenario)


def test_refusal_and_silence_are_told_apart():
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def scenario(tasks: asyncio.TaskGroup) -> None:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            refused = pool_to(closed.getsockname()[1], tasks)
        with pytest.raises(UpstreamError) as caught:
            await refused.fetch(GET)
        assert (caught.value.failure.kind, caught.value.failure.status) == (FailureKind.REFUSED, 502)
        quiet = pool_to(await listening(silent), tasks, timeouts=Timeouts(response_s=0.05))
        with pytest.raises(UpstreamError) as caught:
            await quiet.fetch(GET)
        assert (caught.value.failure.kind, caught.value.failure.status) == (FailureKind.RESPONSE_TIMEOUT, 504)

    run(scenario)


def test_a_connection_that_is_never_accepted_times_out():
    async def scenario(tasks: asyncio.TaskGroup) -> None:
        with socket.socket() as full, socket.socket() as filler:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            filler.connect(full.getsockname())  # the backlog is full: further SYNs are dropped
            assert await failure_of(pool_to(full.getsockname()[1], tasks, timeouts=Timeouts(connect_s=0.05))) is FailureKind.CONNECT_TIMEOUT

    run(scenario)


def test_bytes_after_a_response_are_never_the_next_response():
    async def two_for_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")

    async def scenario(tasks: asyncio.TaskGroup) -> None:
        pool = pool_to(await listening(two_for_one), tasks)
        answers = [await pool.fetch(GET) for _ in range(3)]
        assert [answer.body for answer in answers] == [b"hi"] * 3
        assert not any(answer.timings.reused for answer in answers)

    run(scenario)


def test_interim_responses_are_passed_over():
    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK)

    async def scenario(tasks: asyncio.TaskGroup) -> None:
        answer = await pool_to(await listening(early), tasks).fetch(GET)
        assert (answer.head.status, [name for name, _ in answer.head.headers]) == (200, [b"Content-Length"])

    run(scenario)


def test_a_name_is_resolved_and_its_addresses_tried_in_turn():
    async def scenario(tasks: asyncio.TaskGroup) -> None:
        port = await listening(answer_all)

        async def resolve(name: str) -> tuple[str, ...]:
            assert name == "origin.example"
            return ("127.0.0.2", "127.0.0.1")

        with socket.create_server(("127.0.0.2", 0)):  # another port: nobody listens on ours there
            pool = UpstreamPool(Destination(host="origin.example", port=port, connect_attempts=2), tasks, resolve=resolve)
            answer = await pool.fetch(GET)
        assert answer.timings.peer == f"127.0.0.1:{port}"
        assert answer.timings.dns_ms is not None
        pool.abort()

        async def unknown(name: str) -> tuple[str, ...]:
            raise OSError("no such name")

        assert await failure_of(UpstreamPool(Destination(host="nowhere.example", port=port), tasks, resolve=unknown)) is FailureKind.NAME_UNRESOLVED

    run(scenario)


def test_tls_names_the_server_and_a_wrong_certificate_is_a_failure():
    async def scenario(tasks: asyncio.TaskGroup) -> None:
        authority, asked = trustme.CA(), []
        server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("origin.example").configure_cert(server)
        server.sni_callback = lambda _, name, __: asked.append(name)
        port = await listening(answer_all, server)
        client = ssl.create_default_context()
        authority.configure_trust(client)
        pool = UpstreamPool(Destination(host="127.0.0.1", port=port, tls=client, server_name="origin.example"), tasks)
        answer = await pool.fetch(GET)
        assert (answer.body, asked) == (b"hi", ["origin.example"])
        assert answer.timings.tls_ms is not None
        pool.abort()
        wrong = UpstreamPool(Destination(host="127.0.0.1", port=port, tls=client, server_name="other.example"), tasks)
        assert await failure_of(wrong) is FailureKind.TLS_FAILED

    run(scenario)


def test_an_idle_connection_is_closed_after_its_time():
    async def scenario(tasks: asyncio.TaskGroup) -> None:
        pool = pool_to(await listening(answer_all), tasks, timeouts=Timeouts(idle_s=0.05, response_s=1))
        await pool.fetch(GET)
        await asyncio.sleep(0.15)
        assert (await pool.fetch(GET)).timings.reused is False
        pool.abort()

    run(scenario)


def test_a_reset_is_a_closed_connection():
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async def scenario(tasks: asyncio.TaskGroup) -> None:
        assert await failure_of(pool_to(await listening(reset), tasks)) is FailureKind.CLOSED

    run(scenario)


def test_a_chunked_request_written_before_the_connection_stands_arrives_whole():
    got: list[bytes] = []

    async def read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.readuntil(b"0\r\n\r\n"))
        writer.write(OK)

    class Paused:
        def __init__(self) -> None:
            self.log: list[str] = []
            self.done = asyncio.Event()

        def response_started(self, head: object, body: bytes, ended: bool) -> None:
            self.done.set()

        def response_continued(self, body: bytes, ended: bool) -> None: ...

        def response_failed(self, failure: object) -> None: ...

        def request_paused(self) -> None:
            self.log.append("paused")

        def request_resumed(self) -> None:
            self.log.append("resumed")

    async def scenario(tasks: asyncio.TaskGroup) -> None:
        pool, receiver = pool_to(await listening(read), tasks), Paused()
        call = pool.send(UpstreamRequest(b"POST", b"/", [(b"Host", b"h")], b"ab", False, chunked=True), receiver)
        call.write(b"cd", False)
        await asyncio.sleep(0.05)
        call.write(b"e", True)
        await asyncio.wait_for(receiver.done.wait(), 2)
        assert got == [b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n1\r\ne\r\n0\r\n\r\n"]
        assert receiver.log == ["paused", "resumed"]
        pool.abort()

    run(scenario)


def test_repeated_fields_are_joined_and_kept_apart_on_the_wire():
    headers = [(b"Set-Cookie", b"a"), (b"set-cookie", b"b"), (b"X", b"")]
    assert fields_of(headers) == {b"set-cookie": b"a, b", b"x": b""}
    assert serialise(b"HTTP/1.1 200 OK", headers) == b"HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nset-cookie: b\r\nX: \r\n\r\n"
    assert serialise(b"HTTP/1.1 200 OK", []) == b"HTTP/1.1 200 OK\r\n\r\n"


def test_fields_named_by_connection_end_there():
    headers = [(b"Connection", b"close, x-hop"), (b"X-Hop", b"1"), (b"Keep-Alive", b"1"), (b"X-Kept", b"1")]
    assert end_to_end(headers, fields_of(headers)) == [(b"X-Kept", b"1")]
    twice = [*headers, (b"x-hop", b"2"), (b"X-Kept", b"2")]
    assert end_to_end(twice, fields_of(twice)) == [(b"X-Kept", b"1"), (b"X-Kept", b"2")]


def test_the_date_is_the_current_second():
    date = HttpDate()
    assert date.at(784111777.9) == b"Sun, 06 Nov 1994 08:49:37 GMT"
    assert date.at(784111778.0) == b"Sun, 06 Nov 1994 08:49:38 GMT"
