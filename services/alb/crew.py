"""A node of several processes: one that listens, checks targets and serves, and helpers that serve what it hands them.

    listening socket ─▶ chief ──┬─ every n-th connection: its own
                                └─ the others: to helpers, as descriptors over a socket
    chief ──▶ helper    a configuration (in memory, as a descriptor), a target's health, a connection
    board               requests in progress, by process and target: memory that all share, each process writing its own cells, so that least_outstanding_requests
                        is the node's, as it is on AWS, and a target has drained when all have finished

Helpers are forked before any event loop runs. They check no target and tell no health: they are told. One that dies takes the node with it, and supervision brings that back.
Of weights and turns each process keeps its own (weighted_random, round_robin, anomalies): they are statistics of requests, and each has its share of these.
Source: that a node has a share of the load and its state by itself is as with AWS's nodes ("How Elastic Load Balancing works"); the processes are this testbed's.
"""

from __future__ import annotations

import mmap
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from services.common.child import dies_with_us

CELLS = 65_536
"""Targets at a time; a number is used again after so many others."""
LONGEST_MESSAGE_BYTES = 65_536
_BUFFER_BYTES = 1 << 20


class Configured(msgspec.Struct, frozen=True, tag=True):
    """A new configuration, in the descriptor that comes along; the cells of its targets by ``group place``."""

    cells: dict[str, int]


class Health(msgspec.Struct, frozen=True, tag=True):
    """A target's health has changed."""

    group: str
    place: str
    state: str
    reason: str
    slow_since: float | None


class Connection(msgspec.Struct, frozen=True, tag=True):
    """A connection of a listener; its descriptor comes along."""

    listener: str


Message = Configured | Health | Connection
_decoder = msgspec.json.Decoder(Message)


class Board:
    """Requests in progress. `own` is the process that this copy writes for."""

    def __init__(self, processes: int) -> None:
        self._cells = memoryview(mmap.mmap(-1, 4 * CELLS * processes)).cast("i")
        self._processes = processes
        self.own = 0

    def write(self, cell: int, outstanding: int) -> None:
        """Say how many requests this process has at a target."""
        self._cells[self.own * CELLS + cell] = outstanding

    def total(self, cell: int) -> int:
        """How many requests all processes have there."""
        return sum(self._cells[process * CELLS + cell] for process in range(self._processes))


@dataclass(frozen=True, slots=True)
class Helper:
    """A helper, seen from the chief."""

    pid: int
    link: socket.socket


class Crew:
    """The chief's side: whose turn it is, and telling all."""

    def __init__(self, helpers: tuple[Helper, ...], board: Board) -> None:
        self.helpers = helpers
        self.board = board
        self._turn = 0
        self._next_cell = 0

    def cell(self) -> int:
        """The cells of a new target."""
        self._next_cell += 1
        return self._next_cell % CELLS

    def tell(self, message: Message, descriptor: int | None = None) -> None:
        """Send to all helpers, waiting where one is slow to read."""
        for helper in self.helpers:
            socket.send_fds(helper.link, [msgspec.json.encode(message)], [] if descriptor is None else [descriptor])

    def configure(self, text: str, cells: dict[str, int]) -> None:
        """Send all helpers a configuration."""
        descriptor = os.memfd_create("configuration")
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode())
            file.flush()
            self.tell(Configured(cells), descriptor)

    def hand_over(self, listener: str, connection: socket.socket) -> bool:
        """Give a connection to whose turn it is; False if it is the chief's own (by its turn, or because the helper reads nothing)."""
        self._turn = (self._turn + 1) % (len(self.helpers) + 1)
        if self._turn == 0:
            return False
        helper = self.helpers[self._turn - 1]
        try:
            socket.send_fds(helper.link, [msgspec.json.encode(Connection(listener))], [connection.fileno()], socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        return True


def received(link: socket.socket) -> tuple[Message, int | None] | None:
    """The next message with its descriptor; None if the chief has gone. Raises BlockingIOError if there is none yet."""
    data, descriptors, _, _ = socket.recv_fds(link, LONGEST_MESSAGE_BYTES, 1)
    if not data:
        return None
    return _decoder.decode(data), descriptors[0] if descriptors else None


def configuration_in(descriptor: int) -> bytes:
    """What `Configured` came with; closes it."""
    with os.fdopen(descriptor, "rb") as file:
        file.seek(0)
        return file.read()


def fork(count: int, help_with: Callable[[socket.socket, Board], None]) -> Crew:
    """Fork so many helpers, each of which does `help_with` (its end of the link, the board) and ends. To be called before an event loop runs."""
    board, helpers, ask = Board(count + 1), list[Helper](), dies_with_us(signal.SIGKILL)
    for number in range(1, count + 1):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                ask()
                ours.close()
                for helper in helpers:
                    helper.link.close()
                board.own = number
                help_with(theirs, board)
                code = 0
            finally:
                os._exit(code)
        theirs.close()
        helpers.append(Helper(pid, ours))
    return Crew(tuple(helpers), board)
