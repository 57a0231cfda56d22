"""The loopback proxy of `testbed open`: what a browser asks of it, and what it sends on."""

import asyncio
import socket
from ipaddress import IPv4Address

import dnslib
import pytest

from testbed.cli.proxy import Proxy
from testbed.plan import Node, NodeKind, Plan


class HostLab:
    """A lab whose only node is this host's loopback; a datagram socket connects to `resolver_port` whatever port is wanted."""

    plan = Plan(name="host", nodes=(Node(name="client", kind=NodeKind.USER, name_servers=(IPv4Address("127.0.0.1"),)),))

    def __init__(self) -> None:
        self.resolver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.resolver.bind(("127.0.0.1", 0))

    def socket(self, node: str, family: int, kind: int, protocol: int = 0) -> socket.socket:
        if kind == socket.SOCK_STREAM:
            return socket.socket(family, kind, protocol)
        return Redirected(self.resolver.getsockname())


class Redirected(socket.socket):
    def __init__(self, address) -> None:
        super().__init__(socket.AF_INET, socket.SOCK_DGRAM)
        self._address = address

    def connect(self, address) -> None:
        super().connect(self._address)


async def exchange(lab: HostLab, text: bytes) -> bytes:
    async with Proxy(lab, "client").listening() as address:
        host, port = address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(text)
        if not text.startswith(b"CONNECT"):
            writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), 5)
        writer.close()
        return answer


async def echoing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"heard: " + await reader.readuntil(b"\r\n\r\n"))
    await writer.drain()
    writer.close()


@pytest.fixture
def lab():
    lab = HostLab()
    yield lab
    lab.resolver.close()


def with_server(lab: HostLab, text: bytes) -> bytes:
    async def both() -> bytes:
        server = await asyncio.start_server(echoing, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            return await exchange(lab, text.replace(b"PORT", str(port).encode()))

    return asyncio.run(both())


def test_connect_opens_a_tunnel(lab):
    answer = with_server(lab, b"CONNECT 127.0.0.1:PORT HTTP/1.1\r\nHost: x\r\n\r\nthrough the tunnel\r\n\r\n")
    assert answer == b"HTTP/1.1 200 Connection established\r\n\r\nheard: through the tunnel\r\n\r\n"


def test_a_plain_request_is_sent_on_without_what_was_for_the_proxy(lab):
    answer = with_server(lab, b"GET http://127.0.0.1:PORT/a?b=c HTTP/1.1\r\nHost: shop\r\nProxy-Connection: keep-alive\r\n\r\n")
    assert answer == b"heard: GET /a?b=c HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n"


def test_names_are_asked_of_the_nodes_resolver(lab):
    def answer_once() -> None:
        query, asker = lab.resolver.recvfrom(512)
        reply = dnslib.DNSRecord.parse(query).reply()
        reply.add_answer(dnslib.RR("shop.example.com", rdata=dnslib.A("127.0.0.1"), ttl=60))
        lab.resolver.sendto(reply.pack(), asker)

    async def both() -> bytes:
        answering = asyncio.get_running_loop().run_in_executor(None, answer_once)
        server = await asyncio.start_server(echoing, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            heard = await exchange(lab, f"GET http://shop.example.com:{port}/ HTTP/1.1\r\nHost: shop.example.com\r\n\r\n".encode())
        await answering
        return heard

    assert asyncio.run(both()).startswith(b"heard: GET / HTTP/1.1\r\nHost: shop.example.com")


def test_a_port_that_nobody_listens_on_is_told_to_the_browser(lab):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        answer = asyncio.run(exchange(lab, f"GET http://127.0.0.1:{port}/ HTTP/1.1\r\n\r\n".encode()))
    assert answer.startswith(b"HTTP/1.1 502 ") and b"client cannot connect to 127.0.0.1" in answer


def test_what_is_no_request_is_refused(lab):
    assert asyncio.run(exchange(lab, b"hello\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
    assert asyncio.run(exchange(lab, b"GET /relative HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 502 ")
