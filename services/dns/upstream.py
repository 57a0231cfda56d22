"""Ask another server one question: over UDP from a fresh socket, over TCP if the answer was truncated.

Every question has a port and an id of its own, both random; a reply counts only if it comes from the server asked, with that id and that question
(RFC 5452). An ICMP error ends the wait at once.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address

from services.dns.message import Response
from services.dns.recursion import Ask
from services.dns.wire import decode_response, encode_question

TCP_TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """How other servers are reached."""

    port: int = 53
    source: IPv4Address | None = None

    async def ask(self, question: Ask) -> tuple[Response | None, str]:
        """The server's response (None: nothing in time), and the transport that it came by."""
        id_ = secrets.randbelow(1 << 16)
        message = encode_question(id_, question.question, recursion_desired=question.rule is not None, subnet=question.subnet)
        response = await self._over_udp(question, id_, message)
        if response is None or not response.truncated:
            return response, "udp"
        return await self._over_tcp(question, id_, message), "tcp"

    def _port(self, question: Ask) -> int:
        return self.port if question.rule is None else question.rule.target_port

    async def _over_udp(self, question: Ask, id_: int, message: bytes) -> Response | None:
        loop = asyncio.get_running_loop()
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            if self.source is not None:
                sock.bind((str(self.source), 0))
            sock.connect((str(question.server), self._port(question)))  # the kernel drops what others send, and tells ICMP errors
            sock.send(message)
            async with asyncio.timeout(question.timeout_s):
                while True:
                    response = _matching(await loop.sock_recv(sock, 65535), question, id_)
                    if response is not None:
                        return response
        except OSError:  # a timeout, too
            return None
        finally:
            sock.close()

    async def _over_tcp(self, question: Ask, id_: int, message: bytes) -> Response | None:
        local = (str(self.source), 0) if self.source is not None else None
        try:
            async with asyncio.timeout(TCP_TIMEOUT_S):
                reader, writer = await asyncio.open_connection(str(question.server), self._port(question), local_addr=local)
                try:
                    writer.write(len(message).to_bytes(2) + message)
                    return _matching(await reader.readexactly(int.from_bytes(await reader.readexactly(2))), question, id_)
                finally:
                    writer.close()
        except (OSError, asyncio.IncompleteReadError):
            return None


def _matching(data: bytes, question: Ask, id_: int) -> Response | None:
    response = decode_response(data)
    asked = question.question
    if response is None or response.id != id_ or (response.question.name, response.question.type) != (asked.name, asked.type):
        return None
    return response
