"""Rulesets into namespaces, through the `nft` command: one process and one transaction per namespace. A change is told with what it refers to (`plan.outline`), so that nft reads nothing.

The kernel takes a transaction in one message, which must fit the sender's buffer. Root raises that as far as is needed; in a user namespace it stays what
``net.core.wmem_default`` says (some 200 kB, a few hundred rules), and a larger transaction is refused with "Message too long". Such a ruleset is given in portions, and so that filters
never fail open, a table of its own drops all that enters or leaves the namespace from before the first until after the last: flows stand still meanwhile, and go on.
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Mapping, Sequence

from testbed.engine import syscalls
from testbed.engine.errors import RealiseError
from testbed.plan import NOTHING_IS_READ, NodeChange, Ruleset, change_commands, must_be_read, outline, render, render_change, ruleset_commands

NETLINK_NETFILTER, SO_SNDBUFFORCE = 12, 32
LARGE = 1 << 28
BYTES_OF_A_CHARACTER = 6
"""About how many bytes of message come of a character of text; where it is more, the portion is halved."""
TOO_LONG = "Message too long"
CLOSE = """table ip testbed_closed {
  chain in { type filter hook prerouting priority -450; policy drop; }
  chain out { type filter hook output priority -450; policy drop; }
}
"""
OPEN = "delete table ip testbed_closed\n"


class TooLongError(RealiseError):
    """A transaction is larger than the kernel takes from us."""


def load(ruleset: Ruleset, namespace: int) -> None:
    """Replace the tables of `ruleset` in the namespace, all at once or not at all; connections are not touched. Raises RealiseError with nft's words."""
    text = render(ruleset)
    if not _tried(text, namespace):
        _in_portions(ruleset_commands(ruleset), namespace)


def change(node: NodeChange, numbers: Mapping[str, int], namespace: int) -> None:
    """Make the ruleset of the namespace what the changed node's is, in one transaction. `numbers` are those of interfaces that are gone or were made anew. Raises RealiseError."""
    replaced = Ruleset() if node.tables is None else node.tables
    removed = tuple(f"delete table {family} {name}\n" for family, name in node.tables_removed)
    edits = [render_change(table, numbers) for table in node.tables_edited]
    if any(map(must_be_read, node.tables_edited)):
        text = "".join((render(replaced), *edits, *removed))
    else:
        known = [outline(table.before, edit) for table, edit in zip(node.tables_edited, edits, strict=True)]
        text = "".join((NOTHING_IS_READ, render(replaced), *known, *edits, *removed))
    if not _tried(text, namespace):
        _in_portions((*ruleset_commands(replaced), *(command for table in node.tables_edited for command in change_commands(table, numbers)), *removed), namespace)


def load_text(text: str, namespace: int) -> None:
    """Give `text` to ``nft -f -`` in the namespace. Raises RealiseError."""
    with syscalls.network_namespace(namespace):
        done = subprocess.run(["nft", "-f", "-"], input=text, text=True, capture_output=True, check=False, env={**os.environ, "LC_ALL": "C"})
    if done.returncode != 0:
        raise (TooLongError if TOO_LONG in done.stderr else RealiseError)(f"nft refused a ruleset: {done.stderr.strip()[:2000]}")


def largest_message() -> int:
    """How many bytes a transaction of ours may have."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER) as probe:
        try:
            probe.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, LARGE)
        except PermissionError:
            return probe.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
    return LARGE


def _tried(text: str, namespace: int) -> bool:
    """Whether the text went in as one transaction; False if it is larger than the kernel takes."""
    if len(text) > largest_message():
        return False
    try:
        load_text(text, namespace)
    except TooLongError:
        return False
    return True


def _in_portions(commands: Sequence[str], namespace: int) -> None:
    """Carry the commands out in as many transactions as it takes, while nothing enters or leaves the namespace."""
    load_text(CLOSE, namespace)
    most = largest_message() // BYTES_OF_A_CHARACTER
    portion: list[str] = []
    size = 0
    for command in commands:
        if portion and size + len(command) > most:
            _carry_out(portion, namespace)
            portion, size = [], 0
        portion.append(command)
        size += len(command)
    _carry_out(portion, namespace)
    load_text(OPEN, namespace)


def _carry_out(commands: Sequence[str], namespace: int) -> None:
    try:
        load_text("".join(commands), namespace)
    except TooLongError:
        if len(commands) == 1:
            raise
        half = len(commands) // 2
        _carry_out(commands[:half], namespace)
        _carry_out(commands[half:], namespace)
