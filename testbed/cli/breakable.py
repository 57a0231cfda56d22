"""What of a plan can be named to `testbed fail`."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from testbed.cli.exits import BadSource, Told
from testbed.cli.running import attached

if TYPE_CHECKING:
    import click

    from testbed.plan import Plan


def named(plan: Plan, what: str) -> str:
    """`what`, if the plan has something of this name. Raises BadSource with the nearest names."""
    from testbed.engine.failure import names

    there = names(plan)
    if what in there or "--".join(reversed(what.split("--"))) in there:
        return what
    near = difflib.get_close_matches(what, there, n=3, cutoff=0.4)
    raise BadSource(f"nothing in {plan.name} is called {what!r}", f"did you mean {' or '.join(near)}?" if near else "name a node, a service, NODE--NODE or NODE/INTERFACE")


def breakable(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Completion: every name in the running lab that begins like this."""
    from testbed.engine.failure import names

    try:
        plan = attached(context.params.get("lab_name")).plan
    except Told:
        return []
    return [name for name in names(plan) if name.startswith(incomplete)]
