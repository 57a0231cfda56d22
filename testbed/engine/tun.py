"""TUN devices of the plan: made once, in a node, and persistent, so that routes lead to them whether or not a daemon has attached.

Without a daemon the device stays up and loses what it is given: what shall pass a daemon does not pass around it when that is dead.
"""

from __future__ import annotations

import fcntl
import os
import struct

from testbed.engine.errors import RealiseError
from testbed.engine.syscalls import network_namespace

TUN_DEVICE = "/dev/net/tun"
TUNSETIFF, TUNSETPERSIST = 0x400454CA, 0x400454CB
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000


def create_tun(netns_fd: int, name: str) -> None:
    """Make the persistent TUN device `name`, down, in the network namespace behind `netns_fd`. Raises RealiseError without the kernel's TUN, OSError if it refuses."""
    with network_namespace(netns_fd):  # the device remembers the namespace it was opened in
        try:
            descriptor = os.open(TUN_DEVICE, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise RealiseError(f"no {TUN_DEVICE}, which Gateway Load Balancer endpoints and Connect peers need", "load the kernel module: `modprobe tun`") from error
    try:
        fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
        fcntl.ioctl(descriptor, TUNSETPERSIST, 1)
    except OSError as error:
        raise OSError(error.errno, f"TUN {name}: {error.strerror}") from error
    finally:
        os.close(descriptor)
