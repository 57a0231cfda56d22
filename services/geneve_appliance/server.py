"""The appliance's sockets: UDP 6081 in, a raw socket out (its answers carry the balancer's own source port), and a health check's listener."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter

from services.common.events import INSPECTED
from services.common.runtime import Runtime
from services.geneve_appliance.config import Config
from services.geneve_appliance.inspection import outer, verdict
from services.gwlb.geneve import PORT

BURST = 64
RECEIVE_BYTES = 9216
TELL_EVERY_S = 0.5
_HEALTHY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


async def serve(config: Config, runtime: Runtime) -> None:
    """Inspect until cancelled; `runtime.reload` takes other signatures and another port. Raises OSError if a socket cannot be opened."""
    loop = asyncio.get_running_loop()
    signatures = tuple(signature.encode() for signature in config.signatures)
    counts: Counter[str] = Counter()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as heard, socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as out:
        for each in (heard, out):
            each.setblocking(False)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        heard.bind((str(config.address), PORT))

        def inspect() -> None:
            for _ in range(BURST):
                try:
                    datagram, (balancer, port) = heard.recvfrom(RECEIVE_BYTES)
                except BlockingIOError:
                    return
                refused = verdict(datagram, signatures)
                counts[refused or "passed"] += 1
                if refused is None:
                    try:
                        out.sendmsg((outer(len(datagram), config.address, balancer, port), datagram), (), 0, (balancer, 0))
                    except OSError as error:  # no way back, or no room: this packet is lost
                        counts[f"lost: {error.strerror}"] += 1

        server, server_port = await asyncio.start_server(_answer, str(config.address), config.health_check_port), config.health_check_port

        async def reload(new: Config) -> None:
            nonlocal signatures, server, server_port
            signatures = tuple(signature.encode() for signature in new.signatures)
            if new.health_check_port != server_port:
                server.close()
                server, server_port = await asyncio.start_server(_answer, str(new.address), new.health_check_port), new.health_check_port

        runtime.reload = reload
        loop.add_reader(heard, inspect)
        runtime.ready()
        try:
            await _tell(counts, runtime)
        finally:
            loop.remove_reader(heard)
            server.close()


async def _tell(counts: Counter[str], runtime: Runtime) -> None:
    told: Counter[str] = Counter()
    while True:
        await asyncio.sleep(TELL_EVERY_S)
        if counts != told:
            told = counts.copy()
            runtime.events.emit(INSPECTED, **{"passed": counts["passed"], "dropped": {why: count for why, count in sorted(counts.items()) if why != "passed"}})


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        async with asyncio.timeout(5.0):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(_HEALTHY)
            await writer.drain()
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, TimeoutError):
        return  # a TCP health check connects and leaves
    finally:
        writer.close()
