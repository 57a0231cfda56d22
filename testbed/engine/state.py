"""Where labs are remembered on the host: a folder per lab under XDG_STATE_HOME/testbed.

    <name>/lab.json       whose process it is, and what topology it came from
    <name>/control.sock   the lab's control socket, while it runs
    <name>/logs, captures

`down` removes the folder. A folder whose lab is gone (a crash, a reboot) is stale, and the next `up` of that name takes its place.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import msgspec

from testbed.engine.errors import RealiseError

SOCKET_PATH_BYTES = 100
"""Linux takes 107; a little is left for what others append."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A lab's entry. `pid` is its outermost process on the host, `born` that process's start in clock ticks since boot."""

    name: str
    topology: str
    source: str
    pid: int
    born: int
    started: float


def home() -> Path:
    """The folder of all labs."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "testbed"


def folder(name: str) -> Path:
    """The folder of one lab. Raises RealiseError if its socket's path would be too long for the kernel."""
    path = home() / name
    if len(os.fsencode(path / "control.sock")) > SOCKET_PATH_BYTES:
        raise RealiseError(f"the path {path}/control.sock is longer than {SOCKET_PATH_BYTES} bytes", "set XDG_STATE_HOME to a shorter folder, or give the lab a shorter --name")
    return path


def names() -> tuple[str, ...]:
    """Labs that have a folder, running or stale."""
    return tuple(sorted(path.parent.name for path in home().glob("*/lab.json")))


def read(name: str) -> Record | None:
    """The lab's record, None if there is none or it cannot be read as one."""
    try:
        return msgspec.json.decode((folder(name) / "lab.json").read_bytes(), type=Record)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def write(record: Record) -> None:
    """Remember the lab, atomically."""
    path = folder(record.name) / "lab.json"
    fresh = path.with_suffix(".new")
    fresh.write_bytes(msgspec.json.format(msgspec.json.encode(record)))
    fresh.rename(path)


def born(pid: int) -> int | None:
    """When the process started, in clock ticks since boot; None if there is no such process, or only its zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])


def alive(record: Record) -> bool:
    """Whether the record's own process still runs: the same number and the same birth."""
    return born(record.pid) == record.born


def forget(name: str) -> None:
    """Remove the lab's folder."""
    shutil.rmtree(folder(name), ignore_errors=True)
