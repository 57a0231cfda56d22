"""``testbed ps``."""

from __future__ import annotations

import time

import click

from testbed.cli.running import attached, json_option, lab_option, running

STATE_STYLES = {"ready": "green", "running": "green", "starting": "yellow", "failed": "red", "stopped": "red"}


@click.command("ps")
@lab_option
@json_option
def command(lab_name: str | None, as_json: bool) -> None:
    """The running labs, and the services of each: process, state, restarts, age, unshared memory; and what has been made to fail."""
    from testbed.cli.output import console, print_json, remarks

    names = (lab_name,) if lab_name is not None else running()
    labs = [attached(name) for name in names]
    if as_json:
        print_json([{"lab": lab.name, "topology_source": lab.topology_source, "services": lab.ps(), "failures": lab.failures} for lab in labs])
        return
    if not labs:
        remarks().print("no lab runs (start one: testbed up web_app)")
    from rich.table import Table

    for lab in labs:
        services = lab.ps()
        total_mib = sum(service.memory_kib for service in services) / 1024
        table = Table(box=None, pad_edge=False, title=f"{lab.name}: {len(lab.node_names)} nodes, {len(services)} services, {total_mib:.0f} MiB", title_justify="left")
        for heading in ("service", "kind", "node"):
            table.add_column(heading)
        for heading in ("pid", "restarts", "age", "MiB"):
            table.add_column(heading, justify="right")
        table.add_column("state")
        for service in sorted(services, key=lambda service: (service.node, service.name)):
            table.add_row(
                service.name, service.kind, service.node, str(service.pid or "-"), str(service.restarts), _age(time.time() - service.since),
                f"{service.memory_kib / 1024:.1f}", f"[{STATE_STYLES.get(service.state, 'yellow')}]{service.state}[/]",
            )
        console().print(table)
        for failure in lab.failures:
            console().print(f"[red]{failure.words}[/] {failure.what}: {', '.join((*failure.links, *failure.services))}  (testbed heal {failure.what})")


def _age(seconds: float) -> str:
    if seconds < 100:
        return f"{max(0, seconds):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.0f} h"
