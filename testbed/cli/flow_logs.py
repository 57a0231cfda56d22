"""``testbed flow-logs``."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from testbed.cli.exits import BadSource
from testbed.cli.running import attached, json_option, lab_option

if TYPE_CHECKING:
    from testbed.observe.flow_log import FlowLogReader

POLL_S = 0.1


@click.command("flow-logs")
@lab_option
@click.argument("resource", metavar="ENI|INSTANCE|SUBNET|VPC|TGW|ATTACHMENT")
@click.option("-f", "--follow", is_flag=True, help="Go on as records come, until Ctrl-C.")
@click.option("--fields", is_flag=True, help="Begin with the names of the fields.")
@json_option
def command(lab_name: str | None, resource: str, follow: bool, fields: bool, as_json: bool) -> None:
    """Flow log records of a network interface, or of an instance's, a subnet's or a VPC's interfaces, or of a transit gateway or one of its attachments, as AWS writes them.

    \b
    testbed flow-logs vpc-shop --fields
    testbed flow-logs web-a --follow
    testbed flow-logs tgw-hub --fields
    """
    from testbed.observe.flow_log import FlowLogReader

    lab = attached(lab_name)
    reader = FlowLogReader(lab, resource)
    if not reader.is_logged:
        logged = f"; logged are {', '.join(reader.logged)}" if reader.logged else ""
        raise BadSource(f"nothing logs {resource}", f'add FlowLog(id="…", resource_id="{resource}") to the topology (an interface, a subnet, a VPC, a transit gateway or its attachment), then: testbed apply{logged}')
    told: set[str] = set()
    for record in _records(reader, follow):
        if fields and not as_json and record["fields"] not in told:
            told.add(record["fields"])
            click.echo(record["fields"])
        if as_json:
            import msgspec

            click.echo(msgspec.json.encode(record).decode())
        else:
            click.echo(record["line"])


def _records(reader: FlowLogReader, follow: bool) -> Iterator[dict[str, str]]:
    yield from reader.more()
    while follow:
        time.sleep(POLL_S)
        yield from reader.more()
