"""What a node tells the kernel: elements of its maps, by nft, and flows to forget, by conntrack. One process each, of which there are few.

`change_text` gives only what differs from what was last written, in one transaction: a packet sees the old slots or the new ones. Established flows do not look at slots.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from services.nlb.config import Target

log = logging.getLogger(__name__)
Slots = tuple[Target, ...]
"""The target of each slot of a map."""
NOTHING_FOUND = 1
"""conntrack's exit code where there is no such flow."""


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


async def end_flows(target: Target, protocols: tuple[str, ...]) -> None:
    """Forget the flows to a target: whoever sends the next packet of one of TCP gets a reset. Raises OSError."""
    for protocol in protocols:
        code, words = await _run(("conntrack", "-D", "-p", protocol, "--reply-src", str(target.address), "--reply-port-src", str(target.port)), "")
        if code not in (0, NOTHING_FOUND):
            raise OSError(f"conntrack: {words}")


async def _nft(text: str) -> None:
    if not text:
        return
    code, words = await _run(("nft", "-f", "-"), text)
    if code != 0:
        raise OSError(f"nft: {words[:500]}")


async def _run(command: tuple[str, ...], given: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE)
    _, words = await process.communicate(given.encode())
    return process.returncode or 0, words.decode(errors="replace").strip()


def _lines(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
