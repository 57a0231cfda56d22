"""``testbed apply``."""

from __future__ import annotations

import gc
from dataclasses import fields

import click

from testbed.cli.exits import BadSource
from testbed.cli.running import attached, json_option, lab_option


@click.command("apply")
@lab_option
@click.argument("source", metavar="[NAME|FILE.py[:FUNCTION]]", required=False)
@json_option
def command(lab_name: str | None, source: str | None, as_json: bool) -> None:
    """Change a running lab to what its topology says now. Connections that the change does not concern survive.

    Without a file, the topology that the lab was started from is read again.
    """
    from testbed.cli.output import console, print_json
    from testbed.cli.source import load
    from testbed.cli.warm import change

    gc.disable()  # this process ends soon, and thousands of rules are many objects to look through
    lab = attached(lab_name)
    wanted = source or lab.topology_source
    if not wanted:
        raise BadSource(f"lab {lab.name} does not know its topology's file", "name it: testbed apply FILE.py")
    summary = change(lab, load(wanted))
    if as_json:
        print_json(summary)
        return
    screen = console()
    said = {field.name.replace("_", " "): getattr(summary, field.name) for field in fields(summary)}
    for what, value in said.items():
        if value:
            screen.print(f"{what}: {', '.join(map(str, value)) if isinstance(value, tuple) else value}")
    if not any(said.values()):
        screen.print("nothing differs")
