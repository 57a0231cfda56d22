"""The machine's family of errors: what this computer would not do, and what to do about it."""

from __future__ import annotations


class RealiseError(Exception):
    """The machine refused. `remedy` is one sentence that a person can act on."""

    def __init__(self, message: str, remedy: str = "run `testbed doctor`") -> None:
        super().__init__(message)
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{super().__str__()} (remedy: {self.remedy})"
