"""Questions that leave through an outbound endpoint: one socket for each of its addresses, opened in the endpoint's own network.

Answers are told apart by id, server and question. NOT MODELLED: questions over TCP, so a truncated answer counts as none; the endpoint's limit of queries per second.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from ipaddress import IPv4Address

from services.dns.message import Response
from services.dns.recursion import Ask
from services.dns.wire import TCP_BYTES, decode_response, encode_question

_Key = tuple[str, int, int]


class OutboundSocket:
    """One address of an endpoint, on the wire."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._waiting: dict[_Key, tuple[Ask, asyncio.Future[Response]]] = {}
        asyncio.get_running_loop().add_reader(sock, self._readable)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    async def ask(self, question: Ask, port: int) -> Response | None:
        """The server's response; None if nothing comes in time."""
        key = self._free(question.server, port)
        waiting: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._waiting[key] = (question, waiting)
        try:
            self._socket.sendto(encode_question(key[2], question.question, recursion_desired=True), (str(question.server), port))
            async with asyncio.timeout(question.timeout_s):
                return await waiting
        except OSError:  # a timeout, too
            return None
        finally:
            del self._waiting[key]

    def _free(self, server: IPv4Address, port: int) -> _Key:
        while True:
            key = (str(server), port, secrets.randbelow(1 << 16))
            if key not in self._waiting:
                return key

    def _readable(self) -> None:
        while True:
            try:
                data, peer = self._socket.recvfrom(TCP_BYTES)
            except BlockingIOError:
                return
            except OSError:  # an ICMP error of some question; its time will run out
                continue
            response = decode_response(data)
            if response is None or response.truncated:
                continue
            question, waiting = self._waiting.get((peer[0], peer[1], response.id), (None, None))
            if question is None or waiting is None or waiting.done():
                continue
            asked = question.question
            if (response.question.name, response.question.type) == (asked.name, asked.type):
                waiting.set_result(response)
