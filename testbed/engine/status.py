"""How a service is: what `testbed ps` shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from testbed.engine.supervise import Service


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStatus:
    """One service. `pid` is the lab's own number for it, `since` wall-clock seconds, `memory_kib` what it shares with nobody."""

    name: str
    kind: str
    node: str
    pid: int
    state: str
    restarts: int
    since: float
    memory_kib: int


def status_of(service: Service) -> ServiceStatus:
    """The service's status now."""
    return ServiceStatus(
        name=service.spec.name, kind=service.spec.kind, node=service.spec.node, pid=service.pid, state=service.state,
        restarts=service.restarts, since=service.since, memory_kib=unshared_kib(service.pid),
    )


def unshared_kib(pid: int) -> int:
    """Memory that only this process and its descendants use, in KiB; 0 if it is gone."""
    total = 0
    for process in (pid, *_descendants(pid)):
        try:
            text = Path(f"/proc/{process}/smaps_rollup").read_text()
        except OSError:  # it ended meanwhile
            continue
        total += sum(int(line.split()[1]) for line in text.splitlines() if line.startswith(("Private_Clean", "Private_Dirty")))
    return total


def _descendants(pid: int) -> list[int]:
    try:
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:  # it ended meanwhile, or pid is 0
        return []
    return [descendant for child in children for descendant in (child, *_descendants(child))]
