"""A relayed connection: two transports, what comes in at one goes out at the other, and flow control between them.

    client ──▶ Side ──▶ Side ──▶ target        A side that ends ends the other: a FIN is passed on (half-close, where neither has TLS), a reset or an error becomes a reset.

What a client sends before its target is there waits: one read's worth. Whether a connection is idle is counted in segments received, so that TCP keepalives count, too, which the
kernel answers without telling: as on AWS, where a keepalive from either side resets the idle timeout.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import cast

from services.nlb_relay.config import FORGET_MARK

TCP_INFO_BYTES = 160
_SEGMENTS_IN = struct.Struct("=I")
_SEGMENTS_IN_OFFSET = 140
"""`tcpi_segs_in` in the kernel's ``struct tcp_info`` (linux/tcp.h; since Linux 4.2)."""
_RESET = struct.pack("ii", 1, 0)


class Side(asyncio.Protocol):
    """One end of a relayed connection. `other` is set once it is there."""

    def __init__(self, made: Callable[[Side], None], lost: Callable[[Side], None]) -> None:
        self._made = made
        self._lost = lost
        self.other: Side | None = None
        self.transport: asyncio.Transport
        self.is_open = False
        self._waiting: list[bytes] = []
        self._ended = False

    def join(self, other: Side) -> None:
        """Pass on to each other from now on, and what has waited first."""
        self.other, other.other = other, self
        for side in (self, other):
            side._pass_on_what_waited()

    @property
    def segments(self) -> int:
        """Segments received so far."""
        sock = self._socket()
        return 0 if sock is None else segments_received(sock)

    def reset(self) -> None:
        """End it by a RST, at once."""
        self._end(None)

    def forget(self) -> None:
        """End it without a word: what this socket still sends is dropped by its mark, and whoever sends to it is reset."""
        self._end(FORGET_MARK)

    def _end(self, mark: int | None) -> None:
        if not self.is_open:
            return
        sock = self._socket()
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            if mark is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
        self.transport.abort()

    def _socket(self) -> socket.socket | None:
        """The connection's socket, for its options; None once it is being closed, when its number may be another's."""
        return None if not self.is_open or self.transport.is_closing() else cast("socket.socket | None", self.transport.get_extra_info("socket"))

    def _pass_on_what_waited(self) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting:
            self.transport.resume_reading()
            self.data_received(b"".join(waiting))
        if self._ended and not self.eof_received():
            self.transport.close()

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.is_open = True
        self._made(self)

    def data_received(self, data: bytes) -> None:
        if self.other is not None:
            self.other.transport.write(data)
            return
        self._waiting.append(data)
        if len(self._waiting) == 1:
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        """Whether this side stays open for writing."""
        other = self.other
        if other is None:
            self._ended = self.transport.can_write_eof()
            return self._ended
        if not other.is_open:
            return False
        if other.transport.can_write_eof() and self.transport.can_write_eof():
            other.transport.write_eof()
            return True
        return False

    def pause_writing(self) -> None:
        if self.other is not None and self.other.is_open:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.is_open:
            self.other.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self.is_open = False
        if self.other is not None:
            if error is None:
                if self.other.is_open:
                    self.other.transport.close()
            else:
                self.other.reset()
        self._lost(self)


def segments_received(sock: socket.socket) -> int:
    """How many TCP segments a connection has received, those without data too."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_BYTES)
    return int(_SEGMENTS_IN.unpack_from(info, _SEGMENTS_IN_OFFSET)[0])
