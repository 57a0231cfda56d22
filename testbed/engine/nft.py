"""Rulesets into namespaces, through the `nft` command: one process and one transaction per namespace."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable

from testbed.engine import syscalls
from testbed.engine.errors import RealiseError
from testbed.plan import Ruleset, render


def load(ruleset: Ruleset, namespace: int) -> None:
    """Replace the tables of `ruleset` in the namespace, all at once or not at all; connections are not touched. Raises RealiseError with nft's words."""
    load_text(render(ruleset), namespace)


def load_text(text: str, namespace: int) -> None:
    """Give `text` to ``nft -f -`` in the namespace. Raises RealiseError."""
    with syscalls.network_namespace(namespace):
        done = subprocess.run(["nft", "-f", "-"], input=text, text=True, capture_output=True, check=False)
    if done.returncode != 0:
        raise RealiseError(f"nft refused a ruleset: {done.stderr.strip()[:2000]}")


def delete_tables(tables: Iterable[tuple[str, str]], namespace: int) -> None:
    """Remove tables, named by (family, name), from the namespace."""
    load_text("".join(f"delete table {family} {name}\n" for family, name in tables), namespace)
