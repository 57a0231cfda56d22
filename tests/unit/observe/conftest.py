"""A lab of bare namespaces, without the engine: two nodes joined by a veth pair."""

import ctypes
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from testbed.plan import Plan

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000


class NamespaceLab:
    """`LabView` over the network namespaces of some sleeping processes."""

    name = "namespaces"
    plan = Plan(name="namespaces")

    def __init__(self, holders: dict[str, int], directory: Path) -> None:
        self.holders = holders
        self.log_directory = self.capture_directory = directory

    def socket(self, node: str, family: int, type: int, proto: int = 0) -> socket.socket:
        made: list[socket.socket] = []

        def enter_and_open() -> None:
            descriptor = os.open(f"/proc/{self.holders[node]}/ns/net", os.O_RDONLY)
            try:
                if LIBC.setns(descriptor, CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
                made.append(socket.socket(family, type, proto))
            finally:
                os.close(descriptor)

        thread = threading.Thread(target=enter_and_open)
        thread.start()
        thread.join()
        return made[0]

    def popen(self, node: str, argv: Sequence[str], **kwargs: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(("nsenter", f"--net=/proc/{self.holders[node]}/ns/net", *argv), **kwargs)

    def run(self, node: str, *argv: str, given: str = "") -> None:
        subprocess.run(("nsenter", f"--net=/proc/{self.holders[node]}/ns/net", *argv), input=given.encode(), check=True)


@pytest.fixture
def namespace_lab(tmp_path: Path) -> Iterator[NamespaceLab]:
    """`left` 192.0.2.1 and `right` 192.0.2.2, each with an interface eth0."""
    if os.geteuid() != 0 or shutil.which("nsenter") is None or shutil.which("nft") is None:
        pytest.skip("needs root (to make namespaces by hand), nsenter and nft")
    sleepers = {node: subprocess.Popen(("unshare", "-n", "sleep", "60")) for node in ("left", "right")}
    try:
        lab = NamespaceLab({node: process.pid for node, process in sleepers.items()}, tmp_path)
        for node in sleepers:
            _wait_for_own_namespace(lab.holders[node])
        lab.run("left", "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", str(lab.holders["right"]))
        for node, address in (("left", "192.0.2.1/24"), ("right", "192.0.2.2/24")):
            lab.run(node, "ip", "address", "add", address, "dev", "eth0")
            lab.run(node, "ip", "link", "set", "dev", "eth0", "up")
            lab.run(node, "ip", "link", "set", "dev", "lo", "up")
        yield lab
    finally:
        for process in sleepers.values():
            process.kill()
            process.wait()


def _wait_for_own_namespace(pid: int) -> None:
    ours = Path("/proc/self/ns/net").stat().st_ino
    for _ in range(500):
        if Path(f"/proc/{pid}/ns/net").stat().st_ino != ours:
            return
        threading.Event().wait(0.002)
    raise TimeoutError("unshare did not make a namespace")
