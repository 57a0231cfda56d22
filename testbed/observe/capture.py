"""Capturing frames in any number of nodes at once, by AF_PACKET sockets opened there; one thread reads them all.

    node a: eth0 ─┐
    node a: eth1 ─┼─ one AF_PACKET socket per node ─ epoll ─ thread ─┬─ frames, kept in order of the kernel's timestamps
    node b: eth0 ─┘  (CPython asks SIOCGIFNAME on that socket)       └─ sink: a `PcapngWriter`, as they come

Decides nothing about packets. A frame which a node forwards is seen twice there, at the interface that it enters and at the one that it leaves; on
loopback only once. Frames are seen as the kernel passes them, so segmentation offload shows larger ones than a wire carries.
No program is needed but for compiling a filter, so it works where tcpdump cannot drop privileges (a lab without root).

Source: packet(7); Linux, Documentation/networking/timestamping.rst (SO_TIMESTAMPNS).
"""

from __future__ import annotations

import os
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from testbed.observe.bpf import attach, compile_filter
from testbed.observe.lab_view import LabView
from testbed.observe.packets import LINK_ETHERNET, LINK_RAW_IP, OUTGOING, Frame
from testbed.observe.pcapng import PcapngWriter

if TYPE_CHECKING:
    from scapy.packet import Packet

ETH_P_ALL = 0x0003
SO_TIMESTAMPNS = 35
SO_RCVBUFFORCE = 33
SOL_PACKET, PACKET_STATISTICS, PACKET_AUXDATA = 263, 6, 8
ARPHRD_NONE = 0xFFFE
LARGEST_FRAME = 262144
RECEIVE_BUFFER_BYTES = 16 * 1024 * 1024
FRAMES_PER_WAKE = 256
TIMESPEC = struct.Struct("=qq")
AUXILIARY = struct.Struct("=IIIHHHH")
"""struct tpacket_auxdata: status, length, captured length, offsets of both headers, VLAN tag, its protocol."""
VLAN_VALID, VLAN_PROTOCOL_VALID = 0x10, 0x40
VLAN_PROTOCOL = 0x8100
MAC_ADDRESSES_BYTES = 12

Sink = Callable[[Sequence[Frame]], None]


class Capture:
    """Frames seen at `where` (``node`` or ``node/interface``) while the context is open.

    With `sink`, every batch is handed to it in the reading thread; what it raises ends the capture and is raised again by `stop`.
    Raises FilterError for a bad `filter`, OSError where a socket cannot be opened.
    """

    def __init__(self, lab: LabView, where: Sequence[str], *, filter: str = "", sink: Sink | None = None, keep: bool = True) -> None:
        self._frames: list[Frame] = []
        self._keep = keep
        self._sink = sink
        self._selector = selectors.EpollSelector()
        self._sockets: list[socket.socket] = []
        self._failure: BaseException | None = None
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._read_until_stopped, name="capture", daemon=True)
        program = compile_filter(filter) if filter else None
        try:
            for place in where:
                node, _, interface = place.partition("/")
                self._open(lab, node, interface, program)
        except BaseException:
            self._close()
            raise
        self._selector.register(self._wake, selectors.EVENT_READ, None)
        self._thread.start()

    def _open(self, lab: LabView, node: str, interface: str, program: bytes | None) -> None:
        sock = lab.socket(node, socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self._sockets.append(sock)
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        sock.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        try:
            sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)
        except PermissionError:  # a lab without root: as much as the host's rmem_max allows
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        if program is not None:
            attach(sock, program)
        if interface:
            sock.bind((interface, ETH_P_ALL))
        if program is not None or interface:
            _discard(sock)  # what came before the filter was there
        self._selector.register(sock, selectors.EVENT_READ, node)

    @property
    def frames(self) -> tuple[Frame, ...]:
        """What was seen, by time."""
        return tuple(sorted(self._frames, key=lambda frame: frame.time_ns))

    @property
    def packets(self) -> list[Packet]:
        """The same as scapy packets; `sniffed_on` is ``node/interface``, `time` the kernel's."""
        from scapy.layers.inet import IP
        from scapy.layers.l2 import Ether

        packets = []
        for frame in self.frames:
            packet = (Ether if frame.link_type == LINK_ETHERNET else IP)(frame.data)
            packet.time = frame.time_ns / 1e9
            packet.sniffed_on = frame.where
            packet.wirelen = frame.length_bytes
            packets.append(packet)
        return packets

    def save(self, path: Path) -> Path:
        """Write what was kept as pcapng."""
        with path.open("wb") as stream:
            writer = PcapngWriter(stream)
            for frame in self.frames:
                writer.write(frame)
        return path

    def wait_for(self, count: int, timeout_s: float = 2.0) -> bool:
        """Wait until at least `count` frames are kept; whether they came in time."""
        deadline = time.monotonic() + timeout_s
        while len(self._frames) < count and time.monotonic() < deadline:
            time.sleep(0.002)
        return len(self._frames) >= count

    def stop(self) -> int:
        """Read what the kernel still holds, close the sockets, and return how many frames the kernel dropped for want of buffer."""
        if not self._sockets:
            return 0
        os.eventfd_write(self._wake, 1)
        self._thread.join()
        dropped = sum(struct.unpack("=II", sock.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1] for sock in self._sockets)
        self._close()
        if self._failure is not None:
            raise self._failure
        return int(dropped)

    @property
    def is_running(self) -> bool:
        """Whether the thread still reads: false once stopped, or once the sink has failed."""
        return self._thread.is_alive()

    def __enter__(self) -> Capture:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _close(self) -> None:
        for sock in self._sockets:
            sock.close()
        self._sockets = []
        self._selector.close()
        os.close(self._wake)

    def _read_until_stopped(self) -> None:
        try:
            stopping = False
            while True:
                ready = self._selector.select(0 if stopping else None)
                readable = [key for key, _ in ready if key.data is not None]
                stopping = stopping or len(readable) < len(ready)
                if stopping and not readable:
                    return
                for key in readable:
                    self._take(key.fileobj, key.data)
        except BaseException as error:  # handed over to whoever stops the capture
            self._failure = error

    def _take(self, sock: Any, node: str) -> None:
        batch = []
        for _ in range(FRAMES_PER_WAKE):
            try:
                data, ancillary, _, address = sock.recvmsg(LARGEST_FRAME, 128, socket.MSG_TRUNC)
            except BlockingIOError:
                break
            interface, _, packet_type, hardware_type, _ = address
            data = _with_tag(data, ancillary)
            outgoing = packet_type == OUTGOING
            if outgoing and interface == "lo":
                continue
            batch.append(Frame(
                time_ns=_kernel_time_ns(ancillary), node=node, interface=interface, outgoing=outgoing, data=data,
                length_bytes=len(data), link_type=LINK_RAW_IP if hardware_type == ARPHRD_NONE else LINK_ETHERNET,
            ))
        if self._keep:
            self._frames += batch
        if batch and self._sink is not None:
            self._sink(batch)


def written_to(writer: PcapngWriter) -> Sink:
    """A sink that writes each batch at once."""

    def sink(frames: Sequence[Frame]) -> None:
        for frame in frames:
            writer.write(frame)
        writer.flush()

    return sink


def _discard(sock: socket.socket) -> None:
    while True:
        try:
            sock.recv(1)
        except BlockingIOError:
            return


def _with_tag(data: bytes, ancillary: Sequence[tuple[int, int, bytes]]) -> bytes:
    """The frame as it was on the wire: the kernel takes an 802.1Q tag out of a frame, and tells it beside."""
    for level, kind, told in ancillary:
        if level == SOL_PACKET and kind == PACKET_AUXDATA:
            status, _, _, _, _, tag, protocol = AUXILIARY.unpack(told[: AUXILIARY.size])
            if status & VLAN_VALID:
                protocol = protocol if status & VLAN_PROTOCOL_VALID else VLAN_PROTOCOL
                return data[:MAC_ADDRESSES_BYTES] + struct.pack("!HH", protocol, tag) + data[MAC_ADDRESSES_BYTES:]
    return data


def _kernel_time_ns(ancillary: Sequence[tuple[int, int, bytes]]) -> int:
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
            seconds, nanoseconds = TIMESPEC.unpack(data[:16])
            return int(seconds * 1_000_000_000 + nanoseconds)
    return time.time_ns()
