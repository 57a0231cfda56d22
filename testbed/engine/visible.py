"""What a program in a node sees of the lab: name servers, hosts, host name, and whom to trust.

A node's first program gets a mount namespace in which resolv.conf, hosts, hostname, nsswitch.conf and the system's CA bundle are the
lab's own files; the node's later programs share it. Where /etc lacks one of these files, or has a link that leads nowhere, /etc as a
whole is replaced by one that refers to the host's for everything else: the host's files are never written.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

from testbed.engine import syscalls
from testbed.plan import Node

ETC = Path("/run/testbed/etc")
CA_FILE = Path("/run/testbed/tls/ca.crt")
CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "CURL_CA_BUNDLE", "PGSSLROOTCERT")
SYSTEM_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
NSSWITCH = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\nprotocols: files\nservices: files\nethers: files\nrpc: files\n"


def environment(node: Node) -> dict[str, str]:
    """Variables for a program in a node."""
    return {**{name: str(CA_FILE) for name in CA_VARIABLES}, "TESTBED_NODE": node.name, "HOSTNAME": node.name, **dict(node.environment)}


def files(node: Node) -> dict[str, str]:
    """The node's own files under /etc, by name."""
    hosts = ["127.0.0.1 localhost", *(f"{address} {name}" for address, name in node.hosts)]
    resolv = [f"nameserver {address}" for address in node.name_servers]
    if node.search:
        resolv.append(f"search {' '.join(node.search)}")
    resolv.append("options timeout:2 attempts:3")
    return {"resolv.conf": "\n".join(resolv) + "\n", "hosts": "\n".join(hosts) + "\n", "hostname": f"{node.name}\n", "nsswitch.conf": NSSWITCH}


class View:
    """The namespaces of a node's programs, as descriptors in the order in which they are entered."""

    __slots__ = ("descriptors",)

    def __init__(self, network: int, mounts: int, hostname: int) -> None:
        self.descriptors = (network, hostname, mounts)

    @classmethod
    def make(cls, node: Node, network: int) -> View:
        """Write the node's files and make its mount and UTS namespaces, in a thread of their own. Raises OSError."""
        folder = ETC / node.name
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files(node).items():
            (folder / name).write_text(text)
        return cls(network, *_in_thread(lambda: _make(folder, network, node.name)))

    def close(self) -> None:
        """Let the mounts go once no program uses them."""
        for descriptor in self.descriptors[1:]:
            os.close(descriptor)


def _make(folder: Path, network: int, hostname: str) -> tuple[int, int]:
    syscalls.unshare(syscalls.CLONE_FS | syscalls.CLONE_NEWNS | syscalls.CLONE_NEWUTS)
    syscalls.set_hostname(hostname)
    syscalls.setns(network, syscalls.CLONE_NEWNET)
    syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
    syscalls.mount("sysfs", "/sys", "sysfs", syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC)  # shows this node's interfaces
    own = sorted(folder.iterdir())
    if not all(_replaceable(Path("/etc") / file.name) for file in own):
        _replace_etc(folder)
    for file in own:
        syscalls.bind(str(file), f"/etc/{file.name}")
    if SYSTEM_BUNDLE.exists() and CA_FILE.exists():
        syscalls.bind(str(CA_FILE), str(SYSTEM_BUNDLE))
    return tuple(os.open(f"/proc/thread-self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in ("mnt", "uts"))  # type: ignore[return-value]


def _replaceable(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _replace_etc(folder: Path) -> None:
    """Put an /etc of links to the host's files in place of the host's, with empty files where the node's own will be mounted."""
    host = ETC / ".host"
    host.mkdir(exist_ok=True)
    syscalls.bind("/etc", str(host), recursive=True)
    entries = sorted(host.iterdir())
    syscalls.mount("tmpfs", "/etc", "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, "mode=755")
    own = {file.name for file in folder.iterdir()}
    for entry in entries:
        if entry.name not in own:
            (Path("/etc") / entry.name).symlink_to(entry)
    for name in own:
        (Path("/etc") / name).touch()


def _in_thread(make: Callable[[], tuple[int, int]]) -> tuple[int, int]:
    made: list[tuple[int, int]] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            made.append(make())
        except OSError as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="view")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return made[0]
