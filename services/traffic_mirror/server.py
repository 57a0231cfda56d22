"""Traffic mirroring of one VPC: an AF_PACKET socket at each source's fabric end, and copies sent from the fabric.

A fabric end hears what the interface sends before anything has judged it, and what it receives after everything has (that AWS copies outbound packets whatever its
filters say is assumed). Production traffic goes first by itself: the kernel forwards, this process only hears of it, and where it cannot keep up the kernel drops copies.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Callable

from services.common.runtime import Runtime
from services.traffic_mirror.config import Config, Source
from services.traffic_mirror.vxlan import chosen, copy, seen

log = logging.getLogger(__name__)
ETH_P_ALL = 3
OUTGOING = 4
FRAMES_PER_WAKE = 64
LARGEST_FRAME = 65550
SOL_PACKET, PACKET_IGNORE_OUTGOING = 263, 23


async def serve(config: Config, runtime: Runtime) -> None:
    """Copy until cancelled."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as out:
        out.setblocking(False)
        opened = []
        try:
            for source in config.sources:
                heard = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
                opened.append(heard)
                heard.setblocking(False)
                heard.bind((source.device, ETH_P_ALL))
                loop.add_reader(heard, _reader(heard, out, source, config.mtu_bytes))
            runtime.ready()
            await asyncio.Event().wait()
        finally:
            for heard in opened:
                loop.remove_reader(heard)
                heard.close()


def _reader(heard: socket.socket, out: socket.socket, source: Source, mtu_bytes: int) -> Callable[[], None]:
    def read() -> None:
        for _ in range(FRAMES_PER_WAKE):
            try:
                frame, address = heard.recvfrom(LARGEST_FRAME)
            except OSError:  # no more, or the interface is going
                return
            packet = seen(frame)
            if packet is None:
                continue
            session = chosen(source.sessions, packet, inbound=address[2] == OUTGOING)
            if session is None:
                continue
            datagram = copy(frame, packet, session, mtu_bytes)
            header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(datagram), 0, 0x4000, 64, socket.IPPROTO_UDP, 0, source.address.packed, session.target.packed)
            try:
                out.sendto(header + datagram, (str(session.target), 0))
            except OSError as error:  # a refusal by the target's groups is EPERM: the copy is lost, nothing else
                log.debug("%s: a copy was lost: %s", session.id, error)

    return read
