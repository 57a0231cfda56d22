"""The time daemon's sockets. It tells the machine's own clock, which no `time_scale` touches."""

from __future__ import annotations

import asyncio
import socket
import time

from services.common.runtime import Runtime
from services.ntp.answer import answer
from services.ntp.config import Config

BURST = 64
RECEIVE_BYTES = 1024


async def serve(config: Config, runtime: Runtime) -> None:
    """Answer until cancelled. Raises OSError if a socket cannot be opened. A change of listeners needs a restart."""
    loop = asyncio.get_running_loop()
    sockets = [runtime.socket_for(listen) for listen in config.listen]
    try:
        for sock in sockets:
            loop.add_reader(sock, _drain, sock)
        runtime.ready()
        await asyncio.Event().wait()
    finally:
        for sock in sockets:
            loop.remove_reader(sock)
            sock.close()


def _drain(sock: socket.socket) -> None:
    for _ in range(BURST):
        try:
            request, peer = sock.recvfrom(RECEIVE_BYTES)
            received_s = time.time()
            reply = answer(request, received_s, time.time())
            if reply is not None:
                sock.sendto(reply, peer)
        except OSError:  # nothing more, or no way back
            return
