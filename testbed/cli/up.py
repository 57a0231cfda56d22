"""``testbed up``."""

from __future__ import annotations

import re
import time

import click

from testbed.cli.exits import BadSource, NoSuchLab
from testbed.cli.running import json_option, running

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")


@click.command("up")
@click.argument("source", metavar="NAME|FILE.py[:FUNCTION]")
@click.option("--name", help="The lab's name; the topology's by default.")
@json_option
def command(source: str, name: str | None, as_json: bool) -> None:
    """Start a lab from a topology. All faults of the topology are told at once, and then nothing is started.

    \b
    testbed up web_app
    testbed up my_cloud.py --name blue
    """
    from testbed.cli.output import print_json, progress, remarks
    from testbed.cli.source import absolute, load
    from testbed.cli.warm import operations
    from testbed.compile import compile_plan
    from testbed.engine import remote
    from testbed.resolve import resolve

    began = time.monotonic()
    resolved = resolve(load(source))
    plan = compile_plan(resolved)
    lab_name = name or plan.name
    if not NAME.fullmatch(lab_name):
        raise BadSource(f"{lab_name!r} is no name for a lab", "letters, digits, dot, dash and underscore, at most 40")
    if lab_name in running():
        raise NoSuchLab(f"a lab {lab_name!r} runs already", f"testbed down {lab_name}, or another name: --name")
    with progress(f"up {lab_name}", quiet=as_json) as told:
        remote.launch(plan, lab_name, absolute(source), told, operations(plan, resolved))
    took_s = time.monotonic() - began
    if as_json:
        print_json({"name": lab_name, "topology": plan.name, "nodes": len(plan.nodes), "links": len(plan.links), "services": len(plan.services), "seconds": round(took_s, 3)})
        return
    remarks().print(f"[green]up[/green] {lab_name}: {len(plan.nodes)} nodes, {len(plan.links)} links, {len(plan.services)} services in {took_s:.1f} s")
