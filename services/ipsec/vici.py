"""strongSwan's control protocol, VICI: messages to bytes and back, and a connection that asks and listens.

    length (4 bytes, big-endian) │ type (1) │ name of the command or event, if the type has one (1 + n) │ elements

A message is a mapping of strings, lists of strings and mappings (strongSwan, "The Versatile IKE Control Interface (VICI) protocol": documented).
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Iterator, Mapping

COMMAND, RESPONSE, UNKNOWN_COMMAND, REGISTER, UNREGISTER, CONFIRM, UNKNOWN_EVENT, EVENT = range(8)
NAMED = frozenset((COMMAND, REGISTER, UNREGISTER, EVENT))
SECTION_START, SECTION_END, KEY_VALUE, LIST_START, LIST_ITEM, LIST_END = range(1, 7)
LONGEST_PACKET_BYTES = 512 * 1024

Message = Mapping[str, "str | list[str] | Message"]


class ViciError(Exception):
    """charon does not know a command, or refuses it; the message is its own."""


def encode(message: Message) -> bytes:
    """The elements of a message."""
    parts = []
    for key, value in message.items():
        name = _short(key)
        if isinstance(value, str):
            parts.append(bytes((KEY_VALUE,)) + name + _long(value))
        elif isinstance(value, list):
            items = b"".join(bytes((LIST_ITEM,)) + _long(item) for item in value)
            parts.append(bytes((LIST_START,)) + name + items + bytes((LIST_END,)))
        else:
            parts.append(bytes((SECTION_START,)) + name + encode(value) + bytes((SECTION_END,)))
    return b"".join(parts)


def decode(data: bytes) -> Message:
    """The message in some elements. Raises ViciError."""
    reader = _Reader(data)
    message = reader.section()
    if reader.at < len(data):
        raise ViciError(f"{len(data) - reader.at} bytes after the end of a message")
    return message


def packet(kind: int, name: str, message: Message) -> bytes:
    """A whole packet, its length first; `name` is left out where the kind has none."""
    body = bytes((kind,)) + (_short(name) if kind in NAMED else b"") + encode(message)
    return struct.pack(">I", len(body)) + body


def opened(body: bytes) -> tuple[int, str, Message]:
    """Kind, name (empty where there is none) and message of a packet without its length. Raises ViciError."""
    if not body:
        raise ViciError("an empty packet")
    kind, rest, name = body[0], body[1:], ""
    if kind in NAMED:
        name, rest = rest[1 : 1 + rest[0]].decode(), rest[1 + rest[0] :]
    return kind, name, decode(rest)


class Vici:
    """A connection to charon. `on_event` hears events whose names were registered."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, on_event: Callable[[str, Message], None]) -> None:
        self._reader, self._writer, self._on_event = reader, writer, on_event
        self._answers: asyncio.Queue[tuple[int, Message]] = asyncio.Queue()
        self._streamed: dict[str, list[Message]] = {}
        self._turn = asyncio.Lock()

    async def listen(self) -> None:
        """Take packets until charon ends. Run as a task of its own. Raises ViciError at the end of the connection."""
        while True:
            try:
                length = struct.unpack(">I", await self._reader.readexactly(4))[0]
                body = await self._reader.readexactly(length)
            except (asyncio.IncompleteReadError, ConnectionError) as error:
                raise ViciError("charon has closed its control socket") from error
            kind, name, message = opened(body)
            if kind == EVENT and name in self._streamed:
                self._streamed[name].append(message)
            elif kind == EVENT:
                self._on_event(name, message)
            else:
                self._answers.put_nowait((kind, message))

    async def register(self, event: str) -> None:
        """Hear events of this name from now on. Raises ViciError."""
        kind, _ = await self._ask(packet(REGISTER, event, {}))
        if kind != CONFIRM:
            raise ViciError(f"charon knows no event {event}")

    async def request(self, command: str, message: Message) -> Message:
        """charon's answer to a command. Raises ViciError if it does not succeed."""
        kind, answer = await self._ask(packet(COMMAND, command, message))
        if kind != RESPONSE:
            raise ViciError(f"charon knows no command {command}")
        if answer.get("success") == "no":
            raise ViciError(f"{command}: {answer.get('errmsg', 'refused')}")
        return answer

    async def stream(self, command: str, event: str) -> tuple[Message, ...]:
        """What a command says in events of one kind, before its answer. Raises ViciError."""
        async with self._turn:
            self._streamed[event] = []
            for kind, name in ((REGISTER, event), (COMMAND, command), (UNREGISTER, event)):
                self._writer.write(packet(kind, name, {}))
                answer, _ = await self._answers.get()
                if answer not in (CONFIRM, RESPONSE):
                    raise ViciError(f"charon knows no {name}")
            return tuple(self._streamed.pop(event))

    async def _ask(self, data: bytes) -> tuple[int, Message]:
        async with self._turn:
            self._writer.write(data)
            await self._writer.drain()
            return await self._answers.get()


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def section(self) -> Message:
        """Elements up to the end of this section or of the data."""
        message: dict[str, str | list[str] | Message] = {}
        while self.at < len(self._data):
            kind = self._take(1)[0]
            if kind == SECTION_END:
                break
            name = self._take(self._take(1)[0]).decode()
            if kind == KEY_VALUE:
                message[name] = self._value()
            elif kind == LIST_START:
                message[name] = list(self._items())
            elif kind == SECTION_START:
                message[name] = self.section()
            else:
                raise ViciError(f"element of type {kind} in a message")
        return message

    def _items(self) -> Iterator[str]:
        while (kind := self._take(1)[0]) == LIST_ITEM:
            yield self._value()
        if kind != LIST_END:
            raise ViciError(f"element of type {kind} in a list")

    def _value(self) -> str:
        return self._take(struct.unpack(">H", self._take(2))[0]).decode(errors="replace")

    def _take(self, count: int) -> bytes:
        if self.at + count > len(self._data):
            raise ViciError("a message that ends too early")
        self.at += count
        return self._data[self.at - count : self.at]


def _short(text: str) -> bytes:
    data = text.encode()
    return bytes((len(data),)) + data


def _long(text: str) -> bytes:
    data = text.encode()
    return struct.pack(">H", len(data)) + data
