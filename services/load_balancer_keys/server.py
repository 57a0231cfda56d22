"""``GET /KID``: the public key, PEM, by which an application checks x-amzn-oidc-data. 404 for ids that nobody has."""

from __future__ import annotations

import asyncio
import ssl

from aiohttp import web

from services.alb.user_claims import Signer
from services.common.runtime import BACKLOG, Runtime
from services.load_balancer_keys.config import Config


async def serve(config: Config, runtime: Runtime) -> None:
    """Serve until cancelled."""
    signers = (Signer(bytes.fromhex(key), "") for key in config.cookie_keys)
    published = {signer.key_id: signer.public_pem for signer in signers}

    async def key(request: web.Request) -> web.Response:
        pem = published.get(request.match_info["key_id"])
        return web.Response(status=404) if pem is None else web.Response(body=pem, content_type="text/plain")

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(config.tls.certificate_file, config.tls.key_file)
    application = web.Application()
    application.add_routes([web.get("/{key_id}", key)])
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.SockSite(runner, runtime.socket_for(config.listen), ssl_context=context, backlog=BACKLOG).start()
        runtime.ready()
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
