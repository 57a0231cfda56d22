"""What the scenarios of the VPC send and hear with: raw packets, and servers that only listen."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def send_raw(lab: Any, node: str, packet: Any) -> None:
    """Send a whole IP packet of scapy's from a node, with its header as it is; one that is too long for the interface is the caller's to cut."""
    with lab[node].socket(kind=socket.SOCK_RAW, protocol=socket.IPPROTO_RAW) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.sendto(bytes(packet), (str(packet.dst), 0))


@contextmanager
def listening(lab: Any, node: str, port: int) -> Iterator[socket.socket]:
    """A TCP server on a node: the kernel accepts, nobody answers."""
    with lab[node].socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("0.0.0.0", port))
        listener.listen(1024)
        listener.settimeout(2)
        yield listener


@contextmanager
def udp_sink(lab: Any, node: str, port: int) -> Iterator[socket.socket]:
    """A UDP socket on a node."""
    with lab[node].socket(kind=socket.SOCK_DGRAM) as sink:
        sink.bind(("0.0.0.0", port))
        sink.settimeout(2)
        yield sink
