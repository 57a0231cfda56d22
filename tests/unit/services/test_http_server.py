"""What the client's side makes of bytes: scripted bytes in, bytes out, no sockets."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.common.http import Exchange, ServerConnection, ServerSettings
from services.common.http.head import Headers


class Wire:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.sent = b""
        self.closed = False
        self.paused = False

    def get_extra_info(self, name: str) -> tuple[str, int]:
        return ("192.0.2.1", 40000)

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.sent += data

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


class Recorder:
    """An application that keeps exchanges, and answers at once if told how."""

    def __init__(self, answer: Callable[[Exchange], None] | None) -> None:
        self.answer = answer
        self.exchanges: list[Exchange] = []
        self.refusals: list[tuple[int, str]] = []

    def handle(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)
        if self.answer is not None:
            self.answer(exchange)

    def refuse(self, connection: ServerConnection, status: int, reason: str) -> tuple[Headers, bytes]:
        self.refusals.append((status, reason))
        return [(b"Server", b"test")], b"no"


class Body:
    """Events of an exchange, kept."""

    def __init__(self) -> None:
        self.parts: list[tuple[bytes, bool]] = []
        self.aborted = False

    def request_continued(self, body: bytes, ended: bool) -> None:
        self.parts.append((body, ended))

    def request_aborted(self) -> None:
        self.aborted = True

    def response_paused(self) -> None: ...

    def response_resumed(self) -> None: ...


def echo(exchange: Exchange) -> None:
    exchange.respond(200, [], exchange.head.target + b"|" + exchange.body)


def play(*feeds: bytes, answer: Callable[[Exchange], None] | None = echo, then: Callable[[Recorder, ServerConnection], None] | None = None) -> tuple[Wire, Recorder]:
    """Feed bytes to a new connection; returns what came of it."""

    async def run() -> tuple[Wire, Recorder]:
        application, wire = Recorder(answer), Wire()
        connection = ServerConnection(application, ServerSettings())
        connection.connection_made(wire)  # type: ignore[arg-type]
        for data in feeds:
            connection.data_received(data)
            await asyncio.sleep(0)
        if then is not None:
            then(application, connection)
        connection.connection_lost(None)
        return wire, application

    return asyncio.run(run())


def statuses(wire: Wire) -> list[int]:
    return [int(part[:3]) for part in wire.sent.split(b"HTTP/1.1 ")[1:]]


GET = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"


def test_a_request_is_answered_and_the_connection_kept():
    wire, _ = play(GET)
    assert wire.sent.startswith(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nDate: ")
    assert wire.sent.endswith(b"Connection: keep-alive\r\n\r\n/a|")
    assert not wire.closed


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_a_request_may_come_in_pieces_of_any_size(size: int):
    request = b"POST /a HTTP/1.1\r\nHost: h\r\nX-Empty:\r\nContent-Length: 3\r\n\r\nabc"
    wire, application = play(*(request[at : at + size] for at in range(0, len(request), size)), answer=None, then=lambda app, _: app.exchanges[0].respond(204, []))
    assert statuses(wire) == [204]
    assert application.exchanges[0].head.headers == [(b"Host", b"h"), (b"X-Empty", b""), (b"Content-Length", b"3")]
    assert (application.exchanges[0].body, application.exchanges[0].ended) == (b"abc", True)


def test_pipelined_requests_are_answered_in_order_and_one_at_a_time():
    def answer_late(application: Recorder, _: ServerConnection) -> None:
        assert [e.head.target for e in application.exchanges] == [b"/1"]
        application.exchanges[0].respond(200, [], b"one")
        assert [e.head.target for e in application.exchanges] == [b"/1", b"/2"]
        application.exchanges[1].respond(200, [], b"two")

    wire, _ = play(b"GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n", answer=None, then=answer_late)
    assert statuses(wire) == [200, 200]
    assert wire.sent.index(b"one") < wire.sent.index(b"two")


def test_a_chunked_body_is_unwrapped_and_its_trailers_are_dropped():
    _, application = play(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nEvil: 1\r\n\r\n", GET)
    assert application.exchanges[0].body == b"abcde"
    assert [name for name, _ in application.exchanges[1].head.headers] == [b"Host"]


def test_a_long_body_is_streamed_to_events():
    body = Body()

    def attach(exchange: Exchange) -> None:
        exchange.events = body

    wire, application = play(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nab", b"cd", b"ef", answer=attach, then=lambda app, _: app.exchanges[0].respond(200, []))
    assert application.exchanges[0].body == b"ab"
    assert body.parts == [(b"cd", False), (b"ef", True)]
    assert statuses(wire) == [200]


def test_reading_stops_while_nobody_takes_a_body():
    wire, _ = play(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n", b"x" * 70000, answer=None)
    assert wire.paused


def test_expect_100_continue_is_answered_before_the_body_comes():
    wire, _ = play(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n", answer=None)
    assert wire.sent == b"HTTP/1.1 100 Continue\r\n\r\n"


def test_a_response_of_unknown_length_is_chunked():
    def stream(exchange: Exchange) -> None:
        exchange.start(200, [], length=None, body=b"abc")
        exchange.write(b"")
        exchange.finish(b"de")

    wire, _ = play(GET, answer=stream)
    assert b"Transfer-Encoding: chunked\r\n" in wire.sent
    assert wire.sent.endswith(b"\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")


def test_a_response_of_unknown_length_ends_an_http_1_0_connection():
    def stream(exchange: Exchange) -> None:
        exchange.start(200, [], length=None, body=b"abc", ended=True)

    wire, _ = play(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", answer=stream)
    assert wire.sent.endswith(b"Connection: close\r\n\r\nabc")
    assert wire.closed


def test_http_1_0_is_closed_unless_it_asks_otherwise():
    assert play(b"GET / HTTP/1.0\r\n\r\n")[0].closed
    assert not play(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")[0].closed


def test_a_head_request_gets_the_length_but_no_body():
    wire, _ = play(b"HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n")
    assert b"Content-Length: 3\r\n" in wire.sent
    assert wire.sent.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("status", [204, 304])
def test_some_statuses_have_no_body(status: int):
    wire, _ = play(GET, answer=lambda exchange: exchange.start(status, [], length=None, body=b"lost", ended=True))
    assert wire.sent.endswith(b"Connection: keep-alive\r\n\r\n")
    assert b"Transfer-Encoding" not in wire.sent


def test_connection_close_is_honoured_and_what_follows_is_not_read():
    wire, application = play(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" + GET)
    assert len(application.exchanges) == 1
    assert (statuses(wire), wire.closed) == ([200], True)


REFUSED = [
    ("both lengths", b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("both lengths, the other order", b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400),
    ("differing lengths", b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
    ("a list of lengths", b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3, 4\r\n\r\nabcd", 400),
    ("a signed length", b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +3\r\n\r\nabc", 400),
    ("a length that is not a number", b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0x3\r\n\r\nabc", 400),
    ("a coding hidden by a vertical tab", b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400),
    ("a coding twice", b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("another coding", b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
    ("a coding in HTTP/1.0", b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("a space before the colon", b"GET / HTTP/1.1\r\nHost : h\r\n\r\n", 400),
    ("a folded header", b"GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n", 400),
    ("a bare line feed", b"GET / HTTP/1.1\nHost: h\n\n", 400),
    ("a nul byte", b"GET / HTTP/1.1\r\nHost: h\r\nX: \x00\r\n\r\n", 400),
    ("no host", b"GET / HTTP/1.1\r\n\r\n", 400),
    ("two hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    ("a request line of one word", b"GET\r\n\r\n", 400),
    ("TLS to a plain port", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    ("a version that is not", b"GET / HTTP/3.0\r\nHost: h\r\n\r\n", 505),
    ("HTTP/2 as text", b"GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505),
    ("a chunk size that is not", b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
    ("a tunnel", b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 405),
    ("a line of more than 16 K", b"GET /" + b"a" * 17000 + b" HTTP/1.1\r\nHost: h\r\n\r\n", 414),
    ("a line that never ends", b"GET /" + b"a" * 17000, 414),
    ("a header of more than 16 K", b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"a" * 17000 + b"\r\n\r\n", 413),
    ("headers of more than 64 K", b"GET / HTTP/1.1\r\nHost: h\r\n" + (b"X: " + b"a" * 8000 + b"\r\n") * 9 + b"\r\n", 413),
    ("headers that never end", b"GET / HTTP/1.1\r\nHost: h\r\n" + (b"X: " + b"a" * 8000 + b"\r\n") * 11, 413),
]


@pytest.mark.parametrize(("request_bytes", "status"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_what_cannot_be_trusted_is_refused_and_never_handed_over(request_bytes: bytes, status: int):
    for feeds in ((request_bytes,), tuple(request_bytes[at : at + 1000] for at in range(0, len(request_bytes), 1000))):
        wire, application = play(*feeds)
        assert (statuses(wire), application.exchanges, wire.closed) == ([status], [], True)


def test_sixteen_kilobytes_of_header_are_taken():
    wire, _ = play(b"GET / HTTP/1.1\r\nHost: h\r\n" + (b"X: " + b"a" * 16000 + b"\r\n") * 3 + b"\r\n")
    assert statuses(wire) == [200]


def test_what_came_before_a_malformed_request_is_answered_first():
    wire, _ = play(GET + b"G@T / HTTP/1.1\r\n\r\n")
    assert statuses(wire) == [200, 400]


def test_a_malformed_request_waits_for_the_answer_before_it():
    wire, application = play(GET + b"G@T / HTTP/1.1\r\n\r\n", answer=None, then=lambda app, _: app.exchanges[0].respond(200, []))
    assert statuses(wire) == [200, 400]
    assert len(application.exchanges) == 1


def test_a_body_that_turns_out_malformed_aborts_the_request():
    body = Body()

    def attach(exchange: Exchange) -> None:
        exchange.events = body

    wire, _ = play(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", b"nonsense\r\n", answer=attach)
    assert body.aborted
    assert (statuses(wire), wire.closed) == ([400], True)


def test_a_client_that_leaves_aborts_its_request():
    body = Body()

    def attach(exchange: Exchange) -> None:
        exchange.events = body

    play(GET, answer=attach)
    assert body.aborted


def test_an_upgrade_that_nobody_knows_is_ignored_and_its_body_read():
    head = b"POST / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"
    for request in (head + b"Content-Length: 3\r\n\r\nabc", head + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"):
        for feeds in ((request + GET,), tuple(bytes((byte,)) for byte in request + GET)):
            _, application = play(*feeds, answer=None, then=lambda app, _: app.exchanges[0].respond(200, []))
            assert [(e.head.target, e.body, e.upgrade) for e in application.exchanges] == [(b"/", b"abc", False), (b"/a", b"", False)]


WEBSOCKET = b"GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


def test_after_a_switch_bytes_go_through_untouched_also_those_that_came_early():
    got: list[bytes] = []

    def switch(application: Recorder, connection: ServerConnection) -> None:
        exchange = application.exchanges[0]
        assert exchange.upgrade
        exchange.switch([(b"Upgrade", b"websocket")], got.append)
        connection.data_received(b"GET late")
        exchange.send_raw(b"\x81\x01x")

    wire, _ = play(WEBSOCKET + b"early", answer=None, then=switch)
    assert got == [b"early", b"GET late"]
    assert wire.sent == b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x01x"


def test_a_websocket_that_is_not_granted_leaves_an_ordinary_connection():
    wire, application = play(WEBSOCKET + GET, b"")
    assert [e.head.target for e in application.exchanges] == [b"/ws", b"/a"]
    assert statuses(wire) == [200, 200]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=40), st.sampled_from([GET, GET[:-2], b"\r\n", b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", b"5\r\nhello\r\n", b"0\r\n\r\n", WEBSOCKET])), max_size=6))
def test_whatever_bytes_come_the_answer_is_sound_and_an_error_ends_the_connection(feeds: list[bytes]):
    wire, application = play(*feeds)
    codes = statuses(wire)
    assert set(codes) <= {100, 200, 400, 405, 413, 414, 501, 505}
    assert len([code for code in codes if code not in (100, 200)]) <= 1
    if application.refusals:
        assert wire.closed
