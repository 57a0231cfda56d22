"""Which running lab a command means, and which of its nodes."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from testbed.cli.exits import BadSource, NoSuchLab

if TYPE_CHECKING:
    from testbed.engine.remote import RemoteLab
    from testbed.plan import Node, Plan

F = TypeVar("F", bound=Callable[..., object])


def lab_option(function: F) -> F:
    """``--lab NAME``."""
    return click.option("--lab", "lab_name", metavar="NAME", help="The lab, where several run.", shell_complete=lambda c, p, incomplete: [n for n in running() if n.startswith(incomplete)])(function)


def json_option(function: F) -> F:
    """``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="JSON on stdout, for scripts.")(function)


def running() -> tuple[str, ...]:
    """Names of the labs that run, sorted."""
    from testbed.engine import remote

    return tuple(sorted(remote.running()))


def attached(name: str | None) -> RemoteLab:
    """The lab called `name`, or the only one, or the one whose topology is in this folder. Raises `NoSuchLab`."""
    from testbed.engine import remote

    return remote.attach(chosen(name))


def chosen(name: str | None) -> str:
    """`name` if a lab of that name runs, or the name of the only lab, or of the one that was started from a file in this folder (a student's). Raises `NoSuchLab`."""
    names = running()
    if not names:
        raise NoSuchLab("no lab runs" if name is None else f"no lab {name!r} runs", "start one: testbed up web_app")
    if name is None:
        here = names if len(names) == 1 else _started_here(names)
        if len(here) != 1:
            raise NoSuchLab(f"{len(names)} labs run: {', '.join(names)}", "say which: --lab NAME, or go to the folder that its topology is in")
        return here[0]
    if name not in names:
        raise NoSuchLab(f"no lab {name!r} runs", f"running: {', '.join(names)}")
    return name


def _started_here(names: tuple[str, ...]) -> tuple[str, ...]:
    """The labs whose topology is a file in the current folder."""
    from testbed.engine import state

    records = (state.read(name) for name in names)
    return tuple(record.name for record in records if record is not None and ".py" in record.source and Path(record.source.partition(".py")[0]).parent == Path.cwd())


def node_of(plan: Plan, name: str) -> Node:
    """The node called `name`. Raises `BadSource`, with the nearest names."""
    for node in plan.nodes:
        if node.name == name:
            return node
    raise _no_node(name, [node.name for node in plan.nodes], plan.name)


def require_node(lab: RemoteLab, name: str) -> None:
    """Whether the lab has a node called `name`, without fetching its plan. Raises `BadSource`, with the nearest names."""
    names = lab.node_names
    if name not in names:
        raise _no_node(name, names, lab.name)


def _no_node(name: str, names: Sequence[str], where: str) -> BadSource:
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.4)
    return BadSource(f"no node {name!r} in {where}", f"did you mean {' or '.join(near)}?" if near else "testbed plan shows all nodes")


def a_user(plan: Plan) -> str:
    """The user that requests come from unless another is named: the first one. Raises `BadSource`."""
    users = sorted(node.name for node in plan.nodes if node.kind == "user")
    if not users:
        raise BadSource(f"{plan.name} has no users", "name a node: --from NODE")
    return users[0]
