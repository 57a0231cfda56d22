"""``testbed bench``: runs what is measured in tests/benchmarks."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from testbed.cli.exits import FAILED, OK, BadSource
from testbed.cli.running import json_option

DIRECTORY = Path(__file__).parents[2] / "tests" / "benchmarks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measurement: a value, the peer or floor measured beside it, and the goal."""

    name: str
    value: float
    unit: str
    against: str
    goal: str
    met: bool


@click.command("bench")
@click.argument("suites", metavar="[SUITE…]", nargs=-1)
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw what was measured into this SVG file, where the suite draws (latency, tgw, ga).")
@json_option
def command(suites: tuple[str, ...], plot: Path | None, as_json: bool) -> int:
    """Measure against peers and floors in one run, as ratios; exit 1 if a goal is missed. Suites: startup, path, nat, nlb, gwlb, ga, l7 (or one of it: alb, dns, edge), tgw, vpn, failover, latency; all by default."""
    from testbed.cli.output import console, print_json, progress

    there = tuple(sorted(path.stem for path in DIRECTORY.glob("*.py") if not path.stem.startswith("_")))
    if not there:
        raise BadSource(f"no benchmarks in {DIRECTORY}", "run from a checkout of the repository")
    wanted = []
    for suite in suites:
        parts = [name for name in there if name == suite or name.startswith(f"{suite}_") or name.endswith(f"_{suite}")]
        if not parts:
            raise BadSource(f"no suite {suite!r}", f"there are: {', '.join(sorted({name.partition('_')[0] for name in there}))}")
        wanted += parts
    rows: list[Row] = []
    with progress("bench", quiet=as_json) as told:
        for suite in wanted or there:
            told(suite)
            rows += _measured(suite, plot)
    if as_json:
        print_json(rows)
    else:
        _print(rows, console())
    return OK if all(row.met for row in rows) else FAILED


def _measured(suite: str, plot: Path | None) -> list[Row]:
    sys.path[:0] = [str(DIRECTORY), str(DIRECTORY.parents[1])]
    spec = importlib.util.spec_from_file_location(suite, DIRECTORY / f"{suite}.py")
    if spec is None or spec.loader is None:
        raise BadSource(f"{suite} is not Python", "see tests/benchmarks")
    module = importlib.util.module_from_spec(spec)
    sys.modules[suite] = module
    spec.loader.exec_module(module)
    draws = plot is not None and "plot" in inspect.signature(module.measure).parameters
    return [_row(measure) for measure in _sequence(module.measure(plot=plot) if draws else module.measure())]


def _sequence(measured: Any) -> Sequence[Any]:
    return tuple(measured)


def _row(measure: Any) -> Row:
    told = measure if isinstance(measure, dict) else {name: getattr(measure, name) for name in ("name", "value", "unit", "against", "goal", "met")}
    return Row(name=str(told["name"]), value=float(told["value"]), unit=str(told["unit"]), against=str(told["against"]), goal=str(told["goal"]), met=bool(told["met"]))


def _print(rows: Sequence[Row], screen: Any) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("what", "value", "unit", "against", "goal", ""):
        table.add_column(heading, justify="right" if heading == "value" else "left")
    for row in rows:
        table.add_row(row.name, f"{row.value:.3g}", row.unit, row.against, row.goal, "[green]met[/]" if row.met else "[red]missed[/]")
    screen.print(table)
