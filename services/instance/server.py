"""The web application on an instance: a product catalogue and carts over HTTP/1.1, its rows in PostgreSQL.

    GET /health          200 while this process serves; says nothing about the database
    GET /                which instance and Availability Zone answered
    GET, POST            /products           the catalogue; may be cached for 60 s
    GET, PUT, DELETE     /products/{id}      one product, with an ETag
    GET, POST            /cart/{user}        private, never cached

Without a database the catalogue and the carts are not there (404). Every answer has `X-Served-By`, every request one `APP_REQUEST` event with its statements. Errors are JSON, ``{"error": reason}``: 400 for a body that
is none of ours, 404, 412 for an If-Match that is past, 503 with Retry-After while the database cannot be reached.
"""

from __future__ import annotations

import asyncio
import html
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from services.common.events import APP_REQUEST
from services.common.runtime import BACKLOG, Runtime
from services.common.stub_resolver import StubResolver
from services.instance import catalogue
from services.instance.catalogue import BadRequest, NewCartItem, NewProduct
from services.instance.config import Config
from services.instance.database import Connections, DatabaseUnreachable, Executed
from services.instance.proxied import VPC_ENDPOINT, Proxied

log = logging.getLogger(__name__)

KEEPALIVE_TIMEOUT_S = 75.0
"""Longer than the balancer's idle timeout of 60 s, so that it is never we who close first (Application Load Balancers, "Edit load balancer attributes": documented)."""
SHUTDOWN_TIMEOUT_S = 1.0
LARGEST_BODY_BYTES = 64 * 1024
RETRY_AFTER_S = 2
CACHEABLE = "max-age=60"
NOT_CACHEABLE = "no-store"
PRIVATE = "private, no-store"

Action = Callable[[web.Request, list[Executed]], Awaitable[web.Response]]
"""One endpoint: the request, and where to note the statements it runs."""


async def serve(config: Config, runtime: Runtime) -> None:
    """Serve until cancelled. Ready once the port listens and the schema is there; until then /health answers and the rest says 503."""
    connections = None if config.database is None else Connections(config.database, StubResolver(config.resolvers), config.name)
    runner = web.AppRunner(
        Shop(config, runtime, connections).application(), access_log=None, keepalive_timeout=KEEPALIVE_TIMEOUT_S, shutdown_timeout=SHUTDOWN_TIMEOUT_S
    )
    await runner.setup()
    try:
        if config.proxy_protocol:
            application = runner.server
            assert application is not None  # set up above
            await asyncio.get_running_loop().create_server(lambda: Proxied(application), sock=runtime.socket_for(config.listen), backlog=BACKLOG)
        else:
            await web.SockSite(runner, runtime.socket_for(config.listen), backlog=BACKLOG).start()
        if connections is not None:
            await connections.wait_until_there()
        runtime.ready()
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
        if connections is not None:
            connections.close()


class Shop:
    """The endpoints. Holds no state of its own: all of it is in the database."""

    def __init__(self, config: Config, runtime: Runtime, connections: Connections | None) -> None:
        self._config = config
        self._runtime = runtime
        self._connections = connections

    def application(self) -> web.Application:
        """The aiohttp application that answers with these endpoints."""
        application = web.Application(middlewares=[self._unrouted], client_max_size=LARGEST_BODY_BYTES)
        product, cart = r"/products/{id:[0-9]{1,9}}", r"/cart/{user:[\w.@-]{1,64}}"
        application.add_routes(
            [
                web.get("/health", self._told(self.health)),
                web.get("/", self._told(self.home)),
                web.get("/products", self._told(self.list_products)),
                web.post("/products", self._told(self.create_product)),
                web.get(product, self._told(self.get_product)),
                web.put(product, self._told(self.replace_product)),
                web.delete(product, self._told(self.delete_product)),
                web.get(cart, self._told(self.get_cart)),
                web.post(cart, self._told(self.add_to_cart)),
            ]
        )
        return application

    async def health(self, request: web.Request, executed: list[Executed]) -> web.Response:
        return web.Response(text="ok\n", headers={"Cache-Control": NOT_CACHEABLE})

    async def home(self, request: web.Request, executed: list[Executed]) -> web.Response:
        name, zone = html.escape(self._config.name), html.escape(self._config.availability_zone or "no Availability Zone")
        page = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>The shop</title></head>
<body><h1>The shop</h1>
<p>You were served by <b>{name}</b> in <b>{zone}</b>.</p>
<p><a href="/products">The catalogue</a></p></body></html>
"""
        return web.Response(text=page, content_type="text/html", headers={"Cache-Control": NOT_CACHEABLE})

    async def list_products(self, request: web.Request, executed: list[Executed]) -> web.Response:
        rows = await self._execute(catalogue.LIST_PRODUCTS, executed=executed)
        return _json(200, [catalogue.product(row) for row in rows], {"Cache-Control": CACHEABLE})

    async def create_product(self, request: web.Request, executed: list[Executed]) -> web.Response:
        new = catalogue.parse(await request.read(), NewProduct)
        (row,) = await self._execute(catalogue.INSERT_PRODUCT, new.name, new.price_cents, executed=executed)
        return _json(201, catalogue.product(row), {"Location": f"/products/{row['id']}", "ETag": catalogue.etag(row), "Cache-Control": NOT_CACHEABLE})

    async def get_product(self, request: web.Request, executed: list[Executed]) -> web.Response:
        row = await self._row(request, executed)
        headers = {"ETag": catalogue.etag(row), "Cache-Control": CACHEABLE}
        if catalogue.matches(request.headers.get("If-None-Match"), catalogue.etag(row)):
            return web.Response(status=304, headers=headers)
        return _json(200, catalogue.product(row), headers)

    async def replace_product(self, request: web.Request, executed: list[Executed]) -> web.Response:
        new = catalogue.parse(await request.read(), NewProduct)
        versions = catalogue.versions(request.headers.get("If-Match"), _id(request))
        rows = await self._execute(catalogue.UPDATE_PRODUCT, _id(request), versions, new.name, new.price_cents, executed=executed)
        if not rows:
            return await self._untouched(request, executed)
        return _json(200, catalogue.product(rows[0]), {"ETag": catalogue.etag(rows[0]), "Cache-Control": NOT_CACHEABLE})

    async def delete_product(self, request: web.Request, executed: list[Executed]) -> web.Response:
        versions = catalogue.versions(request.headers.get("If-Match"), _id(request))
        rows = await self._execute(catalogue.DELETE_PRODUCT, _id(request), versions, executed=executed)
        return web.Response(status=204, headers={"Cache-Control": NOT_CACHEABLE}) if rows else await self._untouched(request, executed)

    async def get_cart(self, request: web.Request, executed: list[Executed]) -> web.Response:
        user = request.match_info["user"]
        rows = await self._execute(catalogue.GET_CART, user, executed=executed)
        return _json(200, catalogue.cart(user, rows), {"Cache-Control": PRIVATE})

    async def add_to_cart(self, request: web.Request, executed: list[Executed]) -> web.Response:
        item = catalogue.parse(await request.read(), NewCartItem)
        added = await self._execute(catalogue.ADD_TO_CART, request.match_info["user"], item.product_id, item.quantity, executed=executed)
        if not added:
            return _error(400, f"no product {item.product_id} - at `$.product_id`")
        return await self.get_cart(request, executed)

    async def _execute(self, statement: str, *arguments: object, executed: list[Executed]) -> list[Any]:
        if self._connections is None:
            raise Refused(404, "there is no catalogue here: this application has no database")
        return await self._connections.execute(statement, *arguments, executed=executed)

    async def _row(self, request: web.Request, executed: list[Executed]) -> Any:
        rows = await self._execute(catalogue.GET_PRODUCT, _id(request), executed=executed)
        if not rows:
            raise Refused(404, f"no product {_id(request)}")
        return rows[0]

    async def _untouched(self, request: web.Request, executed: list[Executed]) -> web.Response:
        """Why a write met no row: there is none, or not in a version that If-Match named."""
        await self._row(request, executed)
        raise Refused(412, f"product {_id(request)} has changed")

    def _told(self, action: Action) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """`action` as aiohttp wants it: failures become answers, and the request is told to the log."""

        async def handler(request: web.Request) -> web.StreamResponse:
            started, executed = time.perf_counter(), list[Executed]()
            response = await _answer(action, request, executed)
            response.headers["X-Served-By"] = self._config.name
            if self._config.proxy_protocol and request.transport is not None:
                address, port = request.transport.get_extra_info("peername")[:2]
                endpoint = request.transport.get_extra_info(VPC_ENDPOINT)
                response.headers["X-Proxy-Client"] = f"{address}:{port}" + (f" by {endpoint}" if endpoint else "")
            self._tell(request, response.status, (time.perf_counter() - started) * 1000, executed)
            return response

        return handler

    @web.middleware
    async def _unrouted(self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> web.StreamResponse:
        """What no endpoint takes (404, 405) is told like the rest."""
        if request.match_info.http_exception is None:
            return await handler(request)
        refusal = request.match_info.http_exception

        async def refuse(request: web.Request, executed: list[Executed]) -> web.Response:
            raise refusal

        return await self._told(refuse)(request)

    def _tell(self, request: web.Request, status: int, duration_ms: float, executed: list[Executed]) -> None:
        peer = request.transport.get_extra_info("peername") if request.transport is not None else None
        self._runtime.events.emit(
            APP_REQUEST,
            trace_id=trace_root(request.headers.get("X-Amzn-Trace-Id", "")),
            cf_id=request.headers.get("X-Amz-Cf-Id", ""),
            method=request.method,
            uri=request.raw_path,
            status=status,
            peer=f"{peer[0]}:{peer[1]}" if peer else "",
            duration_ms=round(duration_ms, 3),
            sql=executed,
        )


class Refused(Exception):
    """The request cannot be done as things are; `status` says which way."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def trace_root(header: str) -> str:
    """The Root of an ``X-Amzn-Trace-Id``, without its name; empty if there is none (Application Load Balancers, "Request tracing": documented)."""
    return next((field.strip()[len("Root=") :] for field in header.split(";") if field.strip().startswith("Root=")), "")


async def _answer(action: Action, request: web.Request, executed: list[Executed]) -> web.Response:
    try:
        return await action(request, executed)
    except BadRequest as error:
        return _error(400, str(error))
    except Refused as error:
        return _error(error.status, str(error))
    except DatabaseUnreachable as error:
        return _error(503, f"the database cannot be reached: {error}", {"Retry-After": str(RETRY_AFTER_S)})
    except web.HTTPException as error:  # aiohttp's own: no such path, no such method, a body too large
        return _error(error.status, error.reason, {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {})
    except Exception:  # the edge of the daemon: one request fails, the others go on
        log.exception("%s %s", request.method, request.raw_path)
        return _error(500, "internal error")


def _json(status: int, value: object, headers: dict[str, str]) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(value), content_type="application/json", headers=headers)


def _error(status: int, reason: str, headers: dict[str, str] | None = None) -> web.Response:
    return _json(status, {"error": reason}, {"Cache-Control": NOT_CACHEABLE, **(headers or {})})


def _id(request: web.Request) -> int:
    return int(request.match_info["id"])
