"""Traffic between two instances of a running lab, and what it came to.

What a process sends over veth pairs is carried to its end inside the sending system call, and charged to that process. So where a process is busy all the
time, its rate is given per second of its own processor time: on an idle machine the same as by the clock, on a busy one not disturbed by who else runs.

    TCP throughput   one connection between two processes, 256 KiB a call; per second of the busier one's time. Bound by copying.
    packets/s        one UDP socket, 64 packets a system call (sendmmsg), 18 bytes of payload; per second of the sender's time, which is the whole way from its
                     socket to the receiver's, where they are counted. Bound by the kernel's path; about a sixth of it is the sending socket's.
    new flows/s      connect and reset, one after the other, per second of the connecting process; the listener accepts in another.
    round trip       a datagram to a process that sends it back, by the clock: two wake-ups and two passages. The fastest tenth, since what else
                     runs on the machine only ever makes it longer.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import socket
import statistics
import struct
import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType

from testbed.engine import syscalls
from testbed.engine.lab import Lab
from testbed.plan import Interface

LISTENING, POURING, FLOODED, ECHOING = range(5001, 5005)
PAYLOAD = bytes(18)
"""With UDP's, IP's and Ethernet's headers and the checksum that an adapter would add: 64 bytes."""
AT_ONCE = 64
BATCHES, FLOWS, TRIPS = 100, 250, 400
POURING_S = 0.12
CHUNK_BYTES = 256 * 1024
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
LONGEST_WAIT_S = 2.0
_fork = multiprocessing.get_context("fork")


class Way:
    """The way from instance `source` to instance `sink` of a running lab. As a context it has processes in the sink that accept and that echo.

    `peer_address` is what the source calls: the sink's own address, or one that leads to it."""

    def __init__(self, lab: Lab, source: str, sink: str) -> None:
        self.lab, self.source, self.sink = lab, source, sink
        self.source_end, self.sink_end = _own_end(lab, source), _own_end(lab, sink)
        self.source_address, self.sink_address = (str(end.addresses[0].ip) for end in (self.source_end, self.sink_end))
        self.peer_address = self.sink_address

    def __enter__(self) -> Way:
        listener = self.lab.socket(self.sink, socket.AF_INET, socket.SOCK_STREAM)
        listener.bind((self.sink_address, LISTENING))
        listener.listen(4 * FLOWS)
        echo = self.lab.socket(self.sink, socket.AF_INET, socket.SOCK_DGRAM)
        echo.bind((self.sink_address, ECHOING))
        self._processes = tuple(_fork.Process(target=target, args=(sock,), daemon=True) for target, sock in ((_accept_and_close, listener), (_send_back, echo)))
        for process in self._processes:
            process.start()
        listener.close()
        echo.close()
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        for process in self._processes:
            process.terminate()
            process.join()


def throughput_gbit_s(way: Way) -> float:
    """One TCP connection at full speed; the receiver counts and drops."""
    with way.lab.socket(way.sink, socket.AF_INET, socket.SOCK_STREAM) as listener, way.lab.socket(way.source, socket.AF_INET, socket.SOCK_STREAM) as sender:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((way.sink_address, POURING))
        listener.listen(1)
        sender.connect((way.peer_address, POURING))
        receiver, _ = listener.accept()
        process = _fork.Process(target=_pour, args=(sender,), daemon=True)
        process.start()
        with receiver:
            _drain(receiver, POURING_S / 2)  # until the window has grown
            own_before, others_before = time.thread_time(), _processor_time(process)
            received = _drain(receiver, POURING_S)
            busiest_s = max(time.thread_time() - own_before, _processor_time(process) - others_before)
        process.terminate()
        process.join()
    return received * 8 / busiest_s / 1e9


def packets_per_s(way: Way) -> float:
    """64-byte packets of one flow, both of whose directions have been seen, that reach the sink's interface."""
    with way.lab.socket(way.source, socket.AF_INET, socket.SOCK_DGRAM) as near, way.lab.socket(way.sink, socket.AF_INET, socket.SOCK_DGRAM) as far:
        near.bind((way.source_address, 0))
        far.bind((way.sink_address, FLOODED))
        near.connect((way.peer_address, FLOODED))
        far.connect(near.getsockname())
        for one, other in ((near, far), (far, near), (near, far)):
            other.settimeout(LONGEST_WAIT_S)
            one.send(PAYLOAD)
            other.recv(len(PAYLOAD))
        near.settimeout(None)
        batch = _Batch(PAYLOAD, AT_ONCE)
        arrived = _received_packets(way)
        began = time.thread_time()
        for _ in range(BATCHES):
            batch.send(near.fileno())
        took_s = time.thread_time() - began
        arrived = _received_packets(way) - arrived
    if arrived < BATCHES * AT_ONCE:
        raise RuntimeError(f"only {arrived} of {BATCHES * AT_ONCE} packets arrived")
    return arrived / took_s


def flows_per_s(way: Way) -> float:
    """TCP connections made and reset one after the other."""
    peer = (way.peer_address, LISTENING)
    with syscalls.network_namespace(way.lab.node(way.source).namespace.descriptor):
        began = time.thread_time()
        for _ in range(FLOWS):
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            sock.connect(peer)
            sock.close()
        return FLOWS / (time.thread_time() - began)


def round_trip_us(way: Way) -> float:
    """There and back, from process to process and on one flow."""
    times = []
    with way.lab.socket(way.source, socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((way.peer_address, ECHOING))
        sock.settimeout(LONGEST_WAIT_S)
        for _ in range(TRIPS):
            began = time.perf_counter_ns()
            sock.send(PAYLOAD)
            sock.recv(len(PAYLOAD))
            times.append(time.perf_counter_ns() - began)
    return statistics.quantiles(times, n=10)[0] / 1000


class _Vector(ctypes.Structure):
    """struct iovec."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Message(ctypes.Structure):
    """struct mmsghdr: a struct msghdr, padded to eight bytes, then what became of it."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vectors", ctypes.c_void_p),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
        ("_padding", ctypes.c_int),
        ("sent", ctypes.c_uint),
        ("_more_padding", ctypes.c_uint),
    )


class _Batch:
    """The same payload many times in one system call."""

    def __init__(self, payload: bytes, count: int) -> None:
        self._payload = ctypes.create_string_buffer(payload, len(payload))
        self._vector = _Vector(ctypes.addressof(self._payload), len(payload))
        self._messages = (_Message * count)(*(_Message(vectors=ctypes.addressof(self._vector), vector_count=1) for _ in range(count)))
        self._sendmmsg = ctypes.CDLL(None, use_errno=True).sendmmsg

    def send(self, descriptor: int) -> None:
        """Raises OSError unless all went."""
        if self._sendmmsg(descriptor, self._messages, len(self._messages), 0) != len(self._messages):
            raise OSError(ctypes.get_errno(), "sendmmsg")


def _own_end(lab: Lab, node: str) -> Interface:
    for link in lab.plan.links:
        for end in (link.a, link.b):
            if end.node == node:
                return end
    raise LookupError(f"{node} has no link")


def _received_packets(way: Way) -> int:
    """What the sink's interface has counted."""
    with syscalls.network_namespace(way.lab.node(way.sink).namespace.descriptor), Path("/proc/thread-self/net/dev").open() as counters:
        for line in counters:
            name, _, numbers = line.partition(":")
            if name.strip() == way.sink_end.name:
                return int(numbers.split()[1])
    raise LookupError(way.sink_end.name)


def _pour(sock: socket.socket) -> None:
    data = bytes(CHUNK_BYTES)
    while True:
        sock.send(data)


def _processor_time(process: BaseProcess) -> float:
    """What another process has had, in seconds: its own clock, whose number is made as MAKE_PROCESS_CPUCLOCK of linux/posix-timers.h does."""
    return time.clock_gettime(~(process.pid or 0) << 3 | 2)


def _drain(sock: socket.socket, for_s: float) -> int:
    """Bytes received in that time, without looking at them."""
    buffer, received = bytearray(4 * CHUNK_BYTES), 0
    until = time.perf_counter() + for_s
    while time.perf_counter() < until:
        received += sock.recv_into(buffer, len(buffer), socket.MSG_TRUNC)
    return received


def _accept_and_close(listener: socket.socket) -> None:
    while True:
        listener.accept()[0].close()


def _send_back(sock: socket.socket) -> None:
    while True:
        data, peer = sock.recvfrom(len(PAYLOAD))
        sock.sendto(data, peer)
