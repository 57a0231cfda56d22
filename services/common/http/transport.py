"""What a transport says of a client's connection: addresses, TLS, the name asked for; and which protocol to speak on it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

_SERVER_NAME = "testbed_server_name"
HTTP_2, HTTP_1_1 = "h2", "http/1.1"


def endpoint(name: tuple[str, int] | None) -> str:
    """``address:port`` of a socket's name; empty for none."""
    return f"{name[0]}:{name[1]}" if name else ""


def note_server_name(tls: ssl.SSLObject | ssl.SSLSocket, name: str | None) -> None:
    """For SNI callbacks: keep the name with the TLS connection, since OpenSSL tells it only then."""
    setattr(tls, _SERVER_NAME, name)


def server_name_of(transport: asyncio.BaseTransport) -> str | None:
    """The name noted for a connection."""
    return getattr(transport.get_extra_info("ssl_object"), _SERVER_NAME, None)


def tls_of(transport: asyncio.BaseTransport) -> tuple[bytes, bytes] | None:
    """The TLS version and cipher suite of a connection, by OpenSSL's names; None without TLS."""
    secure = transport.get_extra_info("ssl_object")
    return None if secure is None else (secure.version().encode(), secure.cipher()[0].encode())


def client_certificate_of(transport: asyncio.BaseTransport) -> bytes | None:
    """The client's verified certificate (DER), where one was asked for."""
    secure = transport.get_extra_info("ssl_object")
    certificate: bytes | None = None if secure is None else secure.getpeercert(binary_form=True)
    return certificate


class ByNegotiation(asyncio.Protocol):
    """A new TLS connection: hands over to what `make` makes for HTTP/2 (True) or HTTP/1.1, once ALPN has decided."""

    def __init__(self, make: Callable[[bool], asyncio.Protocol]) -> None:
        self._make = make

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        secure = transport.get_extra_info("ssl_object")
        protocol = self._make(secure is not None and secure.selected_alpn_protocol() == HTTP_2)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
