"""The web application over real HTTP, its rows in a real PostgreSQL server."""

import asyncio
import contextlib
import json
import os
import signal
import socket
from ipaddress import IPv4Address

import pytest
from aiohttp import ClientSession
from postgresql import cache, free_port, rds

from services.common.config import Listen
from services.common.events import EventLog
from services.common.runtime import Runtime, listening_socket
from services.instance import database
from services.instance.config import Config, Database
from services.instance.server import serve, trace_root

__all__ = ["cache", "rds"]

LOOPBACK = IPv4Address("127.0.0.1")
TRACE = "1-67891233-abcdef012345678912345678"


class Application:
    """`services.instance` served in this process, and a client's way to it."""

    def __init__(self, port, events_file, name="web-a"):
        listen = Listen(address=LOOPBACK, port=0)
        self._socket = listening_socket(listen)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.is_ready = asyncio.Event()
        self._events_file = events_file
        self._descriptor = os.open(events_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._runtime = Runtime(name=name, events=EventLog("instance", self._descriptor), sockets={listen: self._socket}, on_ready=self.is_ready.set)
        where = Database(host="127.0.0.1", port=port, name="shop", user="shop", password="correct-horse")
        self._config = Config(name=name, listen=listen, database=where, resolvers=(LOOPBACK,), availability_zone="eu-west-1a")

    async def __aenter__(self):
        self._serving = asyncio.create_task(serve(self._config, self._runtime))
        self._session = ClientSession()
        return self

    async def __aexit__(self, *_):
        self._serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._serving
        await self._session.close()
        self._runtime.events.flush_soon = None
        self._runtime.events.flush()
        os.close(self._descriptor)

    async def ask(self, method, path, body=None, **headers):
        async with self._session.request(method, self.url + path, data=body if body is None or isinstance(body, bytes) else json.dumps(body), headers=headers) as answer:
            text = await answer.text()
            return answer.status, answer.headers, json.loads(text) if answer.content_type == "application/json" and text else text

    def events(self):
        return [json.loads(line) for line in self._events_file.read_text().splitlines()]


@pytest.fixture
def shop(rds, tmp_path):
    """Runs one scenario against a ready application."""
    rds.start()

    def run(scenario):
        async def whole():
            async with Application(rds.port, tmp_path / "events") as application:
                await asyncio.wait_for(application.is_ready.wait(), 10)
                await scenario(application)
            return application.events()

        return asyncio.run(whole())

    return run


def test_the_catalogue_is_read_written_and_read_again(shop):
    async def scenario(application):
        status, headers, products = await application.ask("GET", "/products")
        assert (status, headers["Cache-Control"], headers["X-Served-By"]) == (200, "max-age=60", "web-a")
        assert {"id": 2, "name": "Teapot", "price_cents": 2450} in products

        status, headers, made = await application.ask("POST", "/products", {"name": "Mug ☕", "price_cents": 300})
        assert (status, headers["Location"], made) == (201, f"/products/{made['id']}", {"id": made["id"], "name": "Mug ☕", "price_cents": 300})
        where, first_tag = headers["Location"], headers["ETag"]
        status, headers, read = await application.ask("GET", where)
        assert (status, headers["ETag"], headers["Cache-Control"], read) == (200, first_tag, "max-age=60", made)
        assert (await application.ask("GET", where, **{"If-None-Match": first_tag}))[0] == 304

        status, headers, changed = await application.ask("PUT", where, {"name": "Mug", "price_cents": 350}, **{"If-Match": first_tag})
        assert (status, changed["price_cents"], headers["ETag"] != first_tag) == (200, 350, True)
        assert (await application.ask("PUT", where, {"name": "Mug", "price_cents": 1}, **{"If-Match": first_tag}))[0] == 412
        assert (await application.ask("DELETE", where, **{"If-Match": first_tag}))[0] == 412
        assert (await application.ask("GET", where, **{"If-None-Match": first_tag}))[2]["price_cents"] == 350

        assert (await application.ask("DELETE", where))[0] == 204
        for method, body in (("GET", None), ("PUT", {"name": "Mug", "price_cents": 1}), ("DELETE", None)):
            assert (await application.ask(method, where, body))[0] == 404

    shop(scenario)


def test_a_cart_is_private_and_adds_up(shop):
    async def scenario(application):
        for quantity in (1, 2):
            status, headers, cart = await application.ask("POST", "/cart/ann", {"product_id": 1, "quantity": quantity})
        assert (status, headers["Cache-Control"]) == (200, "private, no-store")
        assert cart == {"user": "ann", "items": [{"product_id": 1, "name": "Kettle", "price_cents": 3900, "quantity": 3}], "total_cents": 11700}
        assert (await application.ask("GET", "/cart/bob"))[2] == {"user": "bob", "items": [], "total_cents": 0}
        status, _, refusal = await application.ask("POST", "/cart/ann", {"product_id": 999})
        assert (status, refusal) == (400, {"error": "no product 999 - at `$.product_id`"})

    shop(scenario)


def test_the_home_page_says_who_answered_and_where(shop):
    async def scenario(application):
        status, headers, page = await application.ask("GET", "/")
        assert (status, headers["Content-Type"], headers["Cache-Control"]) == (200, "text/html; charset=utf-8", "no-store")
        assert "web-a" in page
        assert "eu-west-1a" in page

    shop(scenario)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/products", b"{", 400),
        ("PUT", "/products/1", b'{"name": 1, "price_cents": 1}', 400),
        ("GET", "/nowhere", None, 404),
        ("GET", "/products/x", None, 404),
        ("PATCH", "/products", None, 405),
        ("POST", "/products", b"x" * 100_000, 413),
    ],
)
def test_a_refusal_is_json_from_a_named_instance_and_is_never_cached(tmp_path, method, path, body, status):
    async def scenario():
        async with Application(free_port(), tmp_path / "events") as application:
            seen, headers, refusal = await application.ask(method, path, body)
            assert (seen, headers["X-Served-By"], headers["Cache-Control"]) == (status, "web-a", "no-store")
            assert refusal["error"]
        assert [event["status"] for event in application.events() if event["event"] == "app_request"] == [status]

    asyncio.run(scenario())


def test_each_request_is_told_with_its_ids_and_its_statements(shop):
    async def scenario(application):
        await application.ask("GET", "/products?page=1", **{"X-Amzn-Trace-Id": f"Self=1-2-3;Root={TRACE}", "X-Amz-Cf-Id": "edge-1"})

    (told,) = (event for event in shop(scenario) if event["event"] == "app_request")
    assert {key: told[key] for key in ("trace_id", "cf_id", "method", "uri", "status")} == {
        "trace_id": TRACE, "cf_id": "edge-1", "method": "GET", "uri": "/products?page=1", "status": 200,
    }
    (statement,) = told["sql"]
    assert statement["statement"].startswith("SELECT id, name")
    assert statement["rows"] == 5
    assert 0 < statement["duration_ms"] < told["duration_ms"]
    assert statement["local"] != statement["peer"]


@pytest.mark.parametrize(("header", "root"), [(f"Root={TRACE}", TRACE), (f"Self=1-a-b; Root={TRACE};Custom=1", TRACE), ("Self=1-a-b", ""), ("", "")])
def test_the_trace_id_is_the_headers_root(header, root):
    assert trace_root(header) == root


def test_two_instances_that_start_at_once_make_one_catalogue(rds, tmp_path):
    async def scenario():
        async with Application(rds.port, tmp_path / "a") as a, Application(rds.port, tmp_path / "b", name="web-b") as b:
            await asyncio.sleep(0.1)
            assert not a.is_ready.is_set()
            await asyncio.to_thread(rds.start)
            await asyncio.wait_for(asyncio.gather(a.is_ready.wait(), b.is_ready.wait()), 10)
            for application in (a, b):
                assert len((await application.ask("GET", "/products"))[2]) == 5

    asyncio.run(scenario())


def test_without_a_database_the_instance_is_healthy_and_says_when_to_come_back(tmp_path):
    async def scenario():
        async with Application(free_port(), tmp_path / "events") as application:
            assert (await application.ask("GET", "/health"))[0] == 200
            status, headers, refusal = await application.ask("GET", "/products")
            assert (status, headers["Retry-After"]) == (503, "2")
            assert "the database cannot be reached" in refusal["error"]
            assert not application.is_ready.is_set()

    asyncio.run(scenario())


def test_a_database_that_is_silent_costs_a_bounded_wait(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "REQUEST_TIMEOUT_S", 0.3)

    async def scenario():
        with socket.create_server(("127.0.0.1", 0)) as silent:
            async with Application(silent.getsockname()[1], tmp_path / "events") as application:
                answers = await asyncio.gather(*(application.ask("GET", "/products") for _ in range(8)))
                assert {status for status, _, _ in answers} == {503}

    asyncio.run(scenario())


def test_when_the_database_is_killed_and_comes_back_so_does_the_application(rds, tmp_path, monkeypatch):
    for name in ("REQUEST_TIMEOUT_S", "CONNECT_TIMEOUT_S", "STATEMENT_TIMEOUT_S"):
        monkeypatch.setattr(database, name, 30.0)  # a busy machine may take long to bring it back
    rds.start()

    async def scenario():
        async with Application(rds.port, tmp_path / "events") as application:
            await asyncio.wait_for(application.is_ready.wait(), 10)
            made = (await application.ask("POST", "/products", {"name": "Mug", "price_cents": 300}))[1]["Location"]
            await asyncio.to_thread(rds.end, signal.SIGKILL)
            assert (await application.ask("GET", made))[0] == 503
            await asyncio.to_thread(rds.start)
            assert (await application.ask("GET", made))[2]["name"] == "Mug"

    asyncio.run(scenario())
