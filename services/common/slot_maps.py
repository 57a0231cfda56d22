"""A kernel map of slots, as a daemon keeps it: a hash of a new flow picks a slot, a slot holds the address to which the flow goes.

`change_text` gives only what differs from what was last written, in one transaction: a packet sees the old slots or the new ones. Established flows do not look at slots.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Protocol

log = logging.getLogger(__name__)


class Element(Protocol):
    """What a slot can hold; equal ones have the same text."""

    @property
    def element(self) -> str:
        """As the value of a map's element."""


Slots = tuple[Element, ...]
"""What each slot of a map holds."""


def whole_text(table: str, maps: Mapping[str, Slots]) -> str:
    """The text for ``nft -f -`` that writes maps anew, whatever they hold."""
    lines = []
    for name, slots in sorted(maps.items()):
        lines.append(f"flush map ip {table} {name}")
        if slots:
            lines.append(f"add element ip {table} {name} {{ {', '.join(f'{slot} : {target.element}' for slot, target in enumerate(slots))} }}")
    return _lines(lines)


def change_text(table: str, old: Mapping[str, Slots], new: Mapping[str, Slots]) -> str:
    """The text that makes `old` into `new`: maps of the same names, with as many slots each. Empty if they are the same."""
    lines = []
    for name, slots in sorted(new.items()):
        changed = [(slot, target) for slot, (before, target) in enumerate(zip(old[name], slots, strict=True)) if before != target]
        if changed:
            lines.append(f"delete element ip {table} {name} {{ {', '.join(str(slot) for slot, _ in changed)} }}")
            lines.append(f"add element ip {table} {name} {{ {', '.join(f'{slot} : {target.element}' for slot, target in changed)} }}")
    return _lines(lines)


class Kernel:
    """The maps of a node's table. `write` takes every map's slots; what it does is done when it returns."""

    def __init__(self) -> None:
        self._written: dict[str, Slots] | None = None
        self._table = ""

    def forget(self) -> None:
        """Somebody else may have written: the next `write` writes everything."""
        self._written = None

    async def write(self, table: str, maps: Mapping[str, Slots]) -> None:
        """Make the maps hold these slots. Raises OSError with nft's words."""
        known = self._written
        alike = known is not None and table == self._table and {name: len(slots) for name, slots in known.items()} == {name: len(slots) for name, slots in maps.items()}
        self._written, self._table = None, table
        if known is not None and alike:
            text = change_text(table, known, maps)
            try:
                await _nft(text)
            except OSError as error:  # the ruleset was changed under us
                log.info("%s; writing the maps anew", error)
                await _nft(whole_text(table, maps))
        else:
            await _nft(whole_text(table, maps))
        self._written = dict(maps)


async def _nft(text: str) -> None:
    if not text:
        return
    code, words = await run(("nft", "-f", "-"), text)
    if code != 0:
        raise OSError(f"nft: {words[:500]}")


async def run(command: tuple[str, ...], given: str) -> tuple[int, str]:
    """Run a program with `given` on its standard input: its exit code, and what it says of errors. Raises OSError where there is none."""
    process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE)
    _, words = await process.communicate(given.encode())
    return process.returncode or 0, words.decode(errors="replace").strip()


def _lines(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
