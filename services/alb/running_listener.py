"""A listener in force: who accepts its connections, and those that are open."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from services.alb.balancer import ListenerApplication
from services.alb.config import ListenerConfig
from services.alb.crew import Crew
from services.common.http import Http2Connection, ServerConnection
from services.common.server_certificates import ServerCertificates

ACCEPTED_AT_ONCE = 64


@dataclass(slots=True)
class RunningListener:
    """A listener in force and its connections."""

    config: ListenerConfig
    application: ListenerApplication
    certificates: ServerCertificates | None
    server: asyncio.Server | Acceptor | None = None
    protocol: Callable[[], asyncio.Protocol] = asyncio.Protocol
    connections: set[ServerConnection | Http2Connection] = field(default_factory=set)

    def stop(self) -> None:
        """Take no more connections; those that are idle end now, others after their response."""
        if self.server is not None:
            self.server.close()
        for connection in tuple(self.connections):
            connection.drain()


async def serve_connection(listener: RunningListener, sock: socket.socket) -> None:
    """Serve a connection that was accepted elsewhere."""
    context = None if listener.certificates is None else listener.certificates.context
    with suppress(OSError, ssl.SSLError):  # a handshake that fails concerns the client alone
        await asyncio.get_running_loop().connect_accepted_socket(listener.protocol, sock, ssl=context)


class Acceptor:
    """Accepts for a node of several processes."""

    def __init__(self, sock: socket.socket, listener: RunningListener, crew: Crew, tasks: asyncio.TaskGroup) -> None:
        self._sock, self._listener, self._crew, self._tasks = sock, listener, crew, tasks
        asyncio.get_running_loop().add_reader(sock, self._accept)

    def close(self) -> None:
        """Accept no more."""
        asyncio.get_running_loop().remove_reader(self._sock)
        self._sock.close()

    def _accept(self) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                connection, _ = self._sock.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:
                continue
            connection.setblocking(False)
            if self._crew.hand_over(self._listener.config.id, connection):
                connection.close()
            else:
                self._tasks.create_task(serve_connection(self._listener, connection))
