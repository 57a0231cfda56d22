"""A proxy on this machine's loopback whose connections leave from a node of a lab: HTTP CONNECT, and plain HTTP by absolute URL.

    browser ── 127.0.0.1:random ── this process ── socket opened in NODE ── the lab

One direction only: nothing in the lab can open a connection to here. Names are resolved by the node's own resolver, never by this machine's.
Source: RFC 9110, section 9.3.6 (CONNECT); RFC 9112, section 3.2.2 (absolute-form).
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from collections.abc import AsyncIterator
from ipaddress import IPv4Address
from urllib.parse import urlsplit

from testbed.observe.lab_view import LabView

HEAD_LIMIT_BYTES = 65536
HEAD_TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 10.0
DNS_TIMEOUT_S = 2.0
DNS_ATTEMPTS = 3


class Unreachable(Exception):
    """The wanted host cannot be reached from the node; the message says why."""


class Proxy:
    """Serves one browser, from one node."""

    def __init__(self, lab: LabView, node: str) -> None:
        self._lab = lab
        self._node = node
        self._resolvers = lab.plan.node(node).name_servers

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Listen while the context is open; yields ``127.0.0.1:port``."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=HEAD_LIMIT_BYTES)
        host, port = server.sockets[0].getsockname()
        async with server:
            yield f"{host}:{port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(HEAD_TIMEOUT_S):
                head = await reader.readuntil(b"\r\n\r\n")
            await self._relay(head, reader, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # a browser that goes away tells nobody
        finally:
            writer.close()

    async def _relay(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line, _, rest = head.partition(b"\r\n")
        words = line.decode("latin-1").split(" ")
        if len(words) != 3:
            writer.write(_answer(400, "a request line has three words"))
            return
        method, target, version = words
        try:
            host, port, first = _wanted(method, target, version, rest)
            far_reader, far_writer = await self._connected(host, port)
        except Unreachable as error:
            writer.write(_answer(502, str(error)))
            await writer.drain()
            return
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            far_writer.write(first)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(reader, far_writer))
                group.create_task(_pump(far_reader, writer))
        except* OSError:
            pass
        finally:
            far_writer.close()

    async def _connected(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        address = await asyncio.to_thread(self._resolved, host)
        sock = await asyncio.to_thread(self._lab.socket, self._node, socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await asyncio.get_running_loop().sock_connect(sock, (str(address), port))
            return await asyncio.open_connection(sock=sock)
        except (OSError, TimeoutError) as error:
            sock.close()
            raise Unreachable(f"{self._node} cannot connect to {host} ({address}) port {port}: {error or 'no answer'}") from error

    def _resolved(self, host: str) -> IPv4Address:
        """The address of a name, asked of the node's resolvers in turn. Raises `Unreachable`."""
        with contextlib.suppress(ValueError):
            return IPv4Address(host)
        if not self._resolvers:
            raise Unreachable(f"{self._node} has no resolver, and {host} is a name")
        for attempt in range(DNS_ATTEMPTS):
            with contextlib.suppress(TimeoutError):
                return self._asked(host, str(self._resolvers[attempt % len(self._resolvers)]))
        raise Unreachable(f"the resolver of {self._node} does not answer")

    def _asked(self, host: str, resolver: str) -> IPv4Address:
        import dnslib

        query = dnslib.DNSRecord.question(host)
        query.header.id = secrets.randbelow(65536)
        with self._lab.socket(self._node, socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(DNS_TIMEOUT_S)
            sock.connect((resolver, 53))
            sock.send(query.pack())
            reply = dnslib.DNSRecord.parse(sock.recv(4096))
        addresses = [str(record.rdata) for record in reply.rr if record.rtype == dnslib.QTYPE.A]
        if reply.header.id != query.header.id or not addresses:
            raise Unreachable(f"{host} has no address in the lab ({dnslib.RCODE.get(reply.header.rcode)})")
        return IPv4Address(addresses[0])


def _wanted(method: str, target: str, version: str, headers: bytes) -> tuple[str, int, bytes]:
    """Host and port that are wanted, and the head to send there (empty for CONNECT). Raises `Unreachable`."""
    try:
        if method == "CONNECT":
            host, _, port = target.rpartition(":")
            return host.strip("[]"), int(port), b""
        parts = urlsplit(target)
        port_number = parts.port or 80
    except ValueError as error:
        raise Unreachable(f"{target} names no host and port") from error
    if parts.scheme != "http" or not parts.hostname:
        raise Unreachable(f"{target} is no absolute http URL")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    kept = [line for line in headers.split(b"\r\n") if line and not line.lower().startswith((b"proxy-", b"connection:"))]
    return parts.hostname, port_number, b"\r\n".join((f"{method} {path} {version}".encode("latin-1"), *kept, b"Connection: close", b"", b""))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()


def _answer(status: int, reason: str) -> bytes:
    body = f"testbed: {reason}\n".encode()
    return f"HTTP/1.1 {status} {'Bad Gateway' if status == 502 else 'Bad Request'}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body
