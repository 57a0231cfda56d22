"""What becomes of one frame: which session takes a copy, and the copy as it goes to the target. Pure.

    outer IPv4 | UDP, source port by the packet's flow, destination 4789 | VXLAN, the session's VNI | the frame, cut where the session or the MTU says

Source: VPC Traffic Mirroring guide, "Traffic mirror packet format" (documented): the source port is a hash of the 5-tuple, of addresses and protocol where there are no ports;
"Traffic mirroring limitations" (documented): ARP, DHCP, instance metadata, NTP and Windows activation are not mirrored, and longer copies than the MTU are truncated.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from ipaddress import IPv4Address

from services.traffic_mirror.config import Rule, Session

VXLAN_PORT = 4789
ETHERTYPE_IPV4 = b"\x08\x00"
ETHERNET, IPV4, UDP, VXLAN = 14, 20, 8, 8
ICMP_NUMBER, TCP_NUMBER, UDP_NUMBER = 1, 6, 17
ICMP = 8
ICMP_ERRORS = (3, 4, 5, 11, 12)
NEVER = frozenset((IPv4Address("169.254.169.254"), IPv4Address("169.254.169.123")))
DHCP_PORTS = frozenset((67, 68))
FIRST_SOURCE_PORT, SOURCE_PORTS = 49152, 16384
VNI_VALID = 0x08


@dataclass(frozen=True, slots=True)
class Seen:
    """The headers that filters look at. Ports are 0 where there are none."""

    protocol: int
    source: IPv4Address
    destination: IPv4Address
    source_port: int = 0
    destination_port: int = 0


def seen(frame: bytes) -> Seen | None:
    """The headers of a frame that may be mirrored; None for one that never is."""
    if frame[12:14] != ETHERTYPE_IPV4 or len(frame) < ETHERNET + IPV4:
        return None
    packet = frame[ETHERNET:]
    header = (packet[0] & 0xF) * 4
    protocol = packet[9]
    ports = (0, 0)
    if protocol in (TCP_NUMBER, UDP_NUMBER) and not struct.unpack_from("!H", packet, 6)[0] & 0x1FFF and len(packet) >= header + 4:
        ports = struct.unpack_from("!HH", packet, header)
    found = Seen(protocol, IPv4Address(packet[12:16]), IPv4Address(packet[16:20]), *ports)
    if found.source in NEVER or found.destination in NEVER or (protocol == UDP_NUMBER and (DHCP_PORTS & set(ports) or VXLAN_PORT in ports)):
        return None
    return None if protocol == ICMP_NUMBER and _is_about_a_copy(packet[header:]) else found


def _is_about_a_copy(message: bytes) -> bool:
    """An error message about a copy (a target on which nothing listens) would be copied, and be answered by the next one, for ever."""
    if len(message) < ICMP + IPV4 + UDP or message[0] not in ICMP_ERRORS or message[ICMP + 9] != UDP_NUMBER:
        return False
    return message[ICMP + (message[ICMP] & 0xF) * 4 :][2:4] == VXLAN_PORT.to_bytes(2, "big")


def chosen(sessions: tuple[Session, ...], packet: Seen, *, inbound: bool) -> Session | None:
    """The first session whose filter accepts the packet."""
    return next((session for session in sessions if _accepts(session.rules, packet, inbound)), None)


def copy(frame: bytes, packet: Seen, session: Session, mtu_bytes: int) -> bytes:
    """UDP datagram's worth: everything after the outer IP header."""
    most = mtu_bytes - IPV4 - UDP - VXLAN
    body = frame[: min(most, session.length_bytes or most)]
    vxlan = struct.pack("!BBHI", VNI_VALID, 0, 0, session.vni << 8)
    source_port = FIRST_SOURCE_PORT + _hash(packet) % SOURCE_PORTS
    return struct.pack("!HHHH", source_port, VXLAN_PORT, UDP + VXLAN + len(body), 0) + vxlan + body


def _accepts(rules: tuple[Rule, ...], packet: Seen, inbound: bool) -> bool:
    rule = next((rule for rule in rules if rule.inbound is inbound and _matches(rule, packet)), None)
    return rule is not None and rule.accept


def _matches(rule: Rule, packet: Seen) -> bool:
    if rule.protocol not in (-1, packet.protocol) or packet.source not in rule.source or packet.destination not in rule.destination:
        return False
    return rule.source_ports[0] <= packet.source_port <= rule.source_ports[1] and rule.destination_ports[0] <= packet.destination_port <= rule.destination_ports[1]


def _hash(packet: Seen) -> int:
    return zlib.crc32(struct.pack("!B4s4sHH", packet.protocol, packet.source.packed, packet.destination.packed, packet.source_port, packet.destination_port))
