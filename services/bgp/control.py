"""BIRD's control protocol over its unix socket, and what of its answers and of its log the server goes by.

A command is one line; the answer is lines ``CCCC-text`` and last one ``CCCC text``; codes below 8000 are good news. Lines that begin with a space go on with the code before.
Source: BIRD 2 programmer's documentation, "Command line interface" (documented).
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

ANSWER = re.compile(r"^(\d{4})([- ])(.*)$")
FIRST_ERROR = 8000
STATE_CHANGED = re.compile(r"<TRACE> ([^ ]+): State changed to (\w+)$")
LAST_ERROR = re.compile(r"^\s*Last error:\s*(.*\S)\s*$", re.MULTILINE)
BGP_STATE = re.compile(r"^\s*BGP state:\s*(\S+)", re.MULTILINE)
ESTABLISHED = "Established"


class ControlError(Exception):
    """BIRD refused a command; the message is its own."""


async def ask(socket: Path, command: str) -> str:
    """BIRD's answer to `command`, its codes taken off. Raises OSError if nobody listens, `ControlError` if BIRD refuses."""
    reader, writer = await asyncio.open_unix_connection(str(socket))
    try:
        await _answer(reader)  # the greeting
        writer.write(command.encode() + b"\n")
        await writer.drain()
        return await _answer(reader)
    finally:
        writer.close()


async def _answer(reader: asyncio.StreamReader) -> str:
    lines = []
    while line := (await reader.readline()).decode(errors="replace").rstrip("\n"):
        found = ANSWER.match(line)
        if found is None:
            lines.append(line[1:])
            continue
        lines.append(found[3])
        if found[2] == " ":
            if int(found[1]) >= FIRST_ERROR:
                raise ControlError(found[3])
            return "\n".join(lines)
    raise ConnectionError("BIRD closed its control socket")


def changed(line: str) -> str | None:
    """The protocol whose state the log line tells to have changed."""
    found = STATE_CHANGED.search(line)
    return found[1] if found else None


def is_established(protocol: str) -> bool:
    """Whether ``show protocols all`` describes a session that is up."""
    found = BGP_STATE.search(protocol)
    return found is not None and found[1] == ESTABLISHED


def last_error(protocol: str) -> str:
    """Why the session that ``show protocols all`` describes went down, in BIRD's words; empty if it never did."""
    found = LAST_ERROR.search(protocol)
    return found[1] if found else ""
