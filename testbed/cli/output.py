"""What commands print: JSON for scripts, tables and progress for people. Progress and remarks go to stderr, results to stdout."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

PIPE_WIDTH = 160


def print_json(value: object) -> None:
    """`value` (dataclasses, tuples, addresses) as indented JSON on stdout."""
    sys.stdout.write(json_text(value))


def json_text(value: object) -> str:
    """`value` (dataclasses, tuples, addresses) as indented JSON."""
    import msgspec

    return msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2).decode() + "\n"


def console() -> Console:
    """Where results go. Piped output is wide enough for tables to stay whole."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)


def remarks() -> Console:
    """Where everything else goes."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


@contextlib.contextmanager
def progress(title: str, *, quiet: bool = False) -> Iterator[Callable[[str], None]]:
    """Show on stderr what is being done; the yielded function takes each step's name. On a terminal a spinner, elsewhere one line each."""
    if quiet:
        yield lambda step: None
        return
    screen = remarks()
    began = time.monotonic()
    if not screen.is_terminal:
        yield lambda step: screen.print(f"{title}: {step} ({time.monotonic() - began:.1f} s)")
        return
    with screen.status(f"{title} …") as status:
        yield lambda step: status.update(f"{title}: {step} [dim]{time.monotonic() - began:.1f} s[/dim]")
