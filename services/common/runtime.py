"""What every daemon gets from its surroundings: its sockets, its log, its clock, and a way to say that it is ready.

Two surroundings make a `Runtime`: `services.common.main` when a daemon runs alone, and the lab's zygote, which forks it into a node.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from services.common.config import Listen, Transport
from services.common.events import FLUSH_AFTER_S, READY, EventLog

BACKLOG = 4096


def listening_socket(listen: Listen) -> socket.socket:
    """A bound, non-blocking socket for `listen` in the calling thread's network namespace; TCP listens already. Raises OSError."""
    kind = socket.SOCK_STREAM if listen.transport is Transport.TCP else socket.SOCK_DGRAM
    sock = socket.socket(socket.AF_INET, kind)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((str(listen.address), listen.port))
    sock.setblocking(False)
    if kind == socket.SOCK_STREAM:
        sock.listen(BACKLOG)
    return sock


@dataclass(slots=True, kw_only=True)
class Runtime:
    """A daemon's surroundings. `sockets` were opened beforehand (in other namespaces, too); `socket_for` opens what is missing."""

    name: str
    events: EventLog
    time_scale: float = 1.0
    sockets: dict[Listen, socket.socket] = field(default_factory=dict)
    on_ready: Callable[[], None] = lambda: None
    prepared: Any = None
    """What the daemon's `prepare` returned, called before any event loop runs (to fork)."""
    reload: Callable[[Any], Awaitable[None]] | None = None
    """Set by a daemon that can take a new configuration without a restart; called with the new, decoded `Config`."""

    def socket_for(self, listen: Listen) -> socket.socket:
        """The socket of `listen`; the caller owns it."""
        return self.sockets.pop(listen, None) or listening_socket(listen)

    def scaled(self, seconds: float) -> float:
        """An AWS timer of so many seconds, as long as it takes in this lab."""
        return seconds / self.time_scale

    def ready(self) -> None:
        """Say, once, that requests are answered from now on."""
        loop = asyncio.get_running_loop()
        self.events.flush_soon = lambda flush: loop.call_later(FLUSH_AFTER_S, flush)
        self.events.emit(READY)
        self.on_ready()
