"""``testbed exec``."""

from __future__ import annotations

import signal
import subprocess

import click

from testbed.cli.exits import Told
from testbed.cli.running import attached, lab_option, require_node


@click.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@lab_option
@click.argument("node")
@click.argument("program", nargs=-1, required=True, type=click.UNPROCESSED)
def command(lab_name: str | None, node: str, program: tuple[str, ...]) -> int:
    """Run any program of this machine in a node. It resolves names in the lab and trusts the lab's certificates; its exit code is passed on.

    \b
    testbed exec client -- curl -v https://shop.example.com/
    testbed exec client dig +trace shop.example.com
    testbed exec web-a -- psql -h shop-db… shop
    """
    lab = attached(lab_name)
    require_node(lab, node)
    arguments = program[1:] if program[0] == "--" else program
    try:
        process = lab.popen(node, arguments)
    except FileNotFoundError as error:
        raise Told(f"no program {arguments[0]!r} on this machine", "install it here; every node sees it") from error
    return wait_for(process)


def wait_for(process: subprocess.Popen[bytes]) -> int:
    """Wait for a program that shares our terminal: Ctrl-C is for it, not for us. Returns its exit code as a shell tells it."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        code = process.wait()
    finally:
        signal.signal(signal.SIGINT, before)
    return code if code >= 0 else 128 - code
