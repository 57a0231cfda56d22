"""What a lab could leave on the host: one comparable picture of it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from testbed.engine.sandbox import INSIDE

STATE = "XDG_STATE_HOME"


def environment(state: Path) -> dict[str, str]:
    """The environment in which a test's labs run: a state folder of their own, which also marks their processes, and a sandbox of their own even if the tests are in one."""
    return {**{name: value for name, value in os.environ.items() if name != INSIDE}, STATE: str(state)}


def processes(state: Path) -> dict[int, str]:
    """Living processes (no zombies, which wait for the host's init alone) started with this state folder: pid and name."""
    mark = f"{STATE}={state}".encode()
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            marked = mark in (folder / "environ").read_bytes().split(b"\0")
            state_letter, name = (folder / "stat").read_text().rpartition(")")[2].split()[0], (folder / "comm").read_text().strip()
        except OSError:  # it ended meanwhile, or is another user's
            continue
        if marked and state_letter != "Z":
            found[int(folder.name)] = name
    return found


def host() -> dict[str, list[str]]:
    """Interfaces, mounts, named namespaces, IPC objects and shared memory of the host."""
    return {
        "interfaces": sorted(line.split(":")[1] for line in subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout.splitlines()),
        "mounts": sorted(line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()),
        "namespaces": sorted(path.name for path in Path("/run/netns").iterdir()) if Path("/run/netns").is_dir() else [],
        "ipc": sorted(line for line in subprocess.run(["ipcs"], capture_output=True, text=True, check=True).stdout.splitlines() if line.startswith("0x")),
        "shared memory": sorted(path.name for path in Path("/dev/shm").iterdir()),
    }
