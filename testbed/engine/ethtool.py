"""What a network card's driver is asked: to send whole frames, and whether its link is up. Source: ethtool(7), linux/ethtool.h.

**Whole frames.** Linux hands large segments with unfinished checksums from one namespace to the next. A program that reads frames from a packet socket and writes them to another,
as Suricata does inline, would send them on as they are: too long, and wrong. So the end that sends to it does the work of a card that is not there.

**A link that is up.** A device that gets its carrier drops what it is given until a worker of the kernel has noticed (linkwatch), on a busy machine tens of milliseconds later:
the first packet after a start or a change would be lost, with nobody to say why. Whoever asks for the link's state has the work done at once.
"""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from testbed.engine.nodes import LabNode

SIOCETHTOOL = 0x8946
ETHTOOL_GLINK = 0x0A
ETHTOOL_STXCSUM, ETHTOOL_STSO, ETHTOOL_SGSO, ETHTOOL_SGRO = 0x17, 0x1F, 0x24, 0x2C


def send_whole_frames(node: LabNode, device: str) -> None:
    """Have `device` leave no checksum and no segment to others. Raises OSError if the kernel refuses."""
    with node.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for command in (ETHTOOL_STXCSUM, ETHTOOL_STSO, ETHTOOL_SGSO):
            _command(asking, device, command)


def join_segments(node: LabNode, device: str) -> None:
    """Have `device` join segments that arrive one by one (`coalescing`). Raises OSError if the kernel refuses."""
    with node.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        _command(asking, device, ETHTOOL_SGRO, 1)


def settle(node: LabNode, devices: Iterable[str]) -> None:
    """Return when each of the devices sends what it is given, if it has a carrier. Raises OSError if one is not there."""
    with node.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for device in devices:
            _command(asking, device, ETHTOOL_GLINK)


def _command(asking: socket.socket, device: str, command: int, data: int = 0) -> None:
    value = ctypes.create_string_buffer(struct.pack("II", command, data))
    fcntl.ioctl(asking, SIOCETHTOOL, struct.pack("16sP", device.encode(), ctypes.addressof(value)))
