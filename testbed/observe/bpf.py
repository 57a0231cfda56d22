"""Capture filters in tcpdump's language, compiled to classic BPF by tcpdump itself and attached to a socket.

Source: pcap-filter(7); Linux, Documentation/networking/filter.rst.
"""

from __future__ import annotations

import ctypes
import socket
import struct
import subprocess

SO_ATTACH_FILTER = 26
INSTRUCTION = struct.Struct("=HBBI")


class FilterError(ValueError):
    """tcpdump does not take this filter; the message says why."""


def compile_filter(expression: str) -> bytes:
    """`expression` as an array of ``struct sock_filter`` for Ethernet frames. Raises `FilterError`."""
    try:
        done = subprocess.run(("tcpdump", "-y", "EN10MB", "-s", "262144", "-ddd", expression), capture_output=True, text=True, timeout=10, check=False)
    except FileNotFoundError as error:
        raise FilterError("a capture filter needs tcpdump, which is not installed (remedy: apt install tcpdump)") from error
    if done.returncode != 0:
        raise FilterError(f"not a capture filter: {expression!r}: {_reason(done.stderr)} (remedy: see man pcap-filter)")
    _, *lines = done.stdout.split("\n")
    return b"".join(INSTRUCTION.pack(*map(int, line.split())) for line in lines if line)


def attach(sock: socket.socket, program: bytes) -> None:
    """Let `sock` receive only what `program` accepts. Raises OSError."""
    buffer = ctypes.create_string_buffer(program, len(program))
    fprog = struct.pack("@HP", len(program) // INSTRUCTION.size, ctypes.addressof(buffer))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, fprog)


def _reason(stderr: str) -> str:
    lines = [line for line in stderr.strip().split("\n") if line]
    return lines[-1].removeprefix("tcpdump: ") if lines else "no reason given"
