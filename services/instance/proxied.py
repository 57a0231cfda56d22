"""A server behind a PROXY header: the first bytes of each connection say whose it is, and only then does the application get the connection, with that client as its peer.

What does not begin with a header, or has a malformed one, is reset and seen by nobody; a connection without a header's end within `PATIENCE_S` as well. With LOCAL (a balancer's health
check) the peer stays the one that connected. Source: "The PROXY protocol" (HAProxy, section 2.2: a receiver must not guess whether a header is there).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from services.common.proxy_protocol import Header, Malformed, parse

PATIENCE_S = 5.0
VPC_ENDPOINT = "vpc_endpoint"
"""The name of a transport's extra information: the endpoint by which its client came, None without one."""


class Proxied(asyncio.Protocol):
    """One connection, until its header is read; then what `make` makes has it."""

    def __init__(self, make: Callable[[], asyncio.Protocol]) -> None:
        self._make = make
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._patience = asyncio.get_running_loop().call_later(PATIENCE_S, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        self._data += data
        try:
            found = parse(self._data)
        except Malformed:
            self._transport.abort()
            return
        if found is None:
            return
        self._patience.cancel()
        header, length = found
        protocol = self._make()
        self._transport.set_protocol(protocol)
        protocol.connection_made(cast(asyncio.Transport, _Named(self._transport, header)))
        if rest := self._data[length:]:
            protocol.data_received(rest)

    def connection_lost(self, _: Exception | None) -> None:
        self._patience.cancel()


class _Named:
    """A transport whose peer is the header's."""

    def __init__(self, transport: asyncio.Transport, header: Header) -> None:
        self._transport = transport
        self._header = header

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        source = self._header.source
        if name == "peername" and source is not None:
            return (str(source.address), source.port)
        return self._header.vpc_endpoint if name == VPC_ENDPOINT else self._transport.get_extra_info(name, default)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
