"""TUN devices of endpoints, attached from the balancer's node: the endpoint's namespace is entered for a moment, and found by its name in the lab's `/run/netns`."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NETNS = Path("/run/netns")
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
CLONE_NEWNET = 0x40000000
ATTACH_TIMEOUT_S = 5.0
"""How long a successor waits for the kernel to notice its predecessor's end."""
_libc = ctypes.CDLL(None, use_errno=True)


def attach(tun: str, namespace: str | None = None) -> int:
    """A non-blocking descriptor of the TUN device `tun` of a namespace, made if it is not there. Raises OSError, EBUSY if another process keeps it."""
    give_up_at = time.monotonic() + ATTACH_TIMEOUT_S
    while True:
        try:
            with _inside(namespace):  # the device remembers the namespace it was opened in
                descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", tun.encode(), IFF_TUN | IFF_NO_PI))
            except OSError:
                os.close(descriptor)
                raise
            return descriptor
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > give_up_at:
                raise
        time.sleep(0.002)


@contextmanager
def _inside(namespace: str | None) -> Iterator[None]:
    if namespace is None:
        yield
        return
    home, there = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC), os.open(NETNS / namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _enter(there)
        try:
            yield
        finally:
            _enter(home)
    finally:
        os.close(home)
        os.close(there)


def _enter(namespace: int) -> None:
    if _libc.setns(namespace, CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")
