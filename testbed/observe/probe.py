"""One real probe from a node: a TCP connection, a UDP datagram or an echo request, sent by a socket opened there. What came of it, as its sender knows."""

from __future__ import annotations

import enum
import errno
import os
import select
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.observe.lab_view import LabView

ECHO_REQUEST, ECHO_REPLY, UNREACHABLE = 8, 0, 3
LOOK_EVERY_MS = 20


class Protocol(enum.StrEnum):
    """What can be sent."""

    TCP = "tcp"
    UDP = "udp"
    ICMP = "icmp"


class Answer(enum.StrEnum):
    """What the sender heard."""

    ANSWERED = "answered"
    """TCP connected, UDP replied, echo came back."""
    REFUSED = "refused"
    """The far host itself said no (a reset, port unreachable): packets pass both ways."""
    UNREACHABLE = "unreachable"
    """A router said no, or the sender has no route."""
    SILENT = "silent"
    """Nothing came back in time: as AWS drops."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A probe and its answer. `source_port` is the local port (for ICMP the identifier); `rtt_ms` None without an answer."""

    source: IPv4Address
    destination: IPv4Address
    protocol: Protocol
    source_port: int
    destination_port: int
    answer: Answer
    rtt_ms: float | None = None

    @property
    def passed(self) -> bool:
        """Whether packets pass both ways: the far host answered, even if by refusing."""
        return self.answer in (Answer.ANSWERED, Answer.REFUSED)


class Ready:
    """A probe with its socket open and its source port known, not yet sent, so that a trace can be set for just this one."""

    def __init__(self, lab: LabView, node: str, destination: IPv4Address, protocol: Protocol, port: int = 0) -> None:
        self._destination = destination
        self._protocol = protocol
        self._port = port
        kinds = {Protocol.TCP: (socket.SOCK_STREAM, 0), Protocol.UDP: (socket.SOCK_DGRAM, 0), Protocol.ICMP: (socket.SOCK_RAW, socket.IPPROTO_ICMP)}
        self._socket = lab.socket(node, socket.AF_INET, *kinds[protocol])
        self._socket.setblocking(False)
        self._identifier = struct.unpack("!H", os.urandom(2))[0]
        self._payload = b"testbed probe " + os.urandom(5).hex().encode()
        if protocol is not Protocol.ICMP:
            self._socket.bind(("0.0.0.0", 0))

    @property
    def source_port(self) -> int:
        """The local port, for ICMP the identifier."""
        return self._identifier if self._protocol is Protocol.ICMP else int(self._socket.getsockname()[1])

    def send(self, timeout_s: float, hopeless: Callable[[], bool] = lambda: False) -> Sent:
        """Send it, wait for the answer, close the socket. `hopeless` is asked every few milliseconds whether to wait no longer."""
        self._hopeless = hopeless
        port = self.source_port
        began = time.monotonic()
        with self._socket as sock:
            try:
                if self._protocol is Protocol.ICMP:
                    sock.connect((str(self._destination), 0))
                    answer = self._echo(sock, began + timeout_s)
                elif self._protocol is Protocol.UDP:
                    sock.connect((str(self._destination), self._port))
                    answer = self._datagram(sock, timeout_s)
                else:
                    answer = self._connection(sock, timeout_s)
            except OSError as error:
                answer = _answer_of(error.errno)
            source = _own_address(sock)
        heard = answer in (Answer.ANSWERED, Answer.REFUSED)
        return Sent(
            source=source, destination=self._destination, protocol=self._protocol, source_port=port, destination_port=self._port, answer=answer,
            rtt_ms=(time.monotonic() - began) * 1000 if heard else None,
        )

    def close(self) -> None:
        """Give up a probe that was not sent."""
        self._socket.close()

    def _connection(self, sock: socket.socket, timeout_s: float) -> Answer:
        code = sock.connect_ex((str(self._destination), self._port))
        if code == errno.EINPROGRESS:
            if not self._wait(sock, select.POLLOUT, timeout_s):
                return Answer.SILENT
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        return _answer_of(code)

    def _datagram(self, sock: socket.socket, timeout_s: float) -> Answer:
        sock.send(self._payload)
        if not self._wait(sock, select.POLLIN, timeout_s):
            return Answer.SILENT
        sock.recv(65535)
        return Answer.ANSWERED

    def _echo(self, sock: socket.socket, deadline: float) -> Answer:
        sock.send(_echo_request(self._identifier, self._payload))
        while (left_s := deadline - time.monotonic()) > 0 and self._wait(sock, select.POLLIN, left_s):
            packet = sock.recv(65535)
            message = packet[(packet[0] & 0xF) * 4 :]
            if len(message) >= 8 and message[0] == ECHO_REPLY and struct.unpack_from("!H", message, 4)[0] == self._identifier:
                return Answer.ANSWERED
            if len(message) >= 36 and message[0] == UNREACHABLE and struct.unpack_from("!H", message, 8 + 20 + 4)[0] == self._identifier:
                return Answer.UNREACHABLE
        return Answer.SILENT


    def _wait(self, sock: socket.socket, event: int, timeout_s: float) -> bool:
        poll = select.poll()
        poll.register(sock, event)
        deadline = time.monotonic() + timeout_s
        while (left_s := deadline - time.monotonic()) > 0:
            if poll.poll(min(left_s * 1000, LOOK_EVERY_MS)):
                return True
            if self._hopeless():
                return False
        return False


def _answer_of(code: int | None) -> Answer:
    if code == 0:
        return Answer.ANSWERED
    if code == errno.ECONNREFUSED:
        return Answer.REFUSED
    if code in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EACCES, errno.EPERM):
        return Answer.UNREACHABLE
    return Answer.SILENT


def _own_address(sock: socket.socket) -> IPv4Address:
    return IPv4Address(sock.getsockname()[0])


def _echo_request(identifier: int, payload: bytes) -> bytes:
    """`payload` has an even number of bytes."""
    body = struct.pack("!HH", identifier, 1) + payload
    words = struct.unpack(f"!{len(body) // 2}H", body)
    total = (ECHO_REQUEST << 8) + sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!BBH", ECHO_REQUEST, 0, ~total & 0xFFFF) + body
