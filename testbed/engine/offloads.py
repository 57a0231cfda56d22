"""Frames as they would be on a wire: an end of a veth pair that leaves no checksum and no segment to a network card that is not there.

Linux hands large segments with unfinished checksums from one namespace to the next. A program that reads frames from a packet socket and writes them to another, as Suricata does
inline, would send them on as they are: too long, and wrong. So the end that sends to it does the work. Source: ethtool(7), linux/ethtool.h.
"""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from testbed.engine.nodes import LabNode

SIOCETHTOOL = 0x8946
ETHTOOL_STXCSUM, ETHTOOL_STSO, ETHTOOL_SGSO = 0x17, 0x1F, 0x24


def switch_off(node: LabNode, device: str) -> None:
    """Have `device` send whole frames only. Raises OSError if the kernel refuses."""
    with node.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for command in (ETHTOOL_STXCSUM, ETHTOOL_STSO, ETHTOOL_SGSO):
            value = ctypes.create_string_buffer(struct.pack("II", command, 0))
            fcntl.ioctl(asking, SIOCETHTOOL, struct.pack("16sP", device.encode(), ctypes.addressof(value)))
