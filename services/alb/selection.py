"""Which target a request goes to: round robin over the healthy ones of all Availability Zones.

Fail-open: if none is healthy, all are in turn. Only a group without any registered target has none (503).
Source: ELB user guide, "Health checks for ALB target groups", "Edit target group attributes", "Troubleshoot your ALBs" (documented). Targets in
`initial` count as not healthy (assumed). Cross-zone is always on for an ALB.
NOT MODELLED: least outstanding requests, weighted random, slow start, stickiness; a threshold other than one for fail-open.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar

from services.alb.health import State


class HasState(Protocol):
    @property
    def state(self) -> State: ...


T = TypeVar("T", bound=HasState)


class RoundRobin(Generic[T]):
    """The turn of a group's targets. `replace` whenever the targets or their health changed."""

    def __init__(self, targets: Iterable[T] = ()) -> None:
        self._turn = 0
        self._eligible: tuple[T, ...] = ()
        self.replace(targets)

    def replace(self, targets: Iterable[T]) -> None:
        """These are the registered targets now, in order."""
        registered = tuple(targets)
        self._eligible = tuple(target for target in registered if target.state is State.HEALTHY) or registered

    def select(self) -> T | None:
        """The next target; None if none is registered."""
        eligible = self._eligible
        if not eligible:
            return None
        self._turn = (self._turn + 1) % len(eligible)
        return eligible[self._turn]
