"""What "The inspected packet" sends: datagrams, by which one sees where packets pass."""

from __future__ import annotations

import socket
from contextlib import suppress

from testbed.labs.checking import CheckedLab

WEB, LOG, GENEVE = 80, 9000, 6081
PATIENCE_S = 0.6
SEEN_S = 0.6


def send(lab: CheckedLab, source: str, destination: str, data: bytes) -> None:
    """A datagram to port 9000 of a node, by its public address if it has one."""
    with lab[source].socket(kind=socket.SOCK_DGRAM) as sock, suppress(OSError):
        sock.sendto(data, (str(lab.public_address(destination) or lab[destination].address), LOG))


def passes(lab: CheckedLab, source: str, destination: str) -> bool:
    """Whether vpce-app sees what one node sends to the other."""
    with lab.capture("vpce-app", filter=f"udp dst port {LOG}") as capture:
        send(lab, source, destination, b"hello")
        capture.wait_for(1, timeout_s=SEEN_S)
    return bool(capture.packets)


def heard(lab: CheckedLab, data: bytes) -> bytes:
    """What arrives at web, port 9000, once client has sent `data`."""
    with lab["web"].socket(kind=socket.SOCK_DGRAM) as sink:
        sink.bind(("0.0.0.0", LOG))
        sink.settimeout(PATIENCE_S)
        send(lab, "client", "web", data)
        try:
            return sink.recv(65536)
        except TimeoutError:
            return b""


def answered(lab: CheckedLab) -> bool:
    """Whether web answers client's SYN, and fw has had it in GENEVE before."""
    address = lab.public_address("web")
    if address is None:
        return False
    with lab.capture("fw", filter=f"udp dst port {GENEVE}") as capture:
        passed = lab["client"].tcp(address, WEB).passed
        capture.wait_for(1, timeout_s=SEEN_S)
    return passed and bool(capture.packets)
