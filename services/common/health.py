"""A target's health: the state machine, and which status codes pass.

    initial ──one pass──▶ healthy ──unhealthy_threshold failures in a row──▶ unhealthy ──healthy_threshold passes in a row──▶ healthy
       └──unhealthy_threshold failures in a row──▶ unhealthy

A new target needs one pass only, whatever the threshold. Reasons are AWS's codes.
Source: ELB user guide, "Health checks for ALB target groups"; likewise for network and gateway balancers (documented); that `initial` ends after the unhealthy threshold is assumed.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass


class State(enum.StrEnum):
    INITIAL = "initial"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


REGISTRATION_IN_PROGRESS = "Elb.RegistrationInProgress"
CODE_MISMATCH = "Target.ResponseCodeMismatch"
TIMED_OUT = "Target.Timeout"
FAILED_CHECKS = "Target.FailedHealthChecks"
_CODES = re.compile(r"([0-9]{3})(?:-([0-9]{3}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """One check: passed, or failed for `reason` (a code, and a text)."""

    passed: bool
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetHealth:
    """What is known of a target. `streak` counts the results in a row that speak for a change of state."""

    state: State = State.INITIAL
    streak: int = 0
    reason: str = REGISTRATION_IN_PROGRESS

    def after(self, result: CheckResult, *, healthy_threshold: int, unhealthy_threshold: int) -> TargetHealth:
        """The health once `result` is known."""
        if result.passed:
            needed = 1 if self.state is State.INITIAL else healthy_threshold
            return self._toward(State.HEALTHY, needed, "")
        return self._toward(State.UNHEALTHY, unhealthy_threshold, result.reason)

    def _toward(self, state: State, needed: int, reason: str) -> TargetHealth:
        if self.state is state:
            return TargetHealth(state=state, reason=reason)
        streak = self.streak + 1
        if streak >= needed:
            return TargetHealth(state=state, reason=reason)
        return TargetHealth(state=self.state, streak=streak, reason=self.reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Matcher:
    """The status codes that pass: ``200``, ``200,204`` or ``200-299``."""

    ranges: tuple[tuple[int, int], ...]

    @classmethod
    def parse(cls, text: str) -> Matcher:
        """Raises ValueError for what AWS would not take (codes are 200 to 499)."""
        ranges = []
        for part in text.split(","):
            match = _CODES.fullmatch(part.strip())
            if match is None:
                raise ValueError(f"matcher {text!r}: write 200, 200,204 or 200-299")
            low, high = int(match[1]), int(match[2] or match[1])
            if not 200 <= low <= high <= 499:
                raise ValueError(f"matcher {text!r}: codes are 200 to 499, lowest first")
            ranges.append((low, high))
        return cls(ranges=tuple(ranges))

    def judge(self, status: int) -> CheckResult:
        """A check that was answered with `status`."""
        if any(low <= status <= high for low, high in self.ranges):
            return CheckResult(passed=True)
        return CheckResult(passed=False, reason=f"{CODE_MISMATCH}: [{status}]")
