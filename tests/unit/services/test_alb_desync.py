"""Requests that two parsers might read differently: how they are classed, and that no target ever sees more of them than the balancer did."""

import asyncio
import re
from dataclasses import replace
from pathlib import Path

import pytest

from services.alb.config import Attributes, Desync
from services.alb.desync import Classification, classify, closes, is_routed
from services.common.http.head import RequestHead, fields_of
from tests.unit.services.balancing import ScriptedTarget, a_config, balancing, run, status

SMUGGLED = b"GET /admin HTTP/1.1\r\nHost: h\r\n\r\n"


def classed(method: bytes, *headers: tuple[bytes, bytes]) -> str:
    given = [(b"Host", b"h"), *headers]
    return "/".join(filter(None, classify(RequestHead(method, b"/", "1.1", given, fields_of(given)))))


def test_requests_are_classed_by_how_two_parsers_could_disagree():
    assert classed(b"GET") == "Compliant"
    assert classed(b"POST", (b"Content-Length", b"3")) == "Compliant"
    assert classed(b"POST", (b"Transfer-Encoding", b"chunked")) == "Compliant"
    assert classed(b"POST", (b"Content-Length", b"3"), (b"Transfer-Encoding", b"chunked")) == "Ambiguous/BothTeClPresent"
    assert classed(b"POST", (b"Content-Length", b"3"), (b"content-length", b"3")) == "Ambiguous/DuplicateContentLength"
    assert classed(b"GET", (b"Content-Length", b"3")) == "Ambiguous/UndefinedContentLengthSemantics"
    assert classed(b"GET", (b"Transfer-Encoding", b"chunked")) == "Ambiguous/UndefinedTransferEncodingSemantics"
    assert classed(b"HEAD", (b"Content-Length", b"0")) == "Acceptable/GetHeadZeroContentLength"
    assert classed(b"GET", (b"X-Name", b"caf\xc3\xa9")) == "Acceptable/NonCompliantHeader"
    assert classed(b"POST", (b"Content_Length", b"3")) == "Acceptable/SuspiciousHeader"


@pytest.mark.parametrize(("mode", "routed", "closing"), [(Desync.MONITOR, 3, 0), (Desync.DEFENSIVE, 3, 1), (Desync.STRICTEST, 1, 0)])
def test_the_mode_says_what_becomes_of_each_class(mode: Desync, routed: int, closing: int):
    assert sum(is_routed(each, mode) for each in Classification) == routed
    assert sum(closes(each, mode) for each in Classification) == closing


ATTACKS = {
    "CL.TE": b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" % (5 + len(SMUGGLED)) + SMUGGLED,
    "TE.CL": b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED),
    "CL.CL": b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nContent-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED,
    "TE.TE": b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "spaced": b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "folded": b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\r\n chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "bare LF": b"POST / HTTP/1.1\nHost: h\nContent-Length: 0\n\n" + SMUGGLED,
    "GET body": b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED,
}


@pytest.mark.parametrize("mode", list(Desync))
@pytest.mark.parametrize("name", list(ATTACKS))
def test_no_target_sees_a_request_that_the_balancer_did_not(tmp_path: Path, name: str, mode: Desync):
    async def scenario() -> None:
        bodies: list[bytes] = []

        async def keep(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            length = re.search(rb"(?i)content-length: (\d+)", head)
            if b"transfer-encoding: chunked" in head.lower():
                assert length is None, "two framings at the target"
                bodies.append(await reader.readuntil(b"0\r\n\r\n"))
            elif length is not None:
                bodies.append(await reader.readexactly(int(length[1])))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

        target = ScriptedTarget("web-a", keep)
        async with balancing(tmp_path, target) as balancer:
            assert balancer.runtime.reload is not None
            await balancer.runtime.reload(replace(a_config((target,), balancer.port), attributes=Attributes(desync=mode)))
            answered = await balancer.exchange(ATTACKS[name] + b"GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            told = {event["uri"] for event in await balancer.requests()} - {None}
            reached = {head.split(b" ")[1].decode() for head in target.requests}
            assert reached <= told  # no request at the target that the rules and the log have not seen
            if mode is Desync.DEFENSIVE:
                assert "/admin" not in reached
            assert status(answered) in (200, 400, 501)

    run(scenario())


def test_defensive_mode_routes_an_ambiguous_request_and_closes_both_connections(tmp_path: Path):
    async def scenario() -> None:
        target = ScriptedTarget("web-a")
        async with balancing(tmp_path, target) as balancer:
            answer = await balancer.exchange(b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab")
            assert status(answer) == 200
            assert b"Connection: close" in answer
            assert b"connection: close" in target.requests[0].lower()

    run(scenario())


def test_strictest_mode_refuses_what_is_merely_acceptable(tmp_path: Path):
    async def scenario() -> None:
        target = ScriptedTarget("web-a")
        async with balancing(tmp_path, target) as balancer:
            assert balancer.runtime.reload is not None
            await balancer.runtime.reload(replace(a_config((target,), balancer.port), attributes=Attributes(desync=Desync.STRICTEST)))
            assert status(await balancer.get("/", "Content-Length: 0")) == 400
            assert status(await balancer.get("/")) == 200
            assert len(target.requests) == 1

    run(scenario())
