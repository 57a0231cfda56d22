"""The few Linux calls that Python 3.11 lacks: namespaces, mounts and process attributes, through libc.

Every call releases the interpreter lock, raises OSError with errno, and acts on the calling thread alone where Linux does so
(network and mount namespaces), on the process otherwise.
"""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

CLONE_FS = 0x00000200
CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MNT_DETACH = 2

SYS_FSOPEN, SYS_FSCONFIG, SYS_FSMOUNT = 430, 431, 432
"""The same numbers on every architecture."""
FSOPEN_CLOEXEC, FSCONFIG_CMD_CREATE, FSMOUNT_CLOEXEC = 1, 6, 1
MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC = 2, 4, 8

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)
_libc.sethostname.argtypes = (ctypes.c_char_p, ctypes.c_size_t)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _number(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def unshare(flags: int) -> None:
    """Move the caller into new namespaces."""
    _check(_libc.unshare(flags), f"unshare({flags:#x})")


def setns(descriptor: int, kind: int = 0) -> None:
    """Move the caller into the namespace behind `descriptor`; `kind` is a CLONE_NEW* flag or 0 for any."""
    _check(_libc.setns(descriptor, kind), f"setns({kind:#x})")


def mount(source: str, target: str, filesystem: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2)."""
    _check(_libc.mount(os.fsencode(source), os.fsencode(target), filesystem.encode() or None, flags, data.encode() or None), f"mount {filesystem or 'bind'} on {target}")


def filesystem(kind: str) -> int:
    """A new file system as a descriptor of its root, mounted nowhere: gone when that is closed (fsopen(2), Linux 5.2)."""
    opened = _number(_libc.syscall(SYS_FSOPEN, kind.encode(), FSOPEN_CLOEXEC), f"fsopen {kind}")
    try:
        _number(_libc.syscall(SYS_FSCONFIG, opened, FSCONFIG_CMD_CREATE, None, None, 0), f"fsconfig {kind}")
        return _number(_libc.syscall(SYS_FSMOUNT, opened, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC), f"fsmount {kind}")
    finally:
        os.close(opened)


def bind(source: str, target: str, *, recursive: bool = False) -> None:
    """Make `source` appear at `target`."""
    mount(source, target, flags=MS_BIND | (MS_REC if recursive else 0))


def detach(target: str) -> None:
    """Take the mount at `target` out of sight; it lives on through what is open in it."""
    _check(_libc.umount2(os.fsencode(target), MNT_DETACH), f"umount {target}")


def set_hostname(name: str) -> None:
    """Set the UTS namespace's host name."""
    _check(_libc.sethostname(name.encode(), len(name.encode())), "sethostname")


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Ask the kernel to send this process a signal when its parent thread ends."""
    _check(_libc.prctl(PR_SET_PDEATHSIG, number, 0, 0, 0), "prctl(PR_SET_PDEATHSIG)")


def set_process_name(name: str) -> None:
    """What `ps` shows as the command, cut to 15 bytes."""
    _check(_libc.prctl(PR_SET_NAME, name.encode()[:15], 0, 0, 0), "prctl(PR_SET_NAME)")


def map_to(uid: int, gid: int, outer_uid: int, outer_gid: int) -> None:
    """In a user namespace just unshared: let its `uid` and `gid` stand for the caller's own outer ones."""
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {outer_uid} 1"), ("gid_map", f"{gid} {outer_gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:  # noqa: PTH123  (one write, as the kernel demands)
            file.write(text)


@contextmanager
def network_namespace(descriptor: int) -> Iterator[None]:
    """Run the block with the calling thread inside another network namespace. About 10 µs."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        setns(descriptor, CLONE_NEWNET)
        try:
            yield
        finally:
            setns(home, CLONE_NEWNET)
    finally:
        os.close(home)
