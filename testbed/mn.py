"""The Mininet adapter: ``mn --custom topologies/web_app.py --topo web_app`` starts the same network as ``testbed up web_app``.

A topology file ends with ``topos = mininet_topos(web_app)``. Read by `mn`, that first moves `mn` into a sandbox, so that it needs no root,
leaves nothing behind, and can clean up only what is its own. Read by anything else, it costs nothing: all imports are late.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from testbed.model.topology import Topology


def mininet_topos(build: Callable[[], Topology]) -> dict[str, Callable[[], Any]]:
    """Mininet's `topos` dictionary for one topology function."""
    if Path(sys.argv[0]).name == "mn":
        _move_into_sandbox()
    return {build.__name__: lambda: _topo(build)}


def _move_into_sandbox() -> None:
    from testbed.engine import sandbox
    from testbed.engine.topo import spare_the_host

    if not sandbox.inside():
        print("mn goes on inside a sandbox of its own: no root needed, nothing left behind", file=sys.stderr)  # noqa: T201
        sandbox.enter()
    spare_the_host()


def _topo(build: Callable[[], Topology]) -> Any:
    from testbed.compile import compile_plan
    from testbed.engine import sandbox
    from testbed.engine.topo import PlanTopo
    from testbed.resolve import resolve

    plan = compile_plan(resolve(build()))
    return PlanTopo(plan, sandbox.RUN / "labs" / plan.name, lambda words: print(words, file=sys.stderr))  # noqa: T201
