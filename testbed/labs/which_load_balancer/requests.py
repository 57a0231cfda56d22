"""Requests in "Which load balancer?": sent for real, and caught by the server to which they come."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.labs.checking import CheckedLab

HTTP, APPLICATION = 80, 8080
SERVERS = ("web", "images")
PATIENCE_S = 1.5
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
HEALTH_CHECKER = b"ELB-HealthChecker"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """A request where it came to: no `server` where it came to none. `source` is whose address the server saw."""

    server: str = ""
    source: str = ""
    head: str = ""

    def field(self, name: str) -> str:
        """The value of a header field, empty if there is none."""
        lines = (line.partition(":") for line in self.head.splitlines())
        return next((value.strip() for key, _, value in lines if key.lower() == name.lower()), "")


def request(lab: CheckedLab, address: IPv4Address, path: str) -> Arrived:
    """Have client ask for a path, and whichever server gets the request answer."""
    with ExitStack() as stack:
        listeners = {name: stack.enter_context(lab[name].socket()) for name in SERVERS}
        for listener in listeners.values():
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("0.0.0.0", APPLICATION))
            listener.listen()
            listener.settimeout(0.02)
        client = stack.enter_context(lab["client"].socket())
        client.settimeout(PATIENCE_S)
        try:
            client.connect((str(address), HTTP))
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: shop.example.com\r\nConnection: close\r\n\r\n".encode())
        except OSError:
            return Arrived()
        for _ in range(round(PATIENCE_S / 0.02 / len(SERVERS))):
            for name, listener in listeners.items():
                if (arrived := _taken(name, listener)) is not None:
                    return arrived
        return Arrived()


def _taken(name: str, listener: socket.socket) -> Arrived | None:
    """The request that waits here, answered; None if none does, or only a health check."""
    try:
        connection, (source, _) = listener.accept()
    except OSError:
        return None
    with connection:
        connection.settimeout(PATIENCE_S)
        head = b""
        try:
            while b"\r\n\r\n" not in head and (data := connection.recv(65536)):
                head += data
            connection.sendall(ANSWER)
        except OSError:
            return None
    return None if not head or HEALTH_CHECKER in head else Arrived(server=name, source=str(source), head=head.decode("latin-1"))
