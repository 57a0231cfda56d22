"""One end of a GRE tunnel: a raw socket for what is outside, a TUN device for what is inside.

    TUN ─▶ GRE header in front ─▶ raw socket, local_address ═▶ remote_address
    TUN ◀─ checked and taken out ◀─ raw socket, local_address ◀═ remote_address

The socket is bound to one outer address; what does not come from the other is another tunnel's. The kernel makes the outer header (TTL 64, may be cut: assumed) and puts fragments together.
Without a way to the other end packets are lost, and counted, until there is one. The device is the node's: dead, this process leaves it and its routes behind, and what they take is lost until another
one comes, as behind a router that is down.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections import Counter

from services.common.events import GRE_TUNNEL
from services.common.runtime import Runtime
from services.gre.config import Config
from services.gre.header import HEADER, PROTOCOL, Malformed, inner_packet
from services.gwlb.tun import attach

BURST = 64
LARGEST_BYTES = 65535
BUFFER_BYTES = 4 << 20
TELL_EVERY_S = 0.5
IP_MTU_DISCOVER, IP_PMTUDISC_DONT = 10, 0


async def serve(config: Config, runtime: Runtime) -> None:
    """Carry packets until cancelled. Raises OSError if the device or the socket cannot be had."""
    loop = asyncio.get_running_loop()
    counts: Counter[str] = Counter()
    tun = attach(config.tun)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, PROTOCOL) as outer:
            outer.setblocking(False)
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                outer.setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)
            outer.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT)
            outer.bind((str(config.local_address), 0))
            remote = str(config.remote_address)
            loop.add_reader(tun, lambda: _outward(tun, outer, remote, counts))
            loop.add_reader(outer, lambda: _inward(tun, outer, remote, counts))
            runtime.ready()
            try:
                await _tell(config, counts, runtime)
            finally:
                loop.remove_reader(outer)
                loop.remove_reader(tun)
    finally:
        os.close(tun)


def _outward(tun: int, outer: socket.socket, remote: str, counts: Counter[str]) -> None:
    for _ in range(BURST):
        try:
            packet = os.read(tun, LARGEST_BYTES)
        except BlockingIOError:
            return
        if packet[0] >> 4 != 4:
            counts["not IPv4"] += 1
            continue
        try:
            outer.sendmsg((HEADER, packet), (), 0, (remote, 0))
            counts["out"] += 1
        except OSError as error:  # no way to the other end, or no room: this packet is lost
            counts[f"lost: {error.strerror}"] += 1


def _inward(tun: int, outer: socket.socket, remote: str, counts: Counter[str]) -> None:
    for _ in range(BURST):
        try:
            datagram, (sender, _) = outer.recvfrom(LARGEST_BYTES)
        except BlockingIOError:
            return
        if sender != remote:  # another tunnel's to the same address
            continue
        try:
            os.write(tun, inner_packet(datagram))
            counts["in"] += 1
        except Malformed as error:
            counts[str(error)] += 1
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EIO, errno.ENOBUFS):
                raise
            counts[f"lost: {error.strerror}"] += 1


async def _tell(config: Config, counts: Counter[str], runtime: Runtime) -> None:
    told: Counter[str] = Counter()
    while True:
        await asyncio.sleep(TELL_EVERY_S)
        if counts != told:
            told = counts.copy()
            dropped = {why: count for why, count in sorted(counts.items()) if why not in ("in", "out")}
            runtime.events.emit(GRE_TUNNEL, tunnel=config.name, received=counts["in"], sent=counts["out"], dropped=dropped)
