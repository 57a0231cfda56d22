"""The fabric's counters: one dynamic nftables set for each place on a packet's way and each kind of packet, read whole by netlink.

    place   out_try   an interface has sent it                                    out_try - out_ok = out_no, REJECT outward
            out_ok    the sender's groups and its subnet's ACL have passed it
            in_try    it is about to enter the receiver's subnet                  in_try - in_ok   = in_no, REJECT inward
            in_ok     the receiver's ACL and groups have passed it
    kind    syn, synack, fin, rst, tcp (any other), udp, other

Of an interface that forwards for others, ``out_try`` and ``in_ok`` are counted in its port's namespace, where its groups are asked; so there is a reader for each
namespace. Counters only grow; an element that has been idle is forgotten, and a ruleset that is loaded anew begins at zero, so `Deltas` takes a smaller count for a new one.
Source: Linux, include/uapi/linux/netfilter/nf_tables.h.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

PLACES = ("out_try", "out_ok", "in_try", "in_ok")
TCP_KINDS = {"syn": 2, "synack": 18, "fin": 1, "rst": 4, "tcp": 0}
"""With what each adds to tcp-flags."""
KINDS = (*TCP_KINDS, "udp", "other")
NETLINK_NETFILTER = 12
SUBSYSTEM = 10 << 8
GET_ELEMENTS, NEW_ELEMENTS = SUBSYSTEM | 13, SUBSYSTEM | 12
ERROR, DONE = 2, 3
REQUEST_DUMP = 0x301
FAMILY_IP = 2
LIST_TABLE, LIST_SET, LIST_ELEMENTS = 1, 2, 3
ELEMENT_KEY, ELEMENT_EXPRESSION, ELEMENT_EXPRESSIONS = 1, 7, 11
EXPRESSION_DATA, COUNTER_BYTES, COUNTER_PACKETS = 2, 1, 2
PATIENCE_MS = 1000
NAME_BYTES = 16
GET_NAMESPACE_OF_SOCKET = 0x894C
"""SIOCGSKNS (include/uapi/linux/sockios.h)."""
_LIBC = ctypes.CDLL(None, use_errno=True)
LARGEST_SET = 65535
MOST_REMEMBERED = 500_000
"""Counters of flows, some of them long gone."""


@dataclass(frozen=True, slots=True)
class Flow:
    """A 5-tuple at an interface's fabric end."""

    device: str
    protocol: int
    source: IPv4Address
    destination: IPv4Address
    source_port: int = 0
    destination_port: int = 0


@dataclass(frozen=True, slots=True)
class Count:
    packets: int = 0
    octets: int = 0


Snapshot = dict[tuple[str, str, Flow], Count]
"""By place, kind and flow."""


def set_name(place: str, kind: str) -> str:
    """The nftables set of a place and a kind of packet."""
    return f"flow_log_{place}_{kind}"


class Reader:
    """Reads the counters of one namespace: the calling thread's, or that of `inside`, any socket there. `devices` names its devices as the records do (None: as they are)."""

    def __init__(self, table: str, inside: socket.socket | None = None, devices: dict[str, str] | None = None, places: tuple[str, ...] = PLACES) -> None:
        self._table = table
        self._places = places
        self._devices = devices
        self._socket = _netlink() if inside is None else _netlink_beside(inside)

    def read(self) -> Snapshot:
        """All counters now. Raises TimeoutError if the kernel does not answer; sets that are not there (a ruleset is being replaced) count nothing."""
        counted = ((place, kind, _flow(key, kind), count) for place in self._places for kind in KINDS for key, count in _elements(self._socket, self._table, set_name(place, kind)))
        if self._devices is None:
            return {(place, kind, flow): count for place, kind, flow, count in counted}
        return {(place, kind, replace(flow, device=self._devices[flow.device])): count for place, kind, flow, count in counted if flow.device in self._devices}

    def close(self) -> None:
        """Read no more."""
        self._socket.close()


def _netlink() -> socket.socket:
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
    sock.bind((0, 0))
    return sock


def _netlink_beside(inside: socket.socket) -> socket.socket:
    """A netlink socket in the network namespace of another socket. A namespace is the thread's, hence a thread of its own."""
    made: list[socket.socket] = []

    def enter() -> None:
        namespace = fcntl.ioctl(inside.fileno(), GET_NAMESPACE_OF_SOCKET, 0)
        try:
            if _LIBC.setns(namespace, 0) != 0:
                raise OSError(ctypes.get_errno(), "cannot enter the namespace of a port")
            made.append(_netlink())
        finally:
            os.close(namespace)

    thread = threading.Thread(target=enter, name="port")
    thread.start()
    thread.join()
    if not made:
        raise OSError("the counters of a port cannot be read")
    return made[0]


def is_full(snapshot: Snapshot) -> bool:
    """Whether some set holds all that it can: packets of further flows are not counted."""
    sizes: dict[tuple[str, str], int] = {}
    for place, kind, _ in snapshot:
        sizes[place, kind] = sizes.get((place, kind), 0) + 1
    return any(size >= LARGEST_SET for size in sizes.values())


class Deltas:
    """What has been accepted (``out_ok``, ``in_ok``) and rejected (``out_no``, ``in_no``) since the last time."""

    def __init__(self) -> None:
        self._last: Snapshot = {}
        self._totals: Snapshot = {}
        self._gaps: Snapshot = {}
        self._told: Snapshot = {}

    def of(self, snapshot: Snapshot) -> Snapshot:
        """The growth by place, kind and flow; what has not grown is left out.

        Sets are read one after the other while packets pass, and one that grows meanwhile may leave out some elements. So a packet counts as rejected once it is missing at
        two readings in a row, and an element that is not told keeps its count.
        """
        found: Snapshot = {}
        for key, count in snapshot.items():
            grown = _less(count, self._last.get(key, Count()))
            if grown.packets:
                self._totals[key] = _plus(self._totals.get(key, Count()), grown)
                if key[0].endswith("_ok"):
                    found[key] = grown
        for (place, kind, flow), tried in self._totals.items():
            if not place.endswith("_try"):
                continue
            ok, no = place.replace("_try", "_ok"), place.replace("_try", "_no")
            passed = self._totals.get((ok, kind, flow), Count())
            gap = Count(max(0, tried.packets - passed.packets), max(0, tried.octets - passed.octets))
            before, self._gaps[no, kind, flow] = self._gaps.get((no, kind, flow), Count()), gap
            steady = min(before, gap, key=lambda count: count.packets)
            told = self._told.get((no, kind, flow), Count())
            if steady.packets > told.packets:
                found[no, kind, flow] = Count(steady.packets - told.packets, max(0, steady.octets - told.octets))
                self._told[no, kind, flow] = steady
        self._last |= snapshot
        if len(self._last) > MOST_REMEMBERED:
            self._forget(snapshot)
        return found

    def _forget(self, snapshot: Snapshot) -> None:
        """Flows that the kernel has forgotten."""
        flows = {(kind, flow) for _, kind, flow in snapshot}
        self._last, self._totals, self._gaps, self._told = (
            {key: count for key, count in known.items() if key[1:] in flows} for known in (self._last, self._totals, self._gaps, self._told)
        )


def _less(count: Count, before: Count) -> Count:
    """The growth of a counter; a smaller one has begun anew."""
    return count if count.packets < before.packets else Count(count.packets - before.packets, count.octets - before.octets)


def _plus(one: Count, other: Count) -> Count:
    return Count(one.packets + other.packets, one.octets + other.octets)


def _flow(key: bytes, kind: str) -> Flow:
    device = key[:NAME_BYTES].rstrip(b"\0").decode()
    if kind == "other":
        return Flow(device, key[16], IPv4Address(key[20:24]), IPv4Address(key[24:28]))
    source_port, destination_port = struct.unpack_from("!H2xH", key, 24)
    return Flow(device, 17 if kind == "udp" else 6, IPv4Address(key[16:20]), IPv4Address(key[20:24]), source_port, destination_port)


def _elements(sock: socket.socket, table: str, name: str) -> Iterator[tuple[bytes, Count]]:
    body = struct.pack("=BBH", FAMILY_IP, 0, 0) + _text(LIST_TABLE, table) + _text(LIST_SET, name)
    sock.send(struct.pack("=IHHII", 16 + len(body), GET_ELEMENTS, REQUEST_DUMP, 1, 0) + body)
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    while True:
        if not poll.poll(PATIENCE_MS):
            raise TimeoutError(f"nftables does not tell the elements of {name}")
        datagram = sock.recv(1 << 20)
        offset = 0
        while offset + 16 <= len(datagram):
            length, kind = struct.unpack_from("=IH", datagram, offset)
            if kind in (DONE, ERROR):
                return
            if kind == NEW_ELEMENTS:
                for _, element in _attributes(_find(datagram[offset + 20 : offset + length], LIST_ELEMENTS)):
                    yield _element(element)
            offset += (length + 3) & ~3


def _element(data: bytes) -> tuple[bytes, Count]:
    attributes = dict(_attributes(data))
    expression = attributes.get(ELEMENT_EXPRESSION) or _find(attributes.get(ELEMENT_EXPRESSIONS, b""), 1)
    counter = dict(_attributes(_find(expression, EXPRESSION_DATA)))
    count = Count(int.from_bytes(counter.get(COUNTER_PACKETS, b""), "big"), int.from_bytes(counter.get(COUNTER_BYTES, b""), "big"))
    return _find(attributes[ELEMENT_KEY], 1), count


def _find(data: bytes, wanted: int) -> bytes:
    return next((value for kind, value in _attributes(data) if kind == wanted), b"")


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, offset)
        if length < 4:
            return
        yield kind & 0x3FFF, data[offset + 4 : offset + length]
        offset += (length + 3) & ~3


def _text(kind: int, value: str) -> bytes:
    data = value.encode() + b"\0"
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)
