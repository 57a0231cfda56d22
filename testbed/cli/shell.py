"""``testbed shell``."""

from __future__ import annotations

import os
import sys

import click

from testbed.cli.exec import wait_for
from testbed.cli.exits import BadSource
from testbed.cli.running import attached, lab_option, node_of


@click.command("shell")
@lab_option
@click.argument("node", required=False)
def command(lab_name: str | None, node: str | None) -> int:
    """A shell in a node; without one, the Mininet CLI over the whole running lab (``client ping -c1 web-a``, ``nodes``, ``links``).

    \b
    testbed shell web-a
    testbed shell
    """
    lab = attached(lab_name)
    if node is None:
        if not sys.stdin.isatty():
            raise BadSource("Mininet's command line needs a terminal", "run programs one by one: testbed exec NODE -- COMMAND")
        return lab.shell()
    node_of(lab.plan, node)
    environment = {**os.environ, "PS1": f"{lab.name}/{node}# "}
    return wait_for(lab.popen(node, ("bash", "--noprofile", "--norc"), env=environment))
