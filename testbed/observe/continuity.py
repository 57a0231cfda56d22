"""Traffic that goes on while things break: a numbered datagram every 10 ms, and a TCP connection that says as much, both answered by the far end; and how long they were without answers.

    source ── datagram n ──► destination ── n ──► source        lost: never answered
    source ══ one TCP connection, n every 10 ms ══ its echo     stalled: the longest time without anything new; it retransmits at 0.2, 0.4, 0.8 … s, so it learns late that the way is free again

An outage is as long as from the last answered datagram before it to the first one after it, by the times at which they were sent: the way's own delay is not in it.
"""

from __future__ import annotations

import selectors
import socket
import struct
import threading
import time
from dataclasses import dataclass
from ipaddress import IPv4Address
from itertools import pairwise

from testbed.observe.lab_view import LabView
from testbed.observe.places import address_of

EVERY_S = 0.01
NUMBER = struct.Struct("!Q")
ON_ITS_WAY_S = 0.5
"""What was sent so shortly before the end, and is not answered yet, counts neither way."""
CONNECT_TIMEOUT_S = 5.0
AT_ONCE = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """What a stretch of time did to the traffic. `lost` of `sent` datagrams were never answered; `duration_s` is the longest outage, 0 without loss; `tcp_stalled_s` the longest silence of
    the connection, `tcp_alive` whether it has caught up since."""

    sent: int
    lost: int
    duration_s: float
    tcp_stalled_s: float
    tcp_alive: bool

    def __str__(self) -> str:
        tcp = f"TCP went on after {self.tcp_stalled_s:.2f} s" if self.tcp_alive else "TCP has not gone on"
        return f"{self.lost} of {self.sent} datagrams lost, out for {self.duration_s:.2f} s; {tcp}"


class Continuity:
    """Traffic from the node `source` to the node `destination` while the context is open, to a port of UDP's and TCP's (0: any that is free). Raises LookupError if the destination has no address, OSError if the connection cannot be made."""

    def __init__(self, lab: LabView, source: str, destination: str, port: int = 0) -> None:
        address = address_of(lab.plan, destination)
        if address is None:
            raise LookupError(f"{destination} has no address of its own")
        self._sent: list[float] = []
        self._answered: dict[int, float] = {}
        self._heard: list[tuple[float, int]] = []
        self._error: OSError | None = None
        self._ending = threading.Event()
        self._lab, self._source, self._destination, self._address, self._port = lab, source, destination, address, port
        self._thread = threading.Thread(target=self._run, name=f"continuity {source} {destination}", daemon=True)

    def __enter__(self) -> Continuity:
        self._open(self._address)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()
        for opened in (self._datagrams, self._echo, self._connection, self._far_end):
            opened.close()

    def now(self) -> float:
        """The clock of `outage`."""
        return time.monotonic()

    def outage(self, since: float, until: float | None = None) -> Outage:
        """What happened to what was sent between two times of `now`."""
        end = time.monotonic() if until is None else until
        sent = [(number, at) for number, at in enumerate(tuple(self._sent)) if since <= at <= end and (number in self._answered or end - at > ON_ITS_WAY_S)]
        answered = [at for number, at in sent if number in self._answered]
        bounds = [since, *answered, *([] if answered and answered[-1] == sent[-1][1] else [end])]
        gaps = [later - earlier for earlier, later in pairwise(bounds)]
        lost = len(sent) - len(answered)
        heard = [since, *(at for at, _ in tuple(self._heard) if since <= at <= end), end]
        return Outage(
            sent=len(sent), lost=lost, duration_s=max(gaps, default=0.0) if lost else 0.0,
            tcp_stalled_s=max(later - earlier for earlier, later in pairwise(heard)), tcp_alive=self._is_alive(end),
        )  # fmt: skip

    def wait_for_answers(self, count: int, timeout_s: float) -> bool:
        """Whether so many datagrams in a row, sent from now on, are answered in time, and the TCP connection goes on."""
        begin, give_up_at = len(self._sent), time.monotonic() + timeout_s
        while time.monotonic() < give_up_at:
            run = 0
            for number in range(begin, len(self._sent)):
                run = run + 1 if number in self._answered else 0
                if run >= count and self._is_alive(time.monotonic()):
                    return True
            time.sleep(EVERY_S)
        return False

    def _is_alive(self, at: float) -> bool:
        """Whether the connection's far end has answered something that was said less than a second before."""
        last = max((number for heard_at, number in tuple(self._heard) if heard_at <= at), default=-1)
        return last >= 0 and at - self._sent[last] < 1.0

    def _open(self, address: IPv4Address) -> None:
        self._echo = self._lab.socket(self._destination, socket.AF_INET, socket.SOCK_DGRAM)
        self._echo.bind((str(address), self._port))
        self._datagrams = self._lab.socket(self._source, socket.AF_INET, socket.SOCK_DGRAM)
        self._datagrams.connect(self._echo.getsockname())
        with self._lab.socket(self._destination, socket.AF_INET, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((str(address), self._port))
            listener.listen()
            listener.settimeout(CONNECT_TIMEOUT_S)
            self._connection = self._lab.socket(self._source, socket.AF_INET, socket.SOCK_STREAM)
            self._connection.settimeout(CONNECT_TIMEOUT_S)
            self._connection.connect(listener.getsockname())
            self._far_end, _ = listener.accept()
        for connected in (self._connection, self._far_end):
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for opened in (self._datagrams, self._echo, self._connection, self._far_end):
            opened.setblocking(False)

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            for opened in (self._datagrams, self._echo, self._connection, self._far_end):
                selector.register(opened, selectors.EVENT_READ)
            next_at, unread = time.monotonic(), b""
            while not self._ending.is_set():
                now = time.monotonic()
                if now >= next_at:
                    self._say(now)
                    next_at = max(next_at + EVERY_S, now)
                for key, _ in selector.select(max(0.0, next_at - time.monotonic())):
                    unread = self._take(key.fileobj, unread)

    def _say(self, now: float) -> None:
        number = NUMBER.pack(len(self._sent))
        self._sent.append(now)
        for opened in (self._datagrams, self._connection):
            try:
                opened.send(number)
            except OSError as error:  # no route just now, or a full buffer: lost, as the answers that do not come will show
                self._error = error

    def _take(self, opened: object, unread: bytes) -> bytes:
        now = time.monotonic()
        try:
            if opened is self._echo:
                data, asker = self._echo.recvfrom(AT_ONCE)
                self._echo.sendto(data, asker)
            elif opened is self._far_end:
                self._far_end.send(self._far_end.recv(AT_ONCE))
            elif opened is self._datagrams:
                self._answered[NUMBER.unpack(self._datagrams.recv(AT_ONCE))[0]] = now
            else:
                unread += self._connection.recv(AT_ONCE)
                whole = len(unread) // NUMBER.size * NUMBER.size
                if whole:
                    self._heard.append((now, NUMBER.unpack_from(unread, whole - NUMBER.size)[0]))
                return unread[whole:]
        except OSError as error:
            self._error = error
        return unread
