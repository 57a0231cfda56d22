"""An edge location over real sockets on loopback, in front of an origin that follows a script."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from pathlib import Path

import msgspec
import pytest
import trustme

from services.cloudfront.config import Behavior, CachePolicy, Config, Distribution, Origin
from services.cloudfront.server import serve
from services.common.config import Listen, Tls
from services.common.events import EventLog
from services.common.runtime import Runtime
from services.common.stub_resolver import Answer, LookupFailed, Reason

LOOPBACK = IPv4Address("127.0.0.1")
ALL_METHODS = ("GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE")
SHOP = "shop.example.com"


def policy(min_ttl: int = 0, default_ttl: int = 86400, max_ttl: int = 31536000) -> CachePolicy:
    return CachePolicy(name="p", min_ttl=min_ttl, default_ttl=default_ttl, max_ttl=max_ttl)


@dataclass
class Request:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


Script = Callable[[Request], "bytes | Awaitable[bytes | None] | None"]
"""The answer's bytes; None closes the connection with a reset."""


def answer(body: bytes = b"hello", *headers: str, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]).encode() + body


@dataclass
class ScriptedOrigin:
    script: Script
    requests: list[Request] = field(default_factory=list)
    connections: int = 0

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                method, target, _ = lines[0].split(" ")
                headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                request = Request(method, target, headers, body)
                self.requests.append(request)
                reply = self.script(request)
                if not isinstance(reply, bytes) and reply is not None:
                    reply = await reply
                if reply is None:
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
                    break
                writer.write(reply)
                await writer.drain()
        writer.close()


class Names:
    """Every name but ``nowhere.example.com`` is on loopback."""

    async def lookup(self, name: str) -> Answer:
        if name == "nowhere.example.com":
            raise LookupFailed(name, Reason.NXDOMAIN)
        return Answer(addresses=(LOOPBACK,), ttl_s=60, duration_ms=0.1, from_cache=False)


@dataclass
class Response:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def x_cache(self) -> str:
        return self.headers["x-cache"].removesuffix(" from cloudfront")


@dataclass
class EdgeLocation:
    config: Config
    runtime: Runtime
    authority: trustme.CA
    log: Path
    origin: ScriptedOrigin

    async def ask(self, target: str = "/a", method: str = "GET", body: bytes = b"", *, host: str = SHOP, tls: bool = False, **headers: str) -> Response:
        """One request on a connection of its own."""
        context = None
        if tls:
            context = ssl.create_default_context()
            self.authority.configure_trust(context)
        listen = (self.config.https if tls else self.config.http)[0]
        reader, writer = await asyncio.open_connection("127.0.0.1", listen.port, ssl=context, server_hostname=host if tls else None)
        fields = {"Host": host, "Connection": "close"} | {name.replace("_", "-"): value for name, value in headers.items()}
        if body:
            fields["Content-Length"] = str(len(body))
        head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items()) + "\r\n"
        writer.write(head.encode() + body)
        data = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        return parsed(data)

    def events(self) -> list[dict[str, object]]:
        self.runtime.events.flush()
        return [event for line in self.log.read_bytes().splitlines() if (event := msgspec.json.decode(line))["event"] == "edge_request"]


def parsed(data: bytes) -> Response:
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
    if headers.get("transfer-encoding") == "chunked":
        whole = b""
        while body and not body.startswith(b"0\r\n"):
            size, _, rest = body.partition(b"\r\n")
            whole, body = whole + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
        body = whole
    return Response(int(lines[0].split(" ")[1]), headers, body)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextlib.asynccontextmanager
async def edge_location(
    folder: Path, script: Script = lambda _: answer(), *, cache_policy: CachePolicy | None = None, time_scale: float = 1.0, viewer: str = "allow-all",
    methods: tuple[str, ...] = ALL_METHODS, origin_certificate: str | None = None, trusted: bool = True, cache_bytes: int = 1 << 24, forward_all_cookies: bool = False,
    **of_origin: object,
) -> AsyncIterator[EdgeLocation]:
    authority = trustme.CA()
    (folder / "trust.pem").write_bytes((authority if trusted else trustme.CA()).cert_pem.bytes())
    certificate = authority.issue_cert(SHOP, "*.cloudfront.net")
    certificate.private_key_and_cert_chain_pem.write_to_path(folder / "edge.pem")
    origin = ScriptedOrigin(script)
    context = None
    if origin_certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(origin_certificate).configure_cert(context)
    server = await asyncio.start_server(origin.connected, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    settings: dict[str, object] = {"domain_name": "origin.example.com", "protocol_policy": "https-only" if context else "http-only", "http_port": port, "https_port": port} | of_origin
    behavior = Behavior(
        path_pattern="*", origin="o", viewer_protocol_policy=viewer, allowed_methods=methods, cache_policy=cache_policy or policy(), forward_all_cookies=forward_all_cookies
    )
    distribution = Distribution(
        id="cdn", domain_name="d111.cloudfront.net", aliases=(SHOP,), origins=(Origin(id="o", **settings),), behaviors=(behavior,),
        tls=Tls(host_names=(SHOP,), certificate_file=str(folder / "edge.pem"), key_file=str(folder / "edge.pem")),
    )
    config = Config(
        name="edge-lhr", pop="LHR50-C1", http=(Listen(address=LOOPBACK, port=free_port()),), https=(Listen(address=LOOPBACK, port=free_port()),),
        distributions=(distribution,), resolvers=(), trust_file=str(folder / "trust.pem"), cache_bytes=cache_bytes,
    )
    descriptor = os.open(folder / "events.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    ready = asyncio.Event()
    runtime = Runtime(name="edge", events=EventLog("cloudfront", descriptor), time_scale=time_scale, on_ready=ready.set)
    serving = asyncio.create_task(serve(config, runtime, Names()))
    try:
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            waiting.cancel()
            serving.result()
        yield EdgeLocation(config, runtime, authority, folder / "events.jsonl", origin)
    finally:
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving
        server.close()
        runtime.events.flush()
        os.close(descriptor)


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await test()

    asyncio.run(bounded())


def test_a_miss_is_followed_by_a_hit_that_shows_its_age(tmp_path: Path):
    async def test() -> None:
        async with edge_location(tmp_path, lambda _: answer(b"hello", "Cache-Control: max-age=600", "Content-Type: text/plain"), time_scale=100.0) as edge:
            miss = await edge.ask()
            await asyncio.sleep(0.05)
            hit = await edge.ask(Cookie="a=1", Cache_Control="no-cache")
            assert (miss.x_cache, miss.status, miss.body, miss.headers.get("age")) == ("Miss", 200, b"hello", None)
            assert (hit.x_cache, hit.status, hit.body) == ("Hit", 200, b"hello")
            assert int(hit.headers["age"]) >= 4
            assert hit.headers["x-amz-cf-pop"] == "LHR50-C1" and hit.headers["via"].endswith(".cloudfront.net (CloudFront)")
            assert "server" not in hit.headers and hit.headers["x-amz-cf-id"] != miss.headers["x-amz-cf-id"]
            assert len(edge.origin.requests) == 1
            first, second = edge.events()
            assert (first["result"], second["result"]) == ("Miss", "Hit")
            assert first["cf_id"] == miss.headers["x-amz-cf-id"] == edge.origin.requests[0].headers["x-amz-cf-id"]
            assert first["origin_peer"] and first["origin_connect_ms"] and first["origin_wait_ms"] and "origin_peer" not in second

    run(test)


def test_hits_on_one_connection_follow_each_other_without_origin_or_delay(tmp_path: Path):
    async def test() -> None:
        async with edge_location(tmp_path) as edge:
            await edge.ask()
            reader, writer = await asyncio.open_connection("127.0.0.1", edge.config.http[0].port)
            request = f"GET /a HTTP/1.1\r\nHost: {SHOP}\r\n\r\n".encode()
            writer.write(request * 2 + request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            data = await asyncio.wait_for(reader.read(), 5)
            writer.close()
            assert data.count(b"X-Cache: Hit from cloudfront") == 3 and data.count(b"hello") == 3 and data.count(b"Connection: keep-alive") == 2

    run(test)


def test_a_hit_that_repeats_is_judged_anew_each_time(tmp_path: Path):
    """The remembered decision (`repeat`) must never outlive what it was made on: conditions, age, the connection, the configuration."""
    bodies = [b"0123456789", b"renewed"]

    async def test() -> None:
        async with edge_location(tmp_path, lambda _: answer(bodies.pop(0), 'ETag: "1"', "Cache-Control: max-age=60"), time_scale=200.0, methods=("GET", "HEAD")) as edge:
            assert [await edge_kept(edge) for _ in range(4)] == ["Miss", "Hit", "Hit", "Hit"]
            assert (await edge_kept(edge, b"Range: bytes=2-4"))[:3] == "206"
            assert (await edge_kept(edge, b'If-None-Match: "1"'))[:3] == "304"
            assert (await edge_kept(edge, b"Via: 1.1 a.cloudfront.net (CloudFront), 1.1 b.cloudfront.net (CloudFront)"))[:3] == "403"
            assert (await edge_kept(edge, b"X-Long: " + b"x" * 15000, b"X-Longer: " + b"x" * 15000))[:3] == "413"
            assert (await edge_kept(edge, b"Content-Length: 1", body=b"x"))[:3] == "403"
            await asyncio.sleep(0.35)
            assert [await edge_kept(edge) for _ in range(3)] == ["Miss", "Hit", "Hit"]
            only_https = replace(edge.config.distributions[0].behaviors[0], viewer_protocol_policy="https-only")
            assert edge.runtime.reload is not None
            await edge.runtime.reload(replace(edge.config, distributions=(replace(edge.config.distributions[0], behaviors=(only_https,)),)))
            assert (await edge_kept(edge))[:3] == "403"

    run(test)


async def edge_kept(edge: EdgeLocation, *fields: bytes, body: bytes = b"") -> str:
    """X-Cache of a 200 to a request that asks to keep its connection; of anything else, the status."""
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.config.http[0].port)
    writer.write(b"\r\n".join((b"GET /a HTTP/1.1", b"Host: " + SHOP.encode(), *fields, b"", b"")) + body)
    reply = parsed(await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5))
    writer.close()
    return reply.x_cache if reply.status == 200 else str(reply.status)


def test_a_post_passes_through_with_its_body_and_is_not_cached(tmp_path: Path):
    async def test() -> None:
        async with edge_location(tmp_path, lambda request: answer(request.method.encode() + request.body)) as edge:
            first = await edge.ask(method="POST", body=b"x" * 100_000, Content_Type="text/plain")
            await edge.ask(method="POST", body=b"y")
            got = await edge.ask()
            assert first.body == b"POST" + b"x" * 100_000 and first.x_cache == "Miss" and got.body == b"GET"
            assert [request.method for request in edge.origin.requests] == ["POST", "POST", "GET"]
            assert edge.origin.requests[0].headers["content-type"] == "text/plain"

    run(test)


@pytest.mark.parametrize(("min_ttl", "results"), [(0, ["Miss", "Miss"]), (1, ["Miss", "Hit"])])
def test_no_store_is_obeyed_under_min_ttl_0_and_overridden_under_min_ttl_1(tmp_path: Path, min_ttl: int, results: list[str]):
    async def test() -> None:
        async with edge_location(tmp_path, lambda _: answer(b"x", "Cache-Control: no-store"), cache_policy=policy(min_ttl)) as edge:
            assert [(await edge.ask()).x_cache for _ in results] == results

    run(test)


def test_twenty_concurrent_misses_make_one_request_to_the_origin(tmp_path: Path):
    async def script(_: Request) -> bytes:
        await asyncio.sleep(0.1)
        return answer(b"z" * 200_000)

    async def test() -> None:
        async with edge_location(tmp_path, script) as edge:
            answers = await asyncio.gather(*(edge.ask() for _ in range(20)))
            assert len(edge.origin.requests) == 1
            assert all(reply.body == b"z" * 200_000 for reply in answers)
            assert sorted(reply.x_cache for reply in answers) == ["Hit"] * 19 + ["Miss"]

    run(test)


def test_concurrent_misses_of_a_private_answer_each_reach_the_origin(tmp_path: Path):
    async def script(request: Request) -> bytes:
        await asyncio.sleep(0.05)
        return answer(request.headers["x-amz-cf-id"].encode(), "Cache-Control: private")

    async def test() -> None:
        async with edge_location(tmp_path, script) as edge:
            answers = await asyncio.gather(*(edge.ask() for _ in range(5)))
            assert len(edge.origin.requests) == 5 and len({reply.body for reply in answers}) == 5
            assert all(reply.body.decode() == reply.headers["x-amz-cf-id"] for reply in answers)

    run(test)


def test_the_first_bytes_reach_every_waiting_viewer_before_the_origin_is_done(tmp_path: Path):
    async def test() -> None:
        release = asyncio.Event()

        async def origin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
            await release.wait()
            writer.write(b"later")

        server = await asyncio.start_server(origin, "127.0.0.1", 0)
        async with edge_location(tmp_path, http_port=server.sockets[0].getsockname()[1]) as edge:
            for _ in range(2):  # the second joins an answer that is already streaming
                reader, writer = await asyncio.open_connection("127.0.0.1", edge.config.http[0].port)
                writer.write(f"GET /a HTTP/1.1\r\nHost: {SHOP}\r\nConnection: close\r\n\r\n".encode())
                assert (await asyncio.wait_for(reader.readuntil(b"first"), 5)).endswith(b"first")
            release.set()
            assert await reader.read() == b"later"
            assert (await edge.ask()).x_cache == "Hit"
        server.close()

    run(test)


def test_an_expired_copy_that_the_origin_finds_unchanged_is_a_refresh_hit(tmp_path: Path):
    def script(request: Request) -> bytes:
        if request.headers.get("if-none-match") == '"1"':
            return b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nCache-Control: max-age=60\r\n\r\n'
        return answer(b"v1", 'ETag: "1"', "Cache-Control: max-age=60")

    async def test() -> None:
        async with edge_location(tmp_path, script, time_scale=600.0) as edge:
            results = [(await edge.ask()).x_cache]
            await asyncio.sleep(0.12)
            refreshed = await edge.ask()
            results += [refreshed.x_cache, (await edge.ask()).x_cache]
            assert results == ["Miss", "RefreshHit", "Hit"] and refreshed.body == b"v1"

    run(test)


def test_no_cache_is_revalidated_on_every_request(tmp_path: Path):
    def script(request: Request) -> bytes:
        return b"HTTP/1.1 304 Not Modified\r\n\r\n" if "if-none-match" in request.headers else answer(b"v1", 'ETag: "1"', "Cache-Control: no-cache")

    async def test() -> None:
        async with edge_location(tmp_path, script) as edge:
            assert [(await edge.ask()).x_cache for _ in range(3)] == ["Miss", "RefreshHit", "RefreshHit"]

    run(test)


@pytest.mark.parametrize("failure", [answer(b"broken", status="503 Service Unavailable"), None])
def test_a_stale_copy_is_served_while_the_origin_fails(tmp_path: Path, failure: bytes | None):
    replies: list[bytes | None] = [answer(b"good", "Cache-Control: max-age=60")]

    async def test() -> None:
        async with edge_location(tmp_path, lambda _: replies.pop(0) if replies else failure, time_scale=600.0, connect_attempts=1) as edge:
            await edge.ask()
            await asyncio.sleep(0.12)
            stale = await edge.ask()
            assert (stale.status, stale.body, stale.x_cache) == (200, b"good", "Hit")

    run(test)


def test_stale_while_revalidate_answers_at_once_and_renews_behind_the_viewer(tmp_path: Path):
    bodies = [b"old", b"new"]

    async def test() -> None:
        async with edge_location(tmp_path, lambda _: answer(bodies.pop(0), "Cache-Control: max-age=60, stale-while-revalidate=6000"), time_scale=600.0) as edge:
            await edge.ask()
            await asyncio.sleep(0.12)
            at_once = await edge.ask()
            await asyncio.sleep(0.05)
            assert (at_once.body, (await edge.ask()).body) == (b"old", b"new")

    run(test)


def test_an_error_is_cached_for_ten_seconds(tmp_path: Path):
    async def test() -> None:
        async with edge_location(tmp_path, lambda _: answer(b"none", status="404 Not Found"), time_scale=50.0) as edge:
            assert [(await edge.ask()).x_cache, (await edge.ask()).x_cache] == ["Error", "Error"]
            assert len(edge.origin.requests) == 1
            await asyncio.sleep(0.22)
            await edge.ask()
            assert len(edge.origin.requests) == 2

    run(test)


def test_a_refused_connection_is_502_and_the_page_names_the_request(tmp_path: Path):
    async def test() -> None:
        async with edge_location(tmp_path, http_port=free_port()) as edge:
            refused = await edge.ask()
            assert (refused.status, refused.x_cache, refused.headers["server"]) == (502, "Error", "CloudFront")
            assert b"The request could not be satisfied" in refused.body and refused.headers["x-amz-cf-id"].encode() in refused.body

    run(test)


def test_an_origin_name_that_does_not_resolve_is_502(tmp_path: Path):
    async def test() -> None:
        async with edge_location(tmp_path, domain_name="nowhere.example.com") as edge:
            assert (await edge.ask()).status == 502

    run(test)


def test_a_reset_is_502_after_three_attempts_of_a_get_and_one_of_a_post(tmp_path: Path):
    async def test() -> None:
        async with edge_location(tmp_path, lambda _: None) as edge:
            assert (await edge.ask("/get")).status == (await edge.ask("/post", "POST", b"x")).status == 502
            assert [request.method for request in edge.origin.requests] == ["GET", "GET", "GET", "POST"]

    run(test)


def test_silence_is_504_after_the_scaled_response_timeout(tmp_path: Path):
    async def script(_: Request) -> bytes:
        await asyncio.sleep(5)
        return answer()

    async def test() -> None:
        async with edge_location(tmp_path, script, time_scale=300.0, connect_attempts=1) as edge:
            began = asyncio.get_running_loop().time()
            assert (await edge.ask()).status == 504
            assert 0.09 < asyncio.get_running_loop().time() - began < 1

    run(test)


@pytest.mark.parametrize(("certificate", "trusted", "status"), [("origin.example.com", True, 200), ("other.example.com", True, 502), ("origin.example.com", False, 502)])
def test_an_https_origin_must_show_a_trusted_certificate_for_its_own_name(tmp_path: Path, certificate: str, trusted: bool, status: int):
    async def test() -> None:
        async with edge_location(tmp_path, origin_certificate=certificate, trusted=trusted, connect_attempts=1) as edge:
            assert (await edge.ask()).status == status

    run(test)


def test_plain_http_is_redirected_to_https(tmp_path: Path):
    async def test() -> None:
        async with edge_location(tmp_path, viewer="redirect-to-https") as edge:
            redirected = await edge.ask("/a?b=1")
            assert (redirected.status, redirected.headers["location"], redirected.x_cache) == (301, "https://shop.example.com/a?b=1", "Redirect")
            assert (await edge.ask(method="POST", body=b"x")).status == 307
            assert (await edge.ask(tls=True)).status == 200

    run(test)


def test_a_method_that_is_not_allowed_and_a_host_that_nobody_has_are_403(tmp_path: Path):
    async def test() -> None:
        async with edge_location(tmp_path, methods=("GET", "HEAD")) as edge:
            assert (await edge.ask(method="DELETE")).status == 403
            assert (await edge.ask(host="stranger.example.com")).status == 403
            assert edge.origin.requests == []

    run(test)


def test_the_certificate_is_chosen_by_sni_and_an_unknown_name_ends_the_handshake(tmp_path: Path):
    async def test() -> None:
        async with edge_location(tmp_path) as edge:
            assert (await edge.ask(tls=True)).status == (await edge.ask(tls=True, host="d111.cloudfront.net")).status == 200
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await edge.ask(tls=True, host="stranger.example.com")

    run(test)


def test_connections_to_the_origin_are_reused(tmp_path: Path):
    async def test() -> None:
        async with edge_location(tmp_path, cache_policy=policy(0, 0, 0)) as edge:
            for _ in range(3):
                assert (await edge.ask()).x_cache == "Miss"
            assert (edge.origin.connections, len(edge.origin.requests)) == (1, 3)
            assert [event["origin_reused"] for event in edge.events()] == [False, True, True]

    run(test)


def test_a_cut_answer_breaks_off_and_is_not_cached(tmp_path: Path):
    async def test() -> None:
        async def origin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
            await writer.drain()
            await asyncio.sleep(0.05)
            writer.close()

        server = await asyncio.start_server(origin, "127.0.0.1", 0)
        async with edge_location(tmp_path, http_port=server.sockets[0].getsockname()[1]) as edge:
            for _ in range(2):
                reader, writer = await asyncio.open_connection("127.0.0.1", edge.config.http[0].port)
                writer.write(f"GET /a HTTP/1.1\r\nHost: {SHOP}\r\n\r\n".encode())
                head = await reader.readuntil(b"\r\n\r\n")
                assert b"X-Cache: Miss" in head
                with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                    await reader.readexactly(10)
                writer.close()
        server.close()

    run(test)


def test_an_object_too_large_to_keep_still_streams_whole(tmp_path: Path):
    body = os.urandom(1 << 20)

    async def test() -> None:
        async with edge_location(tmp_path, lambda _: answer(body), cache_bytes=1 << 20) as edge:
            first, second = await edge.ask(), await edge.ask()
            assert first.body == second.body == body and (first.x_cache, second.x_cache) == ("Miss", "Miss")

    run(test)


def test_a_chunked_answer_becomes_a_hit_with_its_length(tmp_path: Path):
    async def test() -> None:
        async with edge_location(tmp_path, lambda _: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n") as edge:
            miss, hit = await edge.ask(), await edge.ask()
            assert miss.body == hit.body == b"abcde" and hit.headers["content-length"] == "5"

    run(test)


def test_ranges_conditions_and_head_are_answered_from_the_cache(tmp_path: Path):
    async def test() -> None:
        async with edge_location(tmp_path, lambda _: answer(b"0123456789", 'ETag: "1"')) as edge:
            await edge.ask()
            part = await edge.ask(Range="bytes=2-4")
            assert (part.status, part.body, part.headers["content-range"], part.x_cache) == (206, b"234", "bytes 2-4/10", "Hit")
            past = await edge.ask(Range="bytes=10-")
            assert (past.status, past.headers["content-range"]) == (416, "bytes */10")
            unchanged = await edge.ask(If_None_Match='"1"')
            assert (unchanged.status, unchanged.body, unchanged.headers["etag"]) == (304, b"", '"1"')
            head = await edge.ask(method="HEAD")
            assert (head.status, head.body, head.headers["content-length"], head.x_cache) == (200, b"", "10", "Hit")
            assert len(edge.origin.requests) == 1

    run(test)


def test_a_head_that_misses_is_cached_for_heads_only(tmp_path: Path):
    async def test() -> None:
        async with edge_location(tmp_path, lambda request: b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + (b"" if request.method == "HEAD" else b"hello")) as edge:
            results = [await edge.ask(method="HEAD"), await edge.ask(method="HEAD"), await edge.ask()]
            assert [(reply.x_cache, reply.headers["content-length"]) for reply in results] == [("Miss", "5"), ("Hit", "5"), ("Miss", "5")]
            assert results[2].body == b"hello"

    run(test)


def test_a_viewer_who_leaves_does_not_take_the_answer_from_the_others(tmp_path: Path):
    async def script(_: Request) -> bytes:
        await asyncio.sleep(0.15)
        return answer(b"kept")

    async def test() -> None:
        async with edge_location(tmp_path, script) as edge:
            leader = asyncio.create_task(edge.ask())
            await asyncio.sleep(0.05)
            follower = asyncio.create_task(edge.ask())
            await asyncio.sleep(0.02)
            leader.cancel()
            assert (await follower).body == b"kept" and len(edge.origin.requests) == 1

    run(test)


def test_a_new_configuration_takes_over_without_a_restart_and_keeps_the_cache(tmp_path: Path):
    async def test() -> None:
        async with edge_location(tmp_path) as edge:
            await edge.ask()
            old = edge.config.distributions[0]
            new = replace(old, aliases=(*old.aliases, "*.shop.example.org"), behaviors=(replace(old.behaviors[0], allowed_methods=("GET", "HEAD")),))
            listen = Listen(address=LOOPBACK, port=free_port())
            edge.config = replace(edge.config, distributions=(new,), http=(listen,))
            assert edge.runtime.reload is not None
            await edge.runtime.reload(edge.config)
            assert (await edge.ask(host="www.shop.example.org")).x_cache == "Hit"
            assert (await edge.ask(method="POST", body=b"x")).status == 403

    run(test)


def test_what_is_no_http_gets_cloudfronts_bad_request_page(tmp_path: Path):
    async def test() -> None:
        async with edge_location(tmp_path) as edge:
            reader, writer = await asyncio.open_connection("127.0.0.1", edge.config.http[0].port)
            writer.write(b"NONSENSE\r\n\r\n")
            refused = parsed(await asyncio.wait_for(reader.read(), 5))
            writer.close()
            assert (refused.status, refused.headers["server"], refused.x_cache) == (400, "CloudFront", "Error")

    run(test)
