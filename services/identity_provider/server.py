"""The stand-in identity provider over HTTPS: what Cognito, Okta or another company's login would be.

    GET  /authorize                             the login form, or at once the way back with a code (auto_login)
    POST /authorize                             the form: username, password; or deny=1, which sends the user back with access_denied
    POST /token  GET /userinfo  GET /jwks       for the client
    GET  /.well-known/openid-configuration

Every request is one IDENTITY_REQUEST event.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import html
import secrets
import ssl
import time
from collections.abc import Awaitable, Callable
from urllib.parse import unquote, urlencode

from aiohttp import web

from services.common.events import IDENTITY_REQUEST
from services.common.runtime import BACKLOG, Runtime
from services.identity_provider.config import Config
from services.identity_provider.provider import Asked, OAuthError, Provider

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Log in</title></head>
<body><h1>Log in to {client}</h1><p>{said}</p>
<form method="post"><label>Name <input name="username"></label> <label>Password <input name="password" type="password"></label>
<button>Log in</button> <button name="deny" value="1">No</button></form></body></html>
"""


async def serve(config: Config, runtime: Runtime) -> None:
    """Serve until cancelled."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(config.tls.certificate_file, config.tls.key_file)
    runner = web.AppRunner(_Endpoints(config, runtime).application(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.SockSite(runner, runtime.socket_for(config.listen), ssl_context=context, backlog=BACKLOG).start()
        runtime.ready()
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


class _Endpoints:
    def __init__(self, config: Config, runtime: Runtime) -> None:
        self._config = config
        self._runtime = runtime
        self._provider = Provider(config, time.time, lambda: secrets.token_urlsafe(24))

    def application(self) -> web.Application:
        application = web.Application(middlewares=[self._told])
        application.add_routes(
            [
                web.get("/.well-known/openid-configuration", self._discovery),
                web.get("/jwks", self._keys),
                web.get("/authorize", self._form),
                web.post("/authorize", self._log_in),
                web.post("/token", self._token),
                web.get("/userinfo", self._userinfo),
            ]
        )
        return application

    @web.middleware
    async def _told(self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> web.StreamResponse:
        try:
            response = await handler(request)
        except web.HTTPException as refusal:
            response = web.Response(status=refusal.status, text=refusal.text)
        peer = request.transport.get_extra_info("peername") if request.transport is not None else None
        self._runtime.events.emit(IDENTITY_REQUEST, method=request.method, path=request.path, status=response.status, peer=f"{peer[0]}:{peer[1]}" if peer else "")
        response.headers["Cache-Control"] = "no-store"
        return response

    async def _discovery(self, _: web.Request) -> web.StreamResponse:
        return web.json_response(self._provider.discovery())

    async def _keys(self, _: web.Request) -> web.StreamResponse:
        return web.json_response(self._provider.keys())

    async def _form(self, request: web.Request) -> web.StreamResponse:
        asked = self._asked(request)
        if request.query.get("response_type") != "code":
            return _back(asked, error="unsupported_response_type")
        user = self._provider.known(self._config.auto_login) if self._config.auto_login else None
        return _page(asked, 200) if user is None else _back(asked, code=self._provider.log_in(asked, user))

    async def _log_in(self, request: web.Request) -> web.StreamResponse:
        asked, form = self._asked(request), await request.post()
        if "deny" in form:
            return _back(asked, error="access_denied")
        user = self._provider.user(str(form.get("username", "")), str(form.get("password", "")))
        return _page(asked, 401, "That name and password do not go together.") if user is None else _back(asked, code=self._provider.log_in(asked, user))

    async def _token(self, request: web.Request) -> web.StreamResponse:
        form = {**_basic(request), **{name: str(value) for name, value in (await request.post()).items()}}
        try:
            return web.json_response(self._provider.redeem(form))
        except OAuthError as error:
            return web.json_response({"error": error.code}, status=401 if error.code == "invalid_client" else 400)

    async def _userinfo(self, request: web.Request) -> web.StreamResponse:
        try:
            return web.json_response(self._provider.claims(request.headers.get("Authorization", "").removeprefix("Bearer ")))
        except OAuthError as error:
            return web.json_response({"error": error.code}, status=401)

    def _asked(self, request: web.Request) -> Asked:
        try:
            return self._provider.begin(dict(request.query))
        except OAuthError as error:
            raise web.HTTPBadRequest(text=f"{error.code}\n") from error


def _page(asked: Asked, status: int, said: str = "") -> web.Response:
    return web.Response(status=status, text=_PAGE.format(client=html.escape(asked.client.client_id), said=html.escape(said)), content_type="text/html")


def _back(asked: Asked, **answer: str) -> web.Response:
    """The user goes back to the client."""
    joint = "&" if "?" in asked.redirect_uri else "?"
    return web.Response(status=302, headers={"Location": f"{asked.redirect_uri}{joint}{urlencode({**answer, 'state': asked.state})}"})


def _basic(request: web.Request) -> dict[str, str]:
    """The client's id and secret from HTTP Basic, where it sends them so (RFC 6749 section 2.3.1)."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return {}
    try:
        client_id, _, secret = base64.b64decode(value).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return {}
    return {"client_id": unquote(client_id), "client_secret": unquote(secret)}
