"""Frames of any shape, sent by hosts of a running network, and what other hosts hear of them. Every packet carries a word, so that nothing else is taken for it."""

from __future__ import annotations

import select
import socket
from collections.abc import Sequence

from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from testbed.engine.lab import Lab

WORD = b"LEAK"
PATIENCE_S = 0.15
PACKET_OUTGOING = 4
ETH_P_ALL = 0x0003
LONGEST_FRAME_BYTES = 9014


class Wire:
    """`senders` may send what they like, `hearers` are listened to."""

    def __init__(self, lab: Lab, senders: Sequence[str], hearers: Sequence[str]) -> None:
        self._taps = {lab.socket(node, socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL)): node for node in hearers}
        self._sockets = {node: lab.socket(node, socket.AF_PACKET, socket.SOCK_RAW) for node in senders}
        self.heads: dict[str, Ether] = {}
        """The Ethernet header from a node to its router."""
        for link in lab.plan.links:
            for near, far in ((link.a, link.b), (link.b, link.a)):
                self.heads[near.node] = Ether(src=near.mac, dst=far.mac)
                if near.node in self._sockets:
                    self._sockets[near.node].bind((near.name, 0))

    def send(self, *packets: Packet | bytes, node: str) -> None:
        """IP packets to the subnet's router, bytes as they are."""
        for packet in packets:
            frame = bytes(self.heads[node] / packet) if isinstance(packet, Packet) else bytes(self.heads[node] / Raw(packet))
            try:
                self._sockets[node].send(frame[:LONGEST_FRAME_BYTES])
            except OSError:  # too long for the interface: the sender's own
                continue

    def frame(self, frame: Packet, node: str) -> None:
        """A whole frame."""
        self._sockets[node].send(bytes(frame))

    def heard(self) -> list[tuple[str, bytes]]:
        """The IP packets with the word that have reached the hearers, each with who heard it, until nothing more comes."""
        found = []
        while ready := select.select(list(self._taps), [], [], PATIENCE_S)[0]:
            for tap in ready:
                packet, origin = tap.recvfrom(65536)
                if WORD in packet and origin[2] != PACKET_OUTGOING:
                    found.append((self._taps[tap], packet))
        return found

    def close(self) -> None:
        for sock in (*self._taps, *self._sockets.values()):
            sock.close()


def port_of(packet: bytes) -> int | None:
    """The destination port of a UDP packet; None of a later fragment or another protocol."""
    start = (packet[0] & 15) * 4
    offset = (packet[6] << 8 | packet[7]) & 0x1FFF
    return None if packet[9] != 17 or offset or len(packet) < start + 4 else packet[start + 2] << 8 | packet[start + 3]
