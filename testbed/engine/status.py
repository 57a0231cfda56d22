"""What a lab tells of itself: how each service is (`testbed ps`), and what a live change did (`testbed apply`)."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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


class FailureMode(enum.StrEnum):
    """How something fails; a service that is cut is killed."""

    CUT = "cut"
    BLACKHOLE = "blackhole"
    LOSS = "loss"
    DELAY = "delay"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Something that was made to fail, under the name that was given: the links (``NODE--NODE``) and services that it means."""

    what: str
    mode: FailureMode
    links: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    loss_percent: float = 0.0
    delay_ms: float = 0.0
    jitter_ms: float = 0.0

    @property
    def words(self) -> str:
        """How it fails, for people."""
        if self.mode is FailureMode.LOSS:
            return f"loss {self.loss_percent:g}%"
        if self.mode is FailureMode.DELAY:
            return f"delay {self.delay_ms:g}ms" + (f" jitter {self.jitter_ms:g}ms" if self.jitter_ms else "")
        return "killed" if not self.links else self.mode.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a change did. Nodes that changed are told with the parts that did (``vpc-shop: ruleset``), flows that ended as sentences."""

    nodes_added: tuple[str, ...] = ()
    nodes_removed: tuple[str, ...] = ()
    nodes_changed: tuple[str, ...] = ()
    links_added: tuple[str, ...] = ()
    links_removed: tuple[str, ...] = ()
    links_changed: tuple[str, ...] = ()
    services_added: tuple[str, ...] = ()
    services_removed: tuple[str, ...] = ()
    services_restarted: tuple[str, ...] = ()
    services_reloaded: tuple[str, ...] = ()
    flows_ended: tuple[str, ...] = ()
    still_failing: tuple[str, ...] = ()
    """What `testbed fail` broke before, and this change did not heal."""


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
