"""A wire with delay, jitter, loss and rate, where the kernel has no netem: two TAP interfaces and a process that carries frames between them.

    namespace A                  hold(), one process for all wires                    namespace B
    ┌──────────┐  read   ┌───────────────────────────────────────────────┐  write  ┌──────────┐
    │ tap  ────┼────────►│ Line: lost? ─► serialised ─► delayed ─► in turn│────────►│ tap      │
    │      ◄───┼─────────│ in turn ◄─ delayed ◄─ serialised ◄─ lost? :Line│◄────────┼────      │
    └──────────┘         └───────────────────────────────────────────────┘         └──────────┘

A `Line` decides, for one direction, which frames pass and when; it has no I/O and no clock. `hold` waits for frames and for due times (one timerfd in
one epoll, so that neither milliseconds nor FD_SETSIZE bound it). Frames keep their order, whatever the jitter. The interfaces are persistent: when the
process dies, interfaces, addresses and routes stay, frames under way are lost, and its successor attaches again. A change of parameters holds
for frames that enter after it.

Frames carry the kernel's virtio header, so TCP segments of 64 KB cross whole; not on a wire that loses or queues frames, where one loss must be one packet.
NOT MODELLED: duplication, corruption, correlated loss; reordering is a routing matter, not a wire's.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import gc
import heapq
import json
import logging
import os
import random
import select
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from testbed.engine.errors import RealiseError
from testbed.engine.syscalls import network_namespace

log = logging.getLogger(__name__)

TUN_DEVICE = "/dev/net/tun"
TUNSETIFF, TUNSETPERSIST, TUNSETOFFLOAD, TUNSETVNETHDRSZ = 0x400454CA, 0x400454CB, 0x400454D0, 0x400454D8
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
TUN_F_CSUM, TUN_F_TSO4, TUN_F_TSO6, TUN_F_TSO_ECN, TUN_F_USO4, TUN_F_USO6 = 0x01, 0x02, 0x04, 0x08, 0x20, 0x40
WHOLE_SEGMENTS = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN
VNET_HEADER_BYTES = 10
LARGEST_FRAME_BYTES = VNET_HEADER_BYTES + 14 + 4 + 65536
ATTACH_TIMEOUT_S = 5.0
"""How long a successor waits for its predecessor's end to be noticed by the kernel."""
FRAMES_AT_ONCE = 32
BUFFER_S = 0.1
"""What waits before a wire of limited rate at most, as its time on the wire; more is dropped, as by a router's queue (assumed)."""
HELD_BYTES_LIMIT = 64 * 1024 * 1024
"""What is under way in one direction at most, so that a flood cannot take the machine's memory."""
CONTROL_MESSAGE_BYTES = 4096

CLOCK_MONOTONIC = 1
TFD_NONBLOCK, TFD_CLOEXEC, TFD_TIMER_ABSTIME = 0o4000, 0o2000000, 1
NS_PER_MS, NS_PER_S = 1_000_000, 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class WireSpec:
    """Two ends, each (descriptor of a network namespace, interface name), and what happens to frames in each direction.

    `delay_ms` is one way; `jitter_ms` the largest deviation from it, up or down; `rate_mbit` None is unlimited.
    """

    a: tuple[int, str]
    b: tuple[int, str]
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    loss_percent: float = 0.0
    rate_mbit: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WireChange:
    """New parameters for the wire at `index` of those that `hold` was given."""

    index: int
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    loss_percent: float = 0.0
    rate_mbit: float | None = None


def create_tap(netns_fd: int, name: str) -> None:
    """Make the persistent TAP `name`, down, in the network namespace behind `netns_fd`. Raises RealiseError without the device, OSError if the kernel refuses."""
    descriptor = _open_tap(netns_fd, name)
    try:
        fcntl.ioctl(descriptor, TUNSETPERSIST, 1)
    finally:
        os.close(descriptor)


def change_wire(control: socket.socket, change: WireChange) -> None:
    """Tell the process that holds the other end of `control`, a pair of AF_UNIX SOCK_SEQPACKET sockets, to change a wire."""
    control.send(json.dumps(asdict(change)).encode())


def hold(wires: Sequence[WireSpec], control: socket.socket | None = None, attached: Callable[[], None] = lambda: None) -> None:
    """Carry frames for ever, in a process of its own; ends when `control` is closed at its other end. Calls `attached` once every wire carries.

    Raises OSError if a TAP cannot be attached, RealiseError without the device.
    """
    epoll = select.epoll()
    timer = _Timer()
    epoll.register(timer.descriptor, select.EPOLLIN | select.EPOLLET)
    lines: list[tuple[Line, Line]] = []
    by_source: dict[int, Line] = {}
    for wire in wires:
        a, b = attach(wire.a), attach(wire.b)
        lines.append((Line(a, b, random.Random()), Line(b, a, random.Random())))
        set_parameters(lines[-1], wire)
        for line in lines[-1]:
            by_source[line.source] = line
            epoll.register(line.source, select.EPOLLIN)
    if control is not None:
        control.setblocking(False)
        epoll.register(control.fileno(), select.EPOLLIN)
    gc.freeze()
    attached()
    waiting: list[tuple[int, int, Line]] = []  # a heap: each line that holds frames, by when its first is due; the source only breaks ties
    while True:
        for descriptor, _ in epoll.poll():
            found = by_source.get(descriptor)
            if found is not None:
                was_empty = not found.held
                if not _take(found):
                    epoll.unregister(descriptor)
                if was_empty and found.held:
                    heapq.heappush(waiting, (found.held[0][0], found.source, found))
            elif control is not None and descriptor == control.fileno():
                message = control.recv(CONTROL_MESSAGE_BYTES)
                if not message:
                    return
                change = WireChange(**json.loads(message))
                set_parameters(lines[change.index], change)
        while waiting and waiting[0][0] <= time.monotonic_ns():
            _, _, line = waiting[0]
            line.deliver(time.monotonic_ns())
            if line.held:
                heapq.heapreplace(waiting, (line.held[0][0], line.source, line))
            else:
                heapq.heappop(waiting)
        timer.set(waiting[0][0] if waiting else 0)


class Line:
    """One direction of a wire. Times are nanoseconds of one monotonic clock; frames have the virtio header, which takes no time on the wire.

    Invariant: `held` is sorted by due time, and by arrival where those are equal.
    """

    __slots__ = ("delay_ns", "dropped", "free_at", "held", "held_bytes", "jitter_ns", "last_due", "loss", "ns_per_byte", "random", "source", "target")

    def __init__(self, source: int, target: int, rng: random.Random) -> None:
        self.source = source
        self.target = target
        self.random = rng
        self.held: deque[tuple[int, bytes]] = deque()
        self.held_bytes = 0
        self.dropped = 0
        self.delay_ns = 0
        self.jitter_ns = 0
        self.loss = 0.0
        self.ns_per_byte = 0.0
        self.free_at = 0
        self.last_due = 0

    def set(self, *, delay_ms: float, jitter_ms: float, loss_percent: float, rate_mbit: float | None) -> None:
        """Use these parameters for the frames that enter from now on."""
        self.delay_ns = round(delay_ms * NS_PER_MS)
        self.jitter_ns = round(jitter_ms * NS_PER_MS)
        self.loss = loss_percent / 100
        self.ns_per_byte = 8_000 / rate_mbit if rate_mbit else 0.0

    def enter(self, frame: bytes, now: int) -> bool:
        """Take a frame that arrived at `now`; False if it is lost."""
        if self.loss and self.random.random() < self.loss:
            self.dropped += 1
            return False
        sent = now
        if self.ns_per_byte:
            begin = max(now, self.free_at)
            if begin - now > BUFFER_S * NS_PER_S:
                self.dropped += 1
                return False
            sent = self.free_at = begin + round((len(frame) - VNET_HEADER_BYTES) * self.ns_per_byte)
        if self.held_bytes > HELD_BYTES_LIMIT:
            self.dropped += 1
            return False
        late = round(self.random.uniform(-self.jitter_ns, self.jitter_ns)) if self.jitter_ns else 0
        self.last_due = max(self.last_due, sent + max(0, self.delay_ns + late))
        self.held.append((self.last_due, frame))
        self.held_bytes += len(frame)
        return True

    def leave(self, now: int) -> bytes | None:
        """The next frame, if it is due at `now`."""
        if not self.held or self.held[0][0] > now:
            return None
        _, frame = self.held.popleft()
        self.held_bytes -= len(frame)
        return frame

    def deliver(self, now: int) -> None:
        """Write every frame that is due to the far end. An end that is down, or deleted, loses them, as a cable without a listener does."""
        while (frame := self.leave(now)) is not None:
            try:
                os.write(self.target, frame)
            except OSError:
                self.dropped += 1


def set_parameters(pair: tuple[Line, Line], parameters: WireSpec | WireChange) -> None:
    """Give both directions of a wire their parameters, and the kernel leave to hand over whole segments where nothing is lost by them."""
    segments_whole = not parameters.loss_percent and parameters.rate_mbit is None
    for line in pair:
        line.set(delay_ms=parameters.delay_ms, jitter_ms=parameters.jitter_ms, loss_percent=parameters.loss_percent, rate_mbit=parameters.rate_mbit)
        if not segments_whole:
            fcntl.ioctl(line.source, TUNSETOFFLOAD, TUN_F_CSUM)
            continue
        try:
            fcntl.ioctl(line.source, TUNSETOFFLOAD, WHOLE_SEGMENTS | TUN_F_USO4 | TUN_F_USO6)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            fcntl.ioctl(line.source, TUNSETOFFLOAD, WHOLE_SEGMENTS)  # before Linux 6.2, no UDP segments


def attach(end: tuple[int, str]) -> int:
    """A non-blocking descriptor of the TAP at a wire's end. Raises OSError, EBUSY if another process still has it after `ATTACH_TIMEOUT_S`."""
    netns_fd, name = end
    give_up_at = time.monotonic() + ATTACH_TIMEOUT_S
    while True:
        try:
            return _open_tap(netns_fd, name)
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > give_up_at:
                raise
        time.sleep(0.002)


def _open_tap(netns_fd: int, name: str) -> int:
    with network_namespace(netns_fd):  # the device remembers the namespace it was opened in
        try:
            descriptor = os.open(TUN_DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise RealiseError(f"no {TUN_DEVICE}, which links with a delay need", "load the kernel module: `modprobe tun`") from error
    try:
        fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
        fcntl.ioctl(descriptor, TUNSETVNETHDRSZ, struct.pack("i", VNET_HEADER_BYTES))
    except OSError as error:
        os.close(descriptor)
        raise OSError(error.errno, f"TAP {name}: {error.strerror}") from error
    return descriptor


def _take(line: Line) -> bool:
    """Read what has arrived, up to `FRAMES_AT_ONCE`, so that no wire starves another; False if the interface was deleted, by a live change."""
    for _ in range(FRAMES_AT_ONCE):
        try:
            frame = os.read(line.source, LARGEST_FRAME_BYTES)
        except BlockingIOError:
            return True
        except OSError as error:
            log.info("an end of a wire has gone: %s", error)
            return False
        line.enter(frame, time.monotonic_ns())
    return True


class _Timer:
    """A timerfd (Python has it from 3.13 on): readable at an instant of the monotonic clock, to the microsecond and without timer slack."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.descriptor = self._libc.timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)
        if self.descriptor < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._setting = (ctypes.c_long * 4)()
        self._due = 0

    def set(self, due_ns: int) -> None:
        """Become readable at `due_ns`, at once if that is past; 0: never."""
        if due_ns != self._due:
            self._due = due_ns
            self._setting[2], self._setting[3] = divmod(due_ns, NS_PER_S)
            if self._libc.timerfd_settime(self.descriptor, TFD_TIMER_ABSTIME, self._setting, None) != 0:
                raise OSError(ctypes.get_errno(), "timerfd_settime")
