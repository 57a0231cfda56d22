"""Segments that arrive one by one, joined again before they go on: what every network card's driver does (GRO), and a veth device only if asked.

What userspace ESP hands to the kernel are single packets, each of which would cost the whole way through gateway and fabric: two thirds of what a tunnel can carry. A thread of the
kernel's own takes what has gathered at the device and joins segments of one connection; so bursts become few large frames, and a single packet waits for nobody. The thread ends with the device.

It takes a far end that sends whole frames (`plan.Interface.offloads`), and Linux 5.13. Where the kernel refuses, packets stay as they are: only speed is lost.
Source: Linux, Documentation/networking/napi.rst ("Threaded NAPI"), drivers/net/veth.c (documented).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.engine import ethtool, syscalls

if TYPE_CHECKING:
    from testbed.engine.nodes import LabNode

log = logging.getLogger(__name__)


def coalesce(node: LabNode, devices: Iterable[str]) -> None:
    """Have each of the devices, which are up, join what arrives."""
    wanted = tuple(devices)
    if not wanted:
        return
    try:
        with syscalls.network_namespace(node.namespace.descriptor):
            folder = syscalls.filesystem("sysfs")  # shows the devices of the namespace it is opened in
        try:
            for device in wanted:
                ethtool.join_segments(node, device)
                Path(f"/proc/self/fd/{folder}/class/net/{device}/threaded").write_text("1")
        finally:
            os.close(folder)
    except OSError as error:
        log.info("%s: what arrives at %s stays in single packets: %s", node.name, ", ".join(wanted), error)

