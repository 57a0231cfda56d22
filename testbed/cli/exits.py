"""Exit codes, and the errors of the command line that carry them."""

from __future__ import annotations

import click

OK, FAILED, USAGE, MACHINE, NO_SUCH_LAB, INTERRUPTED = 0, 1, 2, 3, 4, 130


class Told(click.ClickException):
    """Something a person must know: what it was, and what to do."""

    exit_code = FAILED

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem} (remedy: {remedy})")


class NoSuchLab(Told):
    """No lab of that name runs, or one runs already where none should."""

    exit_code = NO_SUCH_LAB


class BadSource(Told):
    """What was named is no topology, node, service or filter."""

    exit_code = USAGE
