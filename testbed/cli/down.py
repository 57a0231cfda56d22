"""``testbed down``."""

from __future__ import annotations

import time

import click

from testbed.cli.exits import BadSource
from testbed.cli.running import chosen, running


@click.command("down")
@click.argument("name", required=False, shell_complete=lambda c, p, incomplete: [n for n in running() if n.startswith(incomplete)])
@click.option("--all", "everything", is_flag=True, help="Every lab that runs.")
def command(name: str | None, everything: bool) -> None:
    """End a lab; the only one, unless named. Nothing of it stays, whatever happened before."""
    from testbed.cli.output import remarks
    from testbed.engine import remote

    if everything and name:
        raise BadSource("both a name and --all", "give one of them")
    screen = remarks()
    left_over = remote.names()
    names = left_over if everything else (name,) if name in left_over else (chosen(name),)
    if not names:
        screen.print("no lab runs")
    for lab_name in names:
        began = time.monotonic()
        remote.end(lab_name)
        screen.print(f"[green]down[/green] {lab_name} in {time.monotonic() - began:.2f} s")
