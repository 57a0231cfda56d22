"""``testbed scaling``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click
import msgspec

from testbed.cli.exits import BadSource
from testbed.cli.running import attached, json_option, lab_option

if TYPE_CHECKING:
    from testbed.scaling.status import GroupStatus

SHOWN = 12


@click.command("scaling")
@lab_option
@click.argument("group", metavar="[GROUP]", required=False)
@click.option("--all", "everything", is_flag=True, help=f"Every activity, not the last {SHOWN} only.")
@json_option
def command(lab_name: str | None, group: str | None, everything: bool, as_json: bool) -> None:
    """Auto Scaling groups and ECS services: sizes, instances and tasks, and scaling activities with their causes, in AWS's words.

    \b
    testbed scaling
    testbed fail web-a               its status checks fail: it is replaced
    testbed fail az eu-west-1a       a whole zone: its instances are replaced elsewhere
    testbed scaling asg-web --json
    """
    from testbed.cli.output import print_json
    from testbed.scaling.status import GroupStatus

    lab = attached(lab_name)
    groups = msgspec.convert(lab.ask("scaling")["groups"], tuple[GroupStatus, ...])
    wanted = tuple(each for each in groups if group in (None, each.name))
    if not wanted:
        raise BadSource(f"no Auto Scaling group or ECS service {group!r}" if group else "the lab has no Auto Scaling group and no ECS service", f"there are: {', '.join(each.name for each in groups) or 'none'}")
    if as_json:
        print_json(wanted)
        return
    for each in wanted:
        _draw(each, None if everything else SHOWN)
    if (scale := lab.plan.time_scale) != 1:
        from testbed.cli.output import console

        console().print(f"[dim]AWS's timers run {scale:g} times as fast in this lab.[/]")


def _draw(group: GroupStatus, shown: int | None) -> None:
    from rich.markup import escape
    from rich.table import Table

    from testbed.cli.output import console

    screen = console()
    bounds = f", min {group.min_size}, max {group.max_size}" if group.kind == "Auto Scaling group" else ""
    screen.print(f"[bold]{group.name}[/] ({group.kind}): desired {group.desired_capacity}{bounds}")
    for policy, value in group.requests_per_target:
        screen.print(f"  {policy}: {'no requests' if value is None else f'{value:.1f} requests per target'} in the last minute")
    members = Table("  member", "zone", "lifecycle state", "health status", "target health", box=None, pad_edge=False)
    for member in group.members:
        colour = "red" if "Unhealthy" in member.health_status or member.target == "unhealthy" else "green" if member.lifecycle_state in ("InService", "RUNNING") else "yellow"
        members.add_row(f"  [{colour}]{member.name}[/]", member.availability_zone, member.lifecycle_state, member.health_status, member.target or "-")
    screen.print(members)
    for activity in group.activities[:shown]:
        at = datetime.fromtimestamp(activity.started, UTC).strftime("%H:%M:%S")
        colour = {"Successful": "green", "Failed": "red"}.get(activity.status_code, "yellow")
        screen.print(f"  {at} [{colour}]{activity.status_code}[/] {escape(activity.description)}")
        for words in (activity.cause, activity.status_message):
            if words:
                screen.print(f"           [dim]{escape(words)}[/]")
