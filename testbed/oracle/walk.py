"""What is asked of the oracle, and its answer: a probe, and the walk of its packet and of the reply, hop by hop."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.model.values import Packet, Protocol, Verdict

ECHO_REQUEST, ECHO_REPLY = 8, 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """The first packet of a flow: a TCP SYN, a UDP datagram or an ICMP message (an echo request by default).

    `source` is a node's name or an address. `nat_source_port` is the port that a NAT gateway picks for the flow: AWS draws it from
    1024-65535 (VPC user guide, "NAT gateway basics"; documented), so a verdict may depend on it where an ACL opens only a part of that range.
    `length_bytes` is the whole packet's (0: a short one), `dont_fragment` its DF bit; an echo's reply is as long, other replies are short.
    `claimed_source` is the source address of a sender that forges it; None if it is the sender's own.
    """

    source: str | IPv4Address
    destination: IPv4Address
    protocol: Protocol
    destination_port: int | None = None
    source_port: int | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None
    nat_source_port: int = 40000
    length_bytes: int = 0
    dont_fragment: bool = False
    claimed_source: IPv4Address | None = None


class Stage(enum.StrEnum):
    """What judges a packet at a hop."""

    INTERFACE = "interface"
    """The source/destination check, and whether any interface has the address."""
    SECURITY_GROUP = "security-group"
    NETWORK_ACL = "network-acl"
    ROUTE = "route"
    NAT_GATEWAY = "nat-gateway"
    NETWORK_FIREWALL = "network-firewall"
    PEERING = "peering"
    VPN_GATEWAY = "vpn-gateway"
    """A virtual private gateway, with the tunnel that it chooses."""
    CUSTOMER_GATEWAY = "customer-gateway"
    """The router of an on-premises site."""
    TRANSIT_GATEWAY = "transit-gateway"
    GLOBAL_ACCELERATOR = "global-accelerator"
    VPC_ENDPOINT = "vpc-endpoint"
    LOAD_BALANCER = "load-balancer"
    INTERNET_GATEWAY = "internet-gateway"
    INTERNET = "internet"
    SHIELD = "shield"
    """AWS's border: what Shield Standard drops."""
    SERVICE = "service"
    """Amazon DNS, instance metadata and time: answered by the fabric itself."""
    HOST = "host"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One decision: at which resource, by what, why (`origin`), on which packet, and what the packet became where it was translated."""

    where: str
    stage: Stage
    verdict: Verdict
    origin: str
    packet: Packet
    translated: Packet | None = None
    direction: str = ""
    """At a network ACL: ``inbound`` or ``outbound``."""


class Leg(enum.StrEnum):
    """Which of the two packets."""

    REQUEST = "request"
    REPLY = "reply"


class Outcome(enum.StrEnum):
    DELIVERED = "delivered"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """The hops of one packet, in order; if it was dropped, the last one did it."""

    leg: Leg
    hops: tuple[Hop, ...]
    outcome: Outcome

    @property
    def origin(self) -> str:
        """What decided: the reason of the drop, or the last permission."""
        return self.hops[-1].origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """A probe's fate. `reply` is None if the request was dropped or asks for no answer (an ICMP message other than an echo request)."""

    probe: Probe
    request: Path
    reply: Path | None

    @property
    def deciding(self) -> Path:
        """The leg which decided the outcome: the last one walked."""
        return self.request if self.reply is None else self.reply

    @property
    def outcome(self) -> Outcome:
        """DELIVERED if the request arrived and its reply came back."""
        return self.deciding.outcome

    @property
    def origin(self) -> str:
        """The AWS rule or resource that decided."""
        return self.deciding.origin

    @property
    def leg(self) -> Leg:
        """Whether request or reply was the last to be judged."""
        return self.deciding.leg


def reply_to(packet: Packet) -> Packet:
    """The packet that answers: ends swapped, an echo request turned into an echo reply."""
    is_echo = packet.protocol is Protocol.ICMP and packet.icmp_type == ECHO_REQUEST
    return Packet(
        source=packet.destination,
        destination=packet.source,
        protocol=packet.protocol,
        source_port=packet.destination_port,
        destination_port=packet.source_port,
        icmp_type=ECHO_REPLY if is_echo else packet.icmp_type,
        icmp_code=packet.icmp_code,
    )
