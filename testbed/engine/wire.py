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
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from testbed.engine.errors import RealiseError
from testbed.engine.line import VNET_HEADER_BYTES, Line
from testbed.engine.syscalls import network_namespace
from testbed.engine.trunk import TrunkLine, VlanEntry

log = logging.getLogger(__name__)

TUN_DEVICE = "/dev/net/tun"
TUNSETIFF, TUNSETPERSIST, TUNSETOFFLOAD, TUNSETVNETHDRSZ = 0x400454CA, 0x400454CB, 0x400454D0, 0x400454D8
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
TUN_F_CSUM, TUN_F_TSO4, TUN_F_TSO6, TUN_F_TSO_ECN, TUN_F_USO4, TUN_F_USO6 = 0x01, 0x02, 0x04, 0x08, 0x20, 0x40
WHOLE_SEGMENTS = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN
LARGEST_FRAME_BYTES = VNET_HEADER_BYTES + 14 + 4 + 65536
ATTACH_TIMEOUT_S = 5.0
"""How long a successor waits for its predecessor's end to be noticed by the kernel."""
FRAMES_AT_ONCE = 32
CONTROL_MESSAGE_BYTES = 4096

CLOCK_MONOTONIC = 1
TFD_NONBLOCK, TFD_CLOEXEC, TFD_TIMER_ABSTIME = 0o4000, 0o2000000, 1
NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class VlanSpec:
    """A VLAN of a wire, for kernels without VLAN devices: the TAP at each end that sends and receives its frames without their tag."""

    tag: int
    a: tuple[int, str]
    b: tuple[int, str]


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
    vlans: tuple[VlanSpec, ...] = ()

    @property
    def ends(self) -> tuple[tuple[int, str], ...]:
        """Every TAP that carrying it takes."""
        return (self.a, self.b, *(end for vlan in self.vlans for end in (vlan.a, vlan.b)))


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
    by_source: dict[int, Line | VlanEntry] = {}
    for wire in wires:
        pair, entries = _lines(wire)
        lines.append(pair)
        set_parameters(pair, wire)
        feeds: tuple[Line | VlanEntry, ...] = (*pair, *entries)
        for entry in feeds:
            by_source[entry.source] = entry
            epoll.register(entry.source, select.EPOLLIN)
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
                line = found.line if isinstance(found, VlanEntry) else found
                was_empty = not line.held
                if not _take(found):
                    epoll.unregister(descriptor)
                if was_empty and line.held:
                    heapq.heappush(waiting, (line.held[0][0], line.source, line))
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


def _lines(wire: WireSpec) -> tuple[tuple[Line, Line], tuple[VlanEntry, ...]]:
    """Both directions of a wire, attached, and where the frames of its VLANs enter them."""
    a, b = attach(wire.a), attach(wire.b)
    if not wire.vlans:
        return (Line(a, b, random.Random()), Line(b, a, random.Random())), ()
    pair = (TrunkLine(a, b, random.Random()), TrunkLine(b, a, random.Random()))
    entries = []
    for vlan in wire.vlans:
        near, far = attach(vlan.a), attach(vlan.b)
        pair[0].ends[vlan.tag], pair[1].ends[vlan.tag] = far, near
        pair[0].vlan_feeds.append(near)
        pair[1].vlan_feeds.append(far)
        entries += [VlanEntry(near, vlan.tag, pair[0]), VlanEntry(far, vlan.tag, pair[1])]
    return pair, tuple(entries)


def set_parameters(pair: tuple[Line, Line], parameters: WireSpec | WireChange) -> None:
    """Give both directions of a wire their parameters, and the kernel leave to hand over whole segments where nothing is lost by them."""
    for line in pair:
        line.set(delay_ms=parameters.delay_ms, jitter_ms=parameters.jitter_ms, loss_percent=parameters.loss_percent, rate_mbit=parameters.rate_mbit)
        for descriptor in line.feeds:
            offload(descriptor, segments_whole=_segments_whole(parameters))


def offload(descriptor: int, *, segments_whole: bool) -> None:
    """Say whether the kernel may hand over TCP segments of 64 KB by this TAP."""
    if not segments_whole:
        fcntl.ioctl(descriptor, TUNSETOFFLOAD, TUN_F_CSUM)
        return
    try:
        fcntl.ioctl(descriptor, TUNSETOFFLOAD, WHOLE_SEGMENTS | TUN_F_USO4 | TUN_F_USO6)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        fcntl.ioctl(descriptor, TUNSETOFFLOAD, WHOLE_SEGMENTS)  # before Linux 6.2, no UDP segments


def _segments_whole(parameters: WireSpec | WireChange) -> bool:
    return not parameters.loss_percent and parameters.rate_mbit is None


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


def _take(line: Line | VlanEntry) -> bool:
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
