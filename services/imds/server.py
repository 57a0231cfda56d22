"""The metadata daemon's sockets: one listener in each VPC's fabric. Who asks is known by the listener and the source address, which no instance can forge.

A token's packets go only so many hops; the next request on the same connection proves that they arrived, and ends that.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import time
from ipaddress import IPv4Address

from services.common.events import METADATA_REQUEST
from services.common.http import Exchange, Headers, ServerConnection, ServerSettings
from services.common.runtime import BACKLOG, Runtime
from services.imds.answer import Answer, answer
from services.imds.config import Config, Instance, Network
from services.imds.token import Tokens

USUAL_TTL = 64
KEY_BYTES = 32
SERVER = b"EC2ws"


async def serve(config: Config, runtime: Runtime) -> None:
    """Answer until cancelled. Raises OSError if a socket cannot be opened. A change of listeners needs a restart, a change of instances a reload."""
    loop = asyncio.get_running_loop()
    tokens = Tokens(secrets.token_bytes(KEY_BYTES))
    applications = {network.listen: Metadata(network, tokens, runtime) for network in config.networks}
    servers = []
    try:
        for listen, application in applications.items():
            servers.append(await loop.create_server(application.connection, sock=runtime.socket_for(listen), backlog=BACKLOG))

        async def reload(new: Config) -> None:
            for network in new.networks:
                if network.listen in applications:
                    applications[network.listen].know(network)

        runtime.reload = reload
        runtime.ready()
        await asyncio.Event().wait()
    finally:
        for server in servers:
            server.close()


class Metadata:
    """One VPC's metadata."""

    def __init__(self, network: Network, tokens: Tokens, runtime: Runtime) -> None:
        self._tokens = tokens
        self._runtime = runtime
        self._settings = ServerSettings()
        self._instances: dict[str, Instance] = {}
        self.know(network)

    def know(self, network: Network) -> None:
        """Answer for these instances from now on."""
        self._instances = {str(address): instance for instance in network.instances for address in _addresses(instance)}

    def connection(self) -> ServerConnection:
        return ServerConnection(self, self._settings)

    def handle(self, exchange: Exchange) -> None:
        """Answer a request at once; a body, if it has one, is not looked at."""
        head, asker = exchange.head, exchange.connection.peer_address.decode()
        instance = self._instances.get(asker)
        now_s = time.monotonic() * self._runtime.time_scale
        method, path = head.method.decode("latin-1"), head.target.decode("latin-1")
        said = answer(instance, method, path, head.fields, self._tokens, now_s)
        _set_ttl(exchange.connection, USUAL_TTL if said.hops is None else said.hops)
        exchange.respond(said.status, _headers(said), said.body.encode())
        name = None if instance is None else instance.id
        self._runtime.events.emit(METADATA_REQUEST, instance=name, method=method, uri=path, status=said.status, peer=exchange.peer, hops=said.hops)

    def refuse(self, connection: ServerConnection, status: int, reason: str) -> tuple[Headers, bytes]:
        """What cannot be parsed gets its status and no text."""
        return [(b"Server", SERVER)], b""


def _addresses(instance: Instance) -> tuple[IPv4Address, ...]:
    return tuple(address for interface in instance.interfaces for address in interface.addresses)


def _headers(said: Answer) -> Headers:
    headers = [(b"Content-Type", said.content_type.encode()), (b"Server", SERVER)]
    if said.token_left_s is not None:
        headers.append((b"X-Aws-Ec2-Metadata-Token-Ttl-Seconds", b"%d" % said.token_left_s))
    return headers


def _set_ttl(connection: ServerConnection, hops: int) -> None:
    """How far this connection's packets go from now on."""
    with socket.socket(fileno=os.dup(connection.transport.get_extra_info("socket").fileno())) as sock:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, hops)
