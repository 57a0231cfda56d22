"""Real probes over a running network, many at once: what the kernel did with each packet, and with its reply.

Every probe carries a mark of its own that no translation touches (TCP: the sequence number; UDP and ICMP: the payload), so that its packet is
known again wherever it turns up. Packet sockets in every host see what arrives there; hosts reset TCP, echo UDP on the ports that are asked
for, and answer pings, so that a reply is always sent.
"""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from testbed.engine.lab import Lab
from testbed.model import Protocol
from testbed.oracle import Probe
from testbed.plan import Node

ETH_P_IP = 0x0800
PACKET_OUTGOING = 4
IP_PKTINFO = 8
SYN, RST = 0x02, 0x04
MARK_BASE = 0x5A000000
DONT_FRAGMENT, MORE_FRAGMENTS = 0x4000, 0x2000
TCP_LENGTH_STEP = 4096
"""A reset acknowledges a SYN's data, too: these come in multiples of this, so that the mark is found again."""
FIRST_SOURCE_PORT = 33000
PORTS_PER_ATTEMPT = 3000


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What became of a probe: whether its packet reached a host other than its sender's, and whether the reply reached the sender."""

    arrived: bool
    replied: bool


def distinct(probes: Sequence[Probe], attempt: int = 0) -> tuple[Probe, ...]:
    """The probes with a source port each that no other has, in no other attempt either, so that no two are one flow."""
    first = FIRST_SOURCE_PORT + attempt * PORTS_PER_ATTEMPT
    return tuple(probe if probe.protocol is Protocol.ICMP else replace(probe, source_port=first + number) for number, probe in enumerate(probes))


def send(lab: Lab, hosts: Sequence[Node], probes: Sequence[Probe], udp_ports: Sequence[int], patience_s: float = 0.25) -> tuple[Seen, ...]:
    """Send all probes at once and watch for `patience_s` after the last thing seen. `hosts` are the nodes that can send or receive."""
    taps = {node.name: _tap(lab, node.name) for node in hosts}
    echo = _Echo([lab.socket(node.name, socket.AF_INET, socket.SOCK_DGRAM) for node in hosts for _ in udp_ports], list(udp_ports) * len(hosts))
    raw = {name: lab.socket(name, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) for name in taps}
    addresses = {name: _address(lab, name) for name in {str(probe.source) for probe in probes}}
    try:
        for number, probe in enumerate(probes):
            source = str(probe.source)
            try:
                mtu = next(end.mtu_bytes for link in lab.plan.links for end in (link.a, link.b) if end.node == source)
                for piece in _pieces(_packet(probe, probe.claimed_source or addresses[source], MARK_BASE + number), mtu):
                    raw[source].sendto(piece, (str(probe.destination), 0))
            except OSError:  # the sender itself has no route
                continue
        arrived, replied = _watch(taps, {node.name: _own(lab, node.name) for node in hosts}, probes, patience_s)
    finally:
        echo.close()
        for sock in (*taps.values(), *raw.values()):
            sock.close()
    return tuple(Seen(arrived=number in arrived, replied=number in replied) for number in range(len(probes)))


def _tap(lab: Lab, node: str) -> socket.socket:
    tap = lab.socket(node, socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP))
    tap.setblocking(False)
    return tap


def _address(lab: Lab, node: str) -> IPv4Address:
    for link in lab.plan.links:
        for end in (link.a, link.b):
            if end.node == node and end.addresses:
                return end.addresses[0].ip
    raise LookupError(f"{node} has no address")


def _own(lab: Lab, node: str) -> set[bytes]:
    """Every address of a node: what a middlebox forwards is not its own."""
    ends = (end for link in lab.plan.links for end in (link.a, link.b) if end.node == node)
    addresses = (*(address for end in ends for address in end.addresses), *lab.plan.node(node).loopback)
    return {address.ip.packed for address in addresses}


def _watch(taps: dict[str, socket.socket], own: dict[str, set[bytes]], probes: Sequence[Probe], patience_s: float) -> tuple[set[int], set[int]]:
    arrived: set[int] = set()
    replied: set[int] = set()
    names = {tap.fileno(): name for name, tap in taps.items()}
    poll = select.poll()
    for descriptor in names:
        poll.register(descriptor, select.POLLIN)
    deadline = time.monotonic() + patience_s
    while (left := deadline - time.monotonic()) > 0:
        for descriptor, _ in poll.poll(left * 1000):
            packet, origin = taps[names[descriptor]].recvfrom(65536)
            if origin[2] == PACKET_OUTGOING:
                continue
            found = _mark(packet)
            if found is None or not 0 <= found[0] < len(probes):
                continue
            if packet[16:20] not in own[names[descriptor]]:
                continue
            number, is_reply = found
            if is_reply and names[descriptor] == probes[number].source and packet[12:16] == probes[number].destination.packed:  # from another address it is no answer
                replied.add(number)
                deadline = max(deadline, time.monotonic() + patience_s / 2)
            elif not is_reply and names[descriptor] != probes[number].source:
                arrived.add(number)
                deadline = max(deadline, time.monotonic() + patience_s / 2)
    return arrived, replied


class _Echo:
    """UDP sockets that send everything back, as a peer that answers, from the address that was asked."""

    def __init__(self, sockets: list[socket.socket], ports: list[int]) -> None:
        self._sockets = {sock.fileno(): sock for sock in sockets}
        for sock, port in zip(sockets, ports, strict=True):
            sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
            sock.bind(("0.0.0.0", port))
            sock.setblocking(False)
        self._stop_read, self._stop_write = socket.socketpair()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        poll = select.poll()
        for descriptor in (*self._sockets, self._stop_read.fileno()):
            poll.register(descriptor, select.POLLIN)
        while True:
            for descriptor, _ in poll.poll():
                if descriptor == self._stop_read.fileno():
                    return
                data, control, _, peer = self._sockets[descriptor].recvmsg(2048, 64)
                asked = struct.unpack("=I4s4s", control[0][2])[2]
                answering = struct.pack("=I4s4s", 0, asked, bytes(4))
                self._sockets[descriptor].sendmsg([b"R" + data[1:5]], [(socket.IPPROTO_IP, IP_PKTINFO, answering)], 0, peer)

    def close(self) -> None:
        self._stop_write.send(b"x")
        self._thread.join()
        for sock in (*self._sockets.values(), self._stop_read, self._stop_write):
            sock.close()


def _packet(probe: Probe, source: IPv4Address, mark: int) -> bytes:
    """The whole IPv4 packet, as long as the probe says; the kernel fills in the header's checksum."""
    if probe.protocol is Protocol.TCP:
        body = struct.pack("!HHIIBBHHH", probe.source_port, probe.destination_port, mark, 0, 5 << 4, SYN, 64240, 0, 0) + bytes(max(0, probe.length_bytes - 40))
        pseudo = source.packed + probe.destination.packed + struct.pack("!BBH", 0, 6, len(body))
        body = body[:16] + struct.pack("!H", _checksum(pseudo + body)) + body[18:]
    elif probe.protocol is Protocol.UDP:
        data = b"Q" + struct.pack("!I", mark) + bytes(max(0, probe.length_bytes - 33))
        body = struct.pack("!HHHH", probe.source_port, probe.destination_port, 8 + len(data), 0) + data
    else:
        number = mark - MARK_BASE
        body = struct.pack("!BBHHH", probe.icmp_type, probe.icmp_code or 0, 0, 0x4000 + number, 1) + struct.pack("!I", mark) + bytes(max(0, probe.length_bytes - 32))
        body = body[:2] + struct.pack("!H", _checksum(body)) + body[4:]
    fields = (0x45, 0, 20 + len(body), mark & 0xFFFF or 1, DONT_FRAGMENT * probe.dont_fragment, 64, int(probe.protocol), 0, source.packed, probe.destination.packed)
    return struct.pack("!BBHHHBBH4s4s", *fields) + body


def _pieces(packet: bytes, mtu_bytes: int) -> Iterator[bytes]:
    """The packet, or its fragments if it is larger than the interface and may be cut: a raw socket leaves that to its user."""
    if len(packet) <= mtu_bytes or packet[6] & DONT_FRAGMENT >> 8:
        yield packet
        return
    step = (mtu_bytes - 20) // 8 * 8
    for begin in range(20, len(packet), step):
        body = packet[begin : begin + step]
        more = MORE_FRAGMENTS if begin + step < len(packet) else 0
        yield packet[:2] + struct.pack("!H", 20 + len(body)) + packet[4:6] + struct.pack("!H", more | (begin - 20) // 8) + packet[8:20] + body


def _mark(packet: bytes) -> tuple[int, bool] | None:
    """Which probe a packet belongs to, and whether it is its reply; None if it is no probe's."""
    body = packet[(packet[0] & 15) * 4 :]
    if struct.unpack_from("!H", packet, 6)[0] & 0x1FFF:
        return None  # a later fragment
    if packet[9] == Protocol.TCP and len(body) >= 20:
        sequence, acknowledged = struct.unpack_from("!II", body, 4)
        if body[13] & RST or body[13] & 0x10:
            return (acknowledged - 1 - MARK_BASE) % TCP_LENGTH_STEP, True
        return sequence - MARK_BASE, False
    if packet[9] == Protocol.UDP and len(body) >= 13 and body[8:9] in (b"Q", b"R"):
        return struct.unpack_from("!I", body, 9)[0] - MARK_BASE, body[8:9] == b"R"
    if packet[9] == Protocol.ICMP and len(body) >= 12 and body[0] in (0, 8):
        return struct.unpack_from("!I", body, 8)[0] - MARK_BASE, body[0] == 0
    return None


def _checksum(data: bytes) -> int:
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF
