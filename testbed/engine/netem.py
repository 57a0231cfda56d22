"""Delay, jitter, loss and rate by the kernel's netem, where it has it; the userspace wire (`wire.py`) does the same where it has not.

Which of the two a lab uses is `preflight.delay_line()`; `testbed doctor` says it.
"""

from __future__ import annotations

import subprocess

from testbed.engine import syscalls
from testbed.engine.errors import RealiseError
from testbed.plan import Wire

QUEUE_PACKETS = 100_000
"""netem drops what exceeds its queue; enough for 10 Gbit/s of full frames over 100 ms."""


def unshape(namespace: int, device: str) -> None:
    """Take away what `shape` gave."""
    with syscalls.network_namespace(namespace):
        done = subprocess.run(["tc", "qdisc", "del", "dev", device, "root"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RealiseError(f"tc refused to take netem from {device}: {done.stderr.strip()}", "`testbed doctor` says which delay this machine can do")


def shape(namespace: int, device: str, wire: Wire) -> None:
    """Give everything that leaves `device` the wire's delay, jitter, loss and rate. Raises RealiseError with tc's words."""
    words = ["tc", "qdisc", "replace", "dev", device, "root", "netem", "limit", str(QUEUE_PACKETS), "delay", f"{wire.delay_ms}ms"]
    if wire.jitter_ms:
        words += [f"{wire.jitter_ms}ms"]
    if wire.loss_percent:
        words += ["loss", f"{wire.loss_percent}%"]
    if wire.rate_mbit is not None:
        words += ["rate", f"{wire.rate_mbit}mbit"]
    with syscalls.network_namespace(namespace):
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RealiseError(f"tc refused netem on {device}: {done.stderr.strip()}", "install iproute2; `testbed doctor` says which delay this machine can do")
