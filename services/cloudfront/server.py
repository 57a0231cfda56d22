"""The edge location's daemon: listeners, certificates by SNI, and a new configuration without a restart.

A TLS handshake for a name which no distribution has, or without a name, is refused (`unrecognized_name`, assumed); over plain HTTP such a request gets 403.
NOT MODELLED: HTTP/2 and HTTP/3, the default ``*.cloudfront.net`` certificate for unknown names, a dedicated address for viewers without SNI,
and 421 for a Host that belongs to another distribution than the handshake's name.

Source: CloudFront developer guide, "Serving HTTPS requests: SNI or dedicated IP", "Supported protocols and ciphers" (documented).
"""

from __future__ import annotations

import asyncio
import ssl

from services.cloudfront.config import Config, Distribution
from services.cloudfront.edge import Edge, EdgeListener
from services.cloudfront.origins import Origins, Resolver
from services.common.config import Listen
from services.common.http import ServerConnection, ServerSettings
from services.common.runtime import Runtime
from services.common.stub_resolver import StubResolver

VIEWER_IDLE_TIMEOUT_S = 60.0
"""Assumed: AWS publishes no figure for idle viewer connections."""


async def serve(config: Config, runtime: Runtime, resolver: Resolver | None = None) -> None:
    """Answer viewers until cancelled. `resolver` replaces the one that asks the configuration's `resolvers`."""
    async with asyncio.TaskGroup() as tasks:
        daemon = Daemon(config, runtime, tasks, resolver)
        await daemon.listen(config)
        runtime.reload = daemon.reload
        runtime.ready()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            daemon.close()


class Daemon:
    """The listeners around one `Edge`."""

    def __init__(self, config: Config, runtime: Runtime, tasks: asyncio.TaskGroup, resolver: Resolver | None) -> None:
        self._runtime = runtime
        self._tasks = tasks
        self._resolver = resolver
        self._edge = Edge(config, runtime, tasks, self._resolver_for(config))
        self._certificates = Certificates(config.distributions)
        self._servers: dict[tuple[Listen, bool], asyncio.Server] = {}
        self._settings = ServerSettings(idle_timeout_s=runtime.scaled(VIEWER_IDLE_TIMEOUT_S))

    async def listen(self, config: Config) -> None:
        """Open the listeners that are missing and close those that are no longer wanted. Raises OSError."""
        wanted = {(listen, secure) for secure, listens in ((False, config.http), (True, config.https)) for listen in listens}
        for gone in self._servers.keys() - wanted:
            self._servers.pop(gone).close()
        loop = asyncio.get_running_loop()
        for listen, secure in sorted(wanted - self._servers.keys(), key=lambda pair: (pair[0].address, pair[0].port)):
            application = EdgeListener(self._edge, secure=secure)
            self._servers[listen, secure] = await loop.create_server(
                lambda application=application: ServerConnection(application, self._settings),
                sock=self._runtime.socket_for(listen),
                ssl=self._certificates.listener_context() if secure else None,
            )

    async def reload(self, config: Config) -> None:
        """Serve by `config` from now on. The cache stays, and so do viewers' connections and requests in progress."""
        self._certificates.replace(config.distributions)
        self._edge.configure(config, Origins(self._runtime, self._tasks, self._resolver_for(config), config.trust_file))
        await self.listen(config)

    def close(self) -> None:
        """Accept no more; let the origins' connections go."""
        for server in self._servers.values():
            server.close()
        self._edge.origins.close()

    def _resolver_for(self, config: Config) -> Resolver:
        return self._resolver or StubResolver(config.resolvers, clock=lambda: self._edge.now_s())


class Certificates:
    """TLS contexts by host name, chosen by SNI in the middle of a handshake."""

    def __init__(self, distributions: tuple[Distribution, ...]) -> None:
        self._contexts: dict[str, ssl.SSLContext] = {}
        self.replace(distributions)

    def replace(self, distributions: tuple[Distribution, ...]) -> None:
        """Use the certificates of `distributions` for handshakes from now on. Raises OSError or ssl.SSLError."""
        contexts: dict[str, ssl.SSLContext] = {}
        for distribution in distributions:
            context = server_context()
            context.load_cert_chain(distribution.tls.certificate_file, distribution.tls.key_file)
            for name in (distribution.domain_name, *distribution.aliases):
                contexts[name.lower()] = context
        self._contexts = contexts

    def listener_context(self) -> ssl.SSLContext:
        """A context that has no certificate of its own: every handshake chooses one, or fails."""
        context = server_context()
        context.sni_callback = self._choose
        return context

    def _choose(self, handshake: ssl.SSLSocket | ssl.SSLObject, server_name: str | None, context: ssl.SSLContext) -> int | None:
        name = (server_name or "").lower()
        chosen = self._contexts.get(name) or self._contexts.get("*." + name.partition(".")[2])
        if chosen is None:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        handshake.context = chosen
        return None


def server_context() -> ssl.SSLContext:
    """As the security policy TLSv1.2_2021 has it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context
