"""``testbed heal``."""

from __future__ import annotations

import click

from testbed.cli.breakable import chosen
from testbed.cli.exits import BadSource
from testbed.cli.running import attached, json_option, lab_option


@click.command("heal")
@lab_option
@click.argument("what", nargs=-1, metavar="[WHAT]", shell_complete=lambda c, p, incomplete: [name for name in _failing(c.params.get("lab_name")) if name.startswith(incomplete)])
@click.option("--all", "everything", is_flag=True, help="All that was made to fail.")
@json_option
def command(lab_name: str | None, what: tuple[str, ...], everything: bool, as_json: bool) -> None:
    """Heal what `testbed fail` broke: the only thing, unless named.

    \b
    testbed heal router-office
    testbed heal az eu-west-1a
    testbed heal --all
    """
    from testbed.cli.output import console, print_json

    if everything and what:
        raise BadSource("both a name and --all", "give one of them")
    lab = attached(lab_name)
    failing = [failure.what for failure in lab.failures]
    name = chosen(lab.plan, what) if what else None
    if name is None and not everything and len(failing) > 1:
        raise BadSource(f"{len(failing)} things fail: {', '.join(failing)}", "name one, or --all")
    if name is not None and name not in failing:
        raise BadSource(f"{name} has not been made to fail", f"failing now: {', '.join(failing)}" if failing else "nothing fails now")
    healed = lab.heal(name)
    if as_json:
        print_json(healed)
        return
    for failure in healed:
        console().print(f"[green]healed[/] {failure.what} ({failure.words})")
    if not healed:
        console().print("nothing fails")


def _failing(lab_name: str | None) -> list[str]:
    return [failure.what for failure in attached(lab_name).failures]
