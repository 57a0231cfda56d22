"""What can be wrong with a topology: the user's family of errors. Ours is `plan.errors.PlanError`, the machine's `engine.errors.RealiseError`."""

from __future__ import annotations

from testbed.model.values import Fault


class ModelError(Exception):
    """All faults of a topology at once, sorted by resource."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = faults
