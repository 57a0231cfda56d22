"""The web server on an instance: ``GET`` of anything is 200 with its name, ``/health`` always 200, what is beyond its capacity 503. Every request is one APP_REQUEST event."""

from __future__ import annotations

import asyncio
import time

from aiohttp import web

from services.common.events import APP_REQUEST
from services.common.runtime import BACKLOG, Runtime
from services.web_server.capacity import Capacity
from services.web_server.config import Config

HEALTH = "/health"
SHUTDOWN_TIMEOUT_S = 1.0


async def serve(config: Config, runtime: Runtime) -> None:
    """Serve until cancelled."""
    capacity = Capacity(config.requests_per_second, time.monotonic())

    async def answer(request: web.Request) -> web.Response:
        status = 200 if request.path == HEALTH or capacity.take(time.monotonic()) else 503
        peer = request.transport.get_extra_info("peername") if request.transport is not None else None
        trace_id, cf_id = request.headers.get("X-Amzn-Trace-Id", ""), request.headers.get("X-Amz-Cf-Id", "")
        told = {"trace_id": trace_id, "cf_id": cf_id, "method": request.method, "uri": request.raw_path, "peer": f"{peer[0]}:{peer[1]}" if peer else ""}
        runtime.events.emit(APP_REQUEST, **told, status=status, duration_ms=0.0, sql=[])
        page = f"{config.name} served you\n" if status == 200 else f"{config.name} can do no more than {config.requests_per_second:g} requests a second\n"
        return web.Response(status=status, text=page, headers={"X-Served-By": config.name, "Cache-Control": "no-store"})

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=SHUTDOWN_TIMEOUT_S)
    await runner.setup()
    try:
        await web.SockSite(runner, runtime.socket_for(config.listen), backlog=BACKLOG).start()
        runtime.ready()
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
