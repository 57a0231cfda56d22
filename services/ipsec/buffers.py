"""Room for packets in charon's sockets: with userspace ESP all of a tunnel's traffic waits there, and the kernel's default is spent by a few dozen frames.

charon has no setting for it, so its sockets are borrowed (pidfd_getfd(2), Linux 5.6) and given larger buffers.
"""

from __future__ import annotations

import ctypes
import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

log = logging.getLogger(__name__)

SYS_PIDFD_GETFD = 438
"""The same number on every architecture."""
SO_RCVBUFFORCE = 33
RECEIVE_BUFFER_BYTES = 4 << 20


def enlarge(pid: int) -> int:
    """Give every UDP socket of a process a large receive buffer; how many there were. Where the kernel forbids it the sockets stay as they are, which is told in the log."""
    try:
        pidfd = os.pidfd_open(pid)
    except OSError as error:
        log.warning("process %s: %s", pid, error)
        return 0
    try:
        return sum(_enlarge(sock) for sock in _sockets(pid, pidfd))
    finally:
        os.close(pidfd)


def _sockets(pid: int, pidfd: int) -> Iterator[socket.socket]:
    libc = ctypes.CDLL(None, use_errno=True)
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        if not str(entry.readlink()).startswith("socket:"):
            continue
        descriptor = libc.syscall(SYS_PIDFD_GETFD, pidfd, int(entry.name), 0)
        if descriptor < 0:
            log.warning("charon's sockets keep their buffers: %s", os.strerror(ctypes.get_errno()))
            return
        with socket.socket(fileno=descriptor) as sock:
            if sock.family in (socket.AF_INET, socket.AF_INET6) and sock.type == socket.SOCK_DGRAM:
                yield sock


def _enlarge(sock: socket.socket) -> bool:
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)
    except PermissionError:  # without root: as much as the host's rmem_max allows
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
    return True
