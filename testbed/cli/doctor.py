"""``testbed doctor``."""

from __future__ import annotations

import click

from testbed.cli.exits import MACHINE, OK
from testbed.cli.running import json_option


@click.command("doctor")
@json_option
def command(as_json: bool) -> int:
    """What this machine has and lacks: every kernel feature and program that labs use, tried for real. Exit 3 if something required is missing."""
    from testbed.cli.output import console, print_json
    from testbed.engine.preflight import check

    checks = check()
    missing = [c for c in checks if c.required and not c.found]
    if as_json:
        print_json(checks)
        return MACHINE if missing else OK
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("", "what", "", "remedy"):
        table.add_column(heading)
    for c in checks:
        mark = "[green]found[/]" if c.found else "[red]missing[/]" if c.required else "[yellow]absent[/]"
        table.add_row(mark, escape(c.name), escape(c.detail), "" if c.found else escape(c.remedy))
    screen = console()
    screen.print(table)
    screen.print(f"[red]{len(missing)} required missing[/]" if missing else "[green]labs run on this machine[/]")
    return MACHINE if missing else OK
