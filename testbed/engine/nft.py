"""Rulesets into namespaces, through the `nft` command: one process and one transaction per namespace."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping

from testbed.engine import syscalls
from testbed.engine.errors import RealiseError
from testbed.plan import NodeChange, Ruleset, render, render_change


def load(ruleset: Ruleset, namespace: int) -> None:
    """Replace the tables of `ruleset` in the namespace, all at once or not at all; connections are not touched. Raises RealiseError with nft's words."""
    load_text(render(ruleset), namespace)


def change(node: NodeChange, numbers: Mapping[str, int], namespace: int) -> None:
    """Make the ruleset of the namespace what the changed node's is, in one transaction. `numbers` are those of interfaces that are gone or were made anew. Raises RealiseError."""
    text = "" if node.tables is None else render(node.tables)
    text += "".join(render_change(table, numbers) for table in node.tables_edited)
    text += "".join(f"delete table {family} {name}\n" for family, name in node.tables_removed)
    load_text(text, namespace)


def load_text(text: str, namespace: int) -> None:
    """Give `text` to ``nft -f -`` in the namespace. Raises RealiseError."""
    with syscalls.network_namespace(namespace):
        done = subprocess.run(["nft", "-f", "-"], input=text, text=True, capture_output=True, check=False)
    if done.returncode != 0:
        raise RealiseError(f"nft refused a ruleset: {done.stderr.strip()[:2000]}")
