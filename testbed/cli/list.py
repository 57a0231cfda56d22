"""``testbed list``."""

from __future__ import annotations

import click

from testbed.cli.running import json_option


@click.command("list")
@json_option
def command(as_json: bool) -> None:
    """Topologies that there are. A file of your own works as well: testbed up my_cloud.py"""
    from testbed.cli.output import console, print_json
    from testbed.cli.source import known

    if as_json:
        print_json(known())
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("topology", style="bold")
    table.add_column("what it is")
    for named in known():
        table.add_row(named.name, named.summary)
    console().print(table)
