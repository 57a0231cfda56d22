"""Traffic between two instances of a running lab, and what it came to.

Without IRQ time accounting a core's softirqs are charged to the process that they interrupt, and a packet that a process sends over veth pairs is
carried to its end inside the sending system call. So where one process does all the work, rates are per second of that process's own time: on an
idle machine the same as the clock's, on a busy one not disturbed by who else runs.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import socket
import statistics
import struct
import time
from pathlib import Path
from types import TracebackType

from testbed.engine import syscalls
from testbed.engine.lab import Lab
from testbed.plan import Interface

PORT = 5001
ETH_P_IP = 0x0800
PACKET_QDISC_BYPASS, SOL_PACKET = 20, 263
FRAME_BYTES = 60
"""64 bytes on a wire, where the adapter adds the checksum."""
AT_ONCE = 64
SLICE_S = 0.25
PACKETS, FLOWS, PINGS = 100_000, 2000, 4000
CHUNK_BYTES = 256 * 1024
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_fork = multiprocessing.get_context("fork")


class Way:
    """The way from instance `source` to instance `sink` of a running lab. A context: it opens a listener that accepts and closes, for `flows_per_s`."""

    def __init__(self, lab: Lab, source: str, sink: str) -> None:
        self.lab, self.source, self.sink = lab, source, sink
        self.source_end, self.gateway_end = _ends(lab, source)
        self.sink_end, _ = _ends(lab, sink)
        self.source_address, self.sink_address = (end.addresses[0].ip for end in (self.source_end, self.sink_end))

    def __enter__(self) -> Way:
        self.listener = self.lab.socket(self.sink, socket.AF_INET, socket.SOCK_STREAM)
        self.listener.bind(("0.0.0.0", PORT))
        self.listener.listen(2 * FLOWS)
        self.accepting = _fork.Process(target=_accept_and_close, args=(self.listener,), daemon=True)
        self.accepting.start()
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self.accepting.terminate()
        self.accepting.join()
        self.listener.close()


def throughput_gbit_s(path: Way) -> float:
    """One TCP connection at full speed; the receiver counts and drops."""
    listener = path.lab.socket(path.sink, socket.AF_INET, socket.SOCK_STREAM)
    with listener:
        listener.bind(("0.0.0.0", PORT + 1))
        listener.listen(1)
        sender = path.lab.socket(path.source, socket.AF_INET, socket.SOCK_STREAM)
        with sender:
            sender.connect((str(path.sink_address), PORT + 1))
            receiver, _ = listener.accept()
            process = _fork.Process(target=_pour, args=(sender,), daemon=True)
            process.start()
        with receiver:
            _drain(receiver, SLICE_S / 2)  # until the window has grown
            received, took_s = _drain(receiver, SLICE_S)
        process.terminate()  # closing ends nothing: it has a copy of the receiver
        process.join()
    return received * 8 / took_s / 1e9


def packets_per_s(path: Way) -> float:
    """64-byte UDP packets that reach the sink's interface, per second of the sending core."""
    with path.lab.socket(path.source, socket.AF_INET, socket.SOCK_DGRAM) as near, path.lab.socket(path.sink, socket.AF_INET, socket.SOCK_DGRAM) as far:
        near.bind((str(path.source_address), PORT))
        far.bind((str(path.sink_address), PORT))
        near.settimeout(1)
        far.settimeout(1)
        for one, other, address in ((near, far, path.sink_address), (far, near, path.source_address), (near, far, path.sink_address)):
            one.sendto(b"hello", (str(address), PORT))
            other.recv(100)
        with path.lab.socket(path.source, socket.AF_PACKET, socket.SOCK_RAW, 0) as raw:
            raw.bind((path.source_end.name, ETH_P_IP))
            raw.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
            batch = _Batch(_frame(path), AT_ONCE)
            arrived = _received_packets(path)
            began = time.thread_time()
            for _ in range(PACKETS // AT_ONCE):
                batch.send(raw.fileno())
            took_s = time.thread_time() - began
            arrived = _received_packets(path) - arrived
    if arrived < PACKETS // AT_ONCE * AT_ONCE * 0.98:
        raise RuntimeError(f"only {arrived} of {PACKETS} packets arrived")
    return arrived / took_s


def flows_per_s(path: Way) -> float:
    """TCP connections made and reset one after the other, per second of the connecting core."""
    peer = (str(path.sink_address), PORT)
    with syscalls.network_namespace(path.lab.node(path.source).namespace.descriptor):
        began = time.thread_time()
        for _ in range(FLOWS):
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            sock.connect(peer)
            sock.close()
        took_s = time.thread_time() - began
    _await_empty(path)
    return FLOWS / took_s


def round_trip_us(path: Way) -> float:
    """The median time of a ping."""
    with path.lab.socket(path.source, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as sock:
        sock.connect((str(path.sink_address), 0))
        sock.settimeout(1)
        times = []
        echo = struct.pack("!BBHHH", 8, 0, 0, os.getpid() & 0xFFFF, 1) + bytes(56)
        echo = echo[:2] + struct.pack("!H", _checksum(echo)) + echo[4:]
        for _ in range(PINGS):
            began = time.perf_counter_ns()
            sock.send(echo)
            sock.recv(100)
            times.append(time.perf_counter_ns() - began)
    return statistics.median(times) / 1000


def udp_round_trip_us(path: Way) -> float:
    with path.lab.socket(path.source, socket.AF_INET, socket.SOCK_DGRAM) as near, path.lab.socket(path.sink, socket.AF_INET, socket.SOCK_DGRAM) as far:
        far.bind((str(path.sink_address), PORT+2))
        def echo():
            while True:
                data, peer = far.recvfrom(100)
                far.sendto(data, peer)
        process = _fork.Process(target=echo, daemon=True)
        process.start()
        near.connect((str(path.sink_address), PORT+2))
        near.settimeout(2)
        times = []
        for _ in range(PINGS):
            began = time.perf_counter_ns()
            near.send(b"x" * 18)
            near.recv(100)
            times.append(time.perf_counter_ns() - began)
        process.terminate()
        process.join()
    return statistics.median(times) / 1000


class _Vector(ctypes.Structure):
    """struct iovec."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Message(ctypes.Structure):
    """struct mmsghdr: a struct msghdr, padded to eight bytes, then what became of it."""

    _fields_ = (
        ("name", ctypes.c_void_p), ("name_length", ctypes.c_uint32), ("vectors", ctypes.c_void_p), ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p), ("control_length", ctypes.c_size_t), ("flags", ctypes.c_int), ("padding", ctypes.c_int),
        ("sent", ctypes.c_uint), ("more_padding", ctypes.c_uint),
    )


class _Batch:
    """The same frame many times in one system call."""

    def __init__(self, frame: bytes, count: int) -> None:
        self._frame = ctypes.create_string_buffer(frame, len(frame))
        self._vector = _Vector(ctypes.addressof(self._frame), len(frame))
        self._messages = (_Message * count)(*(_Message(vectors=ctypes.addressof(self._vector), vector_count=1) for _ in range(count)))
        self._sendmmsg = ctypes.CDLL(None, use_errno=True).sendmmsg

    def send(self, descriptor: int) -> None:
        """Raises OSError unless all went."""
        if self._sendmmsg(descriptor, self._messages, len(self._messages), 0) != len(self._messages):
            raise OSError(ctypes.get_errno(), "sendmmsg")


def _ends(lab: Lab, node: str) -> tuple[Interface, Interface]:
    """The node's own end of its link, and the fabric's."""
    for link in lab.plan.links:
        for own, other in ((link.a, link.b), (link.b, link.a)):
            if own.node == node:
                return own, other
    raise LookupError(f"{node} has no link")


def _frame(path: Way) -> bytes:
    """The next packet of the flow from PORT to PORT. UDP over IPv4 may go without a checksum."""
    payload = bytes(FRAME_BYTES - 14 - 20 - 8)
    udp = struct.pack("!HHHH", PORT, PORT, 8 + len(payload), 0) + payload
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, socket.IPPROTO_UDP, 0, path.source_address.packed, path.sink_address.packed)
    header = header[:10] + struct.pack("!H", _checksum(header)) + header[12:]
    macs = (bytes.fromhex(end.mac.replace(":", "")) for end in (path.gateway_end, path.source_end))
    return b"".join(macs) + struct.pack("!H", ETH_P_IP) + header + udp


def _checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def _received_packets(path: Way) -> int:
    """What the sink's interface has counted."""
    with syscalls.network_namespace(path.lab.node(path.sink).namespace.descriptor), Path("/proc/thread-self/net/dev").open() as counters:
        for line in counters:
            name, _, numbers = line.partition(":")
            if name.strip() == path.sink_end.name:
                return int(numbers.split()[1])
    raise LookupError(path.sink_end.name)


def _pour(sock: socket.socket) -> None:
    data = bytes(CHUNK_BYTES)
    while True:
        sock.send(data)


def _drain(sock: socket.socket, for_s: float) -> tuple[int, float]:
    """Bytes received without looking at them, and how long it took."""
    buffer, received = bytearray(4 * CHUNK_BYTES), 0
    began = time.perf_counter()
    while (took_s := time.perf_counter() - began) < for_s:
        received += sock.recv_into(buffer, len(buffer), socket.MSG_TRUNC)
    return received, took_s


def _accept_and_close(listener: socket.socket) -> None:
    while True:
        listener.accept()[0].close()


def _await_empty(path: Way) -> None:
    """Until the listener has taken all connections."""
    time.sleep(0.05)
