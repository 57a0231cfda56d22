"""A ping by hand: whether the far end of a tunnel has it in use, too."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import time
from ipaddress import IPv4Address

ECHO_REQUEST, ECHO_REPLY = 8, 0
EVERY_S = 0.02


async def until_answered(source: IPv4Address, destination: IPv4Address, patience_s: float) -> bool:
    """Ping until an answer comes or patience ends; whether one came. Raises OSError if there is no way to ask."""
    identifier, loop = os.getpid() & 0xFFFF, asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        raw.setblocking(False)
        raw.bind((str(source), 0))
        raw.connect((str(destination), 0))
        give_up_at = time.monotonic() + patience_s
        while time.monotonic() < give_up_at:
            raw.send(request(identifier))
            try:
                async with asyncio.timeout(EVERY_S):
                    while not answers(await loop.sock_recv(raw, 1500), identifier):
                        continue
            except TimeoutError:
                continue
            return True
    return False


def request(identifier: int) -> bytes:
    """An echo request without data (RFC 792), its checksum right."""
    words = (ECHO_REQUEST << 8, identifier, 1)
    total = sum(words)
    checksum = ~(total + (total >> 16)) & 0xFFFF
    return struct.pack("!BBHHH", ECHO_REQUEST, 0, checksum, identifier, 1)


def answers(packet: bytes, identifier: int) -> bool:
    """Whether a packet, IP header and all, is an echo reply with this identifier."""
    header = (packet[0] & 0xF) * 4
    return len(packet) >= header + 8 and packet[header] == ECHO_REPLY and struct.unpack_from("!H", packet, header + 4)[0] == identifier
