"""``testbed graph``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from testbed.cli.exits import Told

FORMS = {".svg": "svg", ".png": "png", ".dot": "dot", ".gv": "dot", ".mmd": "mermaid", ".mermaid": "mermaid"}
"""Which form a file's name asks for."""


@click.command("graph")
@click.argument("source", metavar="NAME|FILE.py[:FUNCTION]")
@click.option("-o", "--output", "form", type=click.Choice(("svg", "png", "dot", "mermaid")), help="That of the file's name by default, else svg; mermaid, which is text, on a terminal.")
@click.option("-w", "--write", "path", type=click.Path(dir_okay=False, path_type=Path), help="A file instead of stdout.")
def command(source: str, form: str | None, path: Path | None) -> None:
    """Draw a topology: its VPCs, subnets and cities, and what joins them. Nothing is started.

    \b
    testbed graph web_app -w web_app.svg
    testbed graph tgw_hub -w tgw_hub.png
    testbed graph web_app -o mermaid
    """
    from testbed.cli.source import load
    from testbed.compile import compile_plan
    from testbed.observe import graph
    from testbed.resolve import resolve

    form = form or ("mermaid" if path is None and sys.stdout.isatty() else FORMS.get("" if path is None else path.suffix.lower(), "svg"))
    plan = compile_plan(resolve(load(source)))
    try:
        drawing = graph.drawn(plan, form) if form in ("svg", "png") else (graph.dot(plan) if form == "dot" else graph.mermaid(plan)).encode()
    except graph.DrawingError as error:
        raise Told(str(error), "testbed graph NAME -o mermaid needs no program") from error
    if path is not None:
        path.write_bytes(drawing)
    else:
        sys.stdout.buffer.write(drawing)
