"""Which target a request goes to, among those that a group offers: the three algorithms, slow start and fail-open.

    registered ─▶ offered: the healthy ones; all of them, if fewer than the threshold are healthy (fail-open)
    offered ─▶ round_robin                    in turn; a target in slow start takes its turn as often as its share says
            ─▶ least_outstanding_requests     the fewest requests in progress, those that have as few in turn
            ─▶ weighted_random                by chance, by weights that anomaly mitigation lowers

Only a group without any registered target has none (503). Slow start raises a target's share linearly from nothing to all; it needs another
target that is healthy and not in it.
Source: ELB user guide, "Health checks for ALB target groups", "Edit target group attributes", "Troubleshoot your ALBs" (documented). Assumed: targets in
`initial` count as not healthy; a target is anomalous if it fails a fifth of its requests or more, and three times as often as the others; its weight then
halves every five seconds, down to a sixteenth, and doubles again afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from services.common.health import State

REWEIGH_EVERY_S = 5.0
LEAST_WEIGHT = 1 / 16
_ANOMALOUS_SHARE, _ANOMALOUS_FACTOR = 0.2, 3.0


class Selectable(Protocol):
    @property
    def state(self) -> State: ...
    @property
    def busy(self) -> int: ...
    @property
    def slow_since(self) -> float | None: ...


T = TypeVar("T", bound=Selectable)


def offered(registered: Sequence[T], minimum_healthy: int) -> tuple[T, ...]:
    """Those that take requests: the healthy ones, or all if fewer than `minimum_healthy` are."""
    healthy = tuple(target for target in registered if target.state is State.HEALTHY)
    return healthy if len(healthy) >= max(1, minimum_healthy) else tuple(registered)


class Selection(Protocol[T]):
    """An algorithm at work on a group's offered targets. `now` is in seconds of any steady clock, the one of `slow_since`."""

    def replace(self, targets: Iterable[T]) -> None:
        """These are offered from now on, in order."""

    def select(self, now: float) -> T | None:
        """The next request's target; None if none is offered."""


class RoundRobin(Generic[T]):
    """In turn. Whose share is less than one is passed over until its shares add up to a turn."""

    def __init__(self, slow_start_s: float = 0.0) -> None:
        self._slow_start_s = slow_start_s
        self._turn = 0
        self._targets: tuple[T, ...] = ()
        self._saved: dict[int, float] = {}

    def replace(self, targets: Iterable[T]) -> None:
        self._targets, self._saved = tuple(targets), {}

    def select(self, now: float) -> T | None:
        targets = self._targets
        if not targets:
            return None
        slow = self._slow_start_s and any(self._share(target, now) == 1.0 for target in targets)
        while True:
            self._turn = (self._turn + 1) % len(targets)
            target = targets[self._turn]
            if not slow or self._takes_turn(target, now):
                return target

    def _takes_turn(self, target: T, now: float) -> bool:
        saved = self._saved.get(id(target), 0.0) + self._share(target, now)
        self._saved[id(target)] = saved % 1.0 if saved >= 1.0 else saved
        return saved >= 1.0

    def _share(self, target: T, now: float) -> float:
        since = target.slow_since
        return 1.0 if since is None or now >= since + self._slow_start_s else max(0.0, now - since) / self._slow_start_s


class LeastOutstanding(Generic[T]):
    """The one with the fewest requests in progress."""

    def __init__(self) -> None:
        self._turn = 0
        self._targets: tuple[T, ...] = ()

    def replace(self, targets: Iterable[T]) -> None:
        self._targets = tuple(targets)

    def select(self, now: float) -> T | None:
        if not self._targets:
            return None
        self._turn = (self._turn + 1) % len(self._targets)
        return min(self._targets[self._turn :] + self._targets[: self._turn], key=lambda target: target.busy)


class WeightedRandom(Generic[T]):
    """By chance; `chance` gives numbers from 0 up to 1. All weigh the same until `reweigh` says otherwise."""

    def __init__(self, chance: Callable[[], float]) -> None:
        self._chance = chance
        self._targets: tuple[T, ...] = ()
        self._weights: tuple[float, ...] = ()

    def replace(self, targets: Iterable[T]) -> None:
        known = {id(target): weight for target, weight in zip(self._targets, self._weights, strict=True)}
        self._targets = tuple(targets)
        self._weights = tuple(known.get(id(target), 1.0) for target in self._targets)

    def select(self, now: float) -> T | None:
        left = self._chance() * sum(self._weights)
        for target, weight in zip(self._targets, self._weights, strict=True):
            left -= weight
            if left < 0:
                return target
        return self._targets[-1] if self._targets else None

    def reweigh(self, windows: Mapping[int, Window]) -> tuple[T, ...]:
        """Take what each target (by its `id()`) did since the last time into its weight; returns those that are mitigated now."""
        anomalous = frozenset(anomalies({id(target): windows.get(id(target), Window()) for target in self._targets}))
        self._weights = tuple(
            max(LEAST_WEIGHT, weight / 2) if id(target) in anomalous else min(1.0, weight * 2) for target, weight in zip(self._targets, self._weights, strict=True)
        )
        return tuple(target for target, weight in zip(self._targets, self._weights, strict=True) if weight < 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What a target did in one window: responses, and how many of them were 5XX or failed connections."""

    requests: int = 0
    errors: int = 0


def anomalies(windows: Mapping[int, Window]) -> tuple[int, ...]:
    """The keys of those that fail much more often than the others together."""
    found = []
    for key, own in windows.items():
        others = [window for other, window in windows.items() if other != key]
        requests, errors = sum(window.requests for window in others), sum(window.errors for window in others)
        if own.requests and requests and own.errors / own.requests >= max(_ANOMALOUS_SHARE, _ANOMALOUS_FACTOR * errors / requests):
            found.append(key)
    return tuple(found)
