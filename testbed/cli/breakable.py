"""What of a plan can be named to `testbed fail`."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from testbed.cli.exits import BadSource, Told
from testbed.cli.running import attached

if TYPE_CHECKING:
    import click

    from testbed.plan import Plan

AVAILABILITY_ZONE = "az"


def named(plan: Plan, what: str) -> str:
    """`what`, if the plan has something of this name. Raises BadSource with the nearest names."""
    from testbed.engine.failure import names

    there = names(plan)
    if what in there or "--".join(reversed(what.split("--"))) in there:
        return what
    near = difflib.get_close_matches(what, there, n=3, cutoff=0.4)
    raise BadSource(f"nothing in {plan.name} is called {what!r}", f"did you mean {' or '.join(near)}?" if near else "name a node, a service, NODE--NODE or NODE/INTERFACE")


def chosen(plan: Plan, words: tuple[str, ...]) -> str:
    """What the words name: one name, or ``az`` and a zone's. Raises BadSource."""
    from testbed.engine.failure import zones

    if words[0] == AVAILABILITY_ZONE and len(words) == 2:
        if words[1] not in zones(plan):
            raise BadSource(f"{words[1]} is no Availability Zone of {plan.name}", f"there are: {', '.join(zones(plan)) or 'none'}")
        return words[1]
    if len(words) > 1:
        raise BadSource(f"{len(words)} names", "name one thing at a time")
    return named(plan, words[0])


def breakable(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Completion: every name in the running lab that begins like this."""
    from testbed.engine.failure import names

    try:
        plan = attached(context.params.get("lab_name")).plan
    except Told:
        return []
    return [name for name in names(plan) if name.startswith(incomplete)]
