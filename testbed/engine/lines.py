"""What lab and client say to each other: a JSON object a line, descriptors beside it."""

from __future__ import annotations

import os
import socket
from typing import Any

import msgspec


def send_line(connection: socket.socket, message: dict[str, Any], descriptors: list[int]) -> None:
    """One JSON line, with descriptors; those are closed here afterwards."""
    data = msgspec.json.encode(message) + b"\n"
    try:
        sent = socket.send_fds(connection, [data], descriptors) if descriptors else connection.send(data)
        connection.sendall(data[sent:])
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def receive_line(connection: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """One JSON line and the descriptors that came with it; None at the end of the stream."""
    data, descriptors = bytearray(), []
    while not data.endswith(b"\n"):
        part, came, _, _ = socket.recv_fds(connection, 1 << 18, 16)
        descriptors += came
        if not part:
            return None
        data += part
    return msgspec.json.decode(bytes(data)), descriptors
