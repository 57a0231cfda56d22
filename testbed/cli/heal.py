"""``testbed heal``."""

from __future__ import annotations

import click

from testbed.cli.exits import BadSource
from testbed.cli.running import attached, json_option, lab_option


@click.command("heal")
@lab_option
@click.argument("what", required=False, metavar="[WHAT]", shell_complete=lambda c, p, incomplete: [name for name in _failing(c.params.get("lab_name")) if name.startswith(incomplete)])
@click.option("--all", "everything", is_flag=True, help="All that was made to fail.")
@json_option
def command(lab_name: str | None, what: str | None, everything: bool, as_json: bool) -> None:
    """Heal what `testbed fail` broke: the only thing, unless named.

    \b
    testbed heal router-office
    testbed heal --all
    """
    from testbed.cli.output import console, print_json

    if everything and what:
        raise BadSource("both a name and --all", "give one of them")
    lab = attached(lab_name)
    failing = [failure.what for failure in lab.failures]
    if what is None and not everything and len(failing) > 1:
        raise BadSource(f"{len(failing)} things fail: {', '.join(failing)}", "name one, or --all")
    if what is not None and what not in failing:
        raise BadSource(f"{what} has not been made to fail", f"failing now: {', '.join(failing)}" if failing else "nothing fails now")
    healed = lab.heal(what)
    if as_json:
        print_json(healed)
        return
    for failure in healed:
        console().print(f"[green]healed[/] {failure.what} ({failure.words})")
    if not healed:
        console().print("nothing fails")


def _failing(lab_name: str | None) -> list[str]:
    return [failure.what for failure in attached(lab_name).failures]
