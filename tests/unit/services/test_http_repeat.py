"""Heads taken as read: only the same bytes, only between messages, and with the outcome that parsing would have had."""

import asyncio
from collections.abc import Callable

import pytest

from services.common.http import Exchange, ServerConnection, ServerSettings, UpstreamPool, UpstreamRequest
from services.common.http.head import RequestHead, ResponseHead, fields_of
from services.common.http.repeat import repeatable, repeated
from tests.unit.services.test_http_server import Recorder, Wire
from tests.unit.services.test_http_upstream import answer_all, listening, pool_to, run

FIELDS = b"Host: shop.example\r\nAccept: */*\r\n"
FIRST = b"GET /a HTTP/1.1\r\n" + FIELDS + b"\r\n"


def head_of(data: bytes) -> RequestHead:
    method, target, _ = data.split(b"\r\n")[0].split(b" ")
    headers = [(name, value) for name, _, value in (line.partition(b": ") for line in data.split(b"\r\n\r\n")[0].split(b"\r\n")[1:])]
    return RequestHead(method, target, "1.1", headers, fields_of(headers))


def test_the_same_fields_with_another_target_are_read_without_parsing():
    known = repeatable(FIRST, head_of(FIRST))
    assert known is not None
    again = known.read(FIRST.replace(b"GET /a", b"HEAD /b?c=1"))
    assert again is not None
    assert (again.method, again.target, again.version) == (b"HEAD", b"/b?c=1", "1.1")
    assert again.fields is known.fields and again.repeatable is known


@pytest.mark.parametrize(
    "data",
    [
        FIRST.replace(b"*/*", b"text/html"),
        FIRST.replace(b"1.1", b"1.0"),
        FIRST.replace(b"GET", b"POST"),
        FIRST.replace(b"/a", b"*"),
        FIRST.replace(b"/a", b"http://other.example/a"),
        FIRST.replace(b"/a", b"/a#b"),
        FIRST.replace(b"/a", b"/a b"),
        FIRST.replace(b"/a", b"/\xe4"),
        FIRST + FIRST,
        FIRST[:-1],
        b"\r\n" + FIRST,
    ],
)
def test_whatever_else_differs_is_parsed(data: bytes):
    known = repeatable(FIRST, head_of(FIRST))
    assert known is not None and known.read(data) is None


@pytest.mark.parametrize("field", [b"Content-Length: 0", b"Transfer-Encoding: chunked", b"Upgrade: websocket", b"Expect: 100-continue"])
def test_requests_with_framing_or_an_expectation_are_not_remembered(field: bytes):
    data = FIRST[:-2] + field + b"\r\n\r\n"
    assert repeatable(data, head_of(data)) is None


def test_bytes_that_hold_more_than_one_head_are_not_remembered():
    assert repeatable(FIRST + FIRST, head_of(FIRST)) is None


def response(status: int, length: int | None) -> ResponseHead:
    headers = [] if length is None else [(b"Content-Length", b"%d" % length)]
    return ResponseHead(status, b"OK", "1.1", headers, fields_of(headers), length)


def test_a_response_with_the_same_head_and_size_is_read_without_parsing():
    wire = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
    known = repeated(wire + b"hi", response(200, 2))
    assert known is not None
    assert known.read(wire + b"ho") == b"ho"
    assert known.read(wire + b"h") is None
    assert known.read(wire + b"hoo") is None
    assert known.read(wire.replace(b"200", b"500") + b"ho") is None


def test_responses_whose_end_is_not_told_by_a_length_are_not_remembered():
    assert repeated(b"HTTP/1.1 200 OK\r\n\r\n", response(200, None)) is None
    assert repeated(b"HTTP/1.1 304 OK\r\nContent-Length: 0\r\n\r\n", response(304, 0)) is None
    assert repeated(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", response(200, 2)) is None


def scripted(script: Callable[[ServerConnection, Wire, Recorder], None]) -> None:
    async def inside() -> None:
        wire, application = Wire(), Recorder(lambda exchange: exchange.respond(200, [], b"ok"))
        connection = ServerConnection(application, ServerSettings())
        connection.connection_made(wire)  # type: ignore[arg-type]
        script(connection, wire, application)

    asyncio.run(inside())


def test_a_connection_answers_repeated_and_new_heads_in_turn():
    def script(connection: ServerConnection, wire: Wire, application: Recorder) -> None:
        for data in (FIRST, FIRST.replace(b"/a", b"/b"), FIRST.replace(b"*/*", b"x"), FIRST, FIRST[:20], FIRST[20:], FIRST):
            connection.data_received(data)
        assert [exchange.head.target for exchange in application.exchanges] == [b"/a", b"/b", b"/a", b"/a", b"/a", b"/a"]
        assert [exchange.head.fields[b"accept"] for exchange in application.exchanges] == [b"*/*", b"*/*", b"x", b"*/*", b"*/*", b"*/*"]
        assert wire.sent.count(b"HTTP/1.1 200 OK") == 6 and not wire.closed

    scripted(script)


def test_a_remembered_head_in_the_middle_of_another_request_is_parsed_as_part_of_it():
    def script(connection: ServerConnection, wire: Wire, application: Recorder) -> None:
        connection.data_received(FIRST)
        connection.data_received(b"POST /c HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(FIRST))
        connection.data_received(FIRST)
        assert [exchange.head.target for exchange in application.exchanges] == [b"/a", b"/c"]
        connection.data_received(b"GET /d HTTP/1.1\r\nX: ")
        connection.data_received(FIRST)
        connection.data_received(FIRST)
        assert [(exchange.head.target, exchange.head.fields.get(b"x")) for exchange in application.exchanges[2:]] == [(b"/d", b"GET /a HTTP/1.1"), (b"/a", None)]

    scripted(script)


def test_a_remembered_head_after_half_a_method_is_refused():
    def script(connection: ServerConnection, wire: Wire, application: Recorder) -> None:
        connection.data_received(FIRST)
        connection.data_received(b"GE")
        connection.data_received(FIRST)
        assert len(application.exchanges) == 1
        assert application.refusals[0][0] == 400

    scripted(script)


def test_a_target_that_is_too_long_is_refused_although_its_fields_are_known():
    def script(connection: ServerConnection, wire: Wire, application: Recorder) -> None:
        connection.data_received(FIRST)
        connection.data_received(FIRST.replace(b"/a", b"/" + b"a" * 17000))
        assert [status for status, _ in application.refusals] == [414]

    scripted(script)


def test_a_repeated_request_waits_for_the_one_before_it():
    async def inside() -> None:
        wire, application = Wire(), Recorder(None)
        connection = ServerConnection(application, ServerSettings())
        connection.connection_made(wire)  # type: ignore[arg-type]
        connection.data_received(FIRST)
        connection.data_received(FIRST.replace(b"/a", b"/b"))
        assert len(application.exchanges) == 1
        first: Exchange = application.exchanges[0]
        first.respond(200, [], b"1")
        assert [exchange.head.target for exchange in application.exchanges] == [b"/a", b"/b"]

    asyncio.run(inside())


def test_a_pool_takes_repeated_responses_whole_and_others_by_the_parser():
    async def scenario(tasks: asyncio.TaskGroup) -> None:
        pool: UpstreamPool = pool_to(await listening(answer_all), tasks)
        get = UpstreamRequest(b"GET", b"/", [(b"Host", b"h")])
        answers = [await pool.fetch(get) for _ in range(4)]
        assert {(answer.head.status, answer.body) for answer in answers} == {(200, b"hi")}
        assert answers[1].head is answers[2].head is answers[3].head
        assert {answer.timings.local for answer in answers} == {answers[0].timings.local}
        pool.abort()

    run(scenario)
