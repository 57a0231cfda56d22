"""The services that a fabric answers by itself: addresses on its loopback, and who may ask.

    input: not from an interface of this VPC? drop ─> more than 1,024 packets/s of one interface? drop ─> resolver, metadata, time ─> else drop

No security group and no network ACL is asked; no route leads to them from elsewhere, since each fabric has its own. A packet from an interface carries
its zone in its mark (`plan.marks`), and what comes by a gateway or a peering carries none.
Source: VPC user guide, "Amazon DNS server", "Compare security groups and network ACLs"; EC2 user guide, "Use the Instance Metadata Service", "Set the
time" (documented). The limit is for all services of an interface together (VPC user guide, "DNS quotas"; documented); it is a token bucket of one
second's worth here (assumed), and the resolver by itself counts whole seconds (`services.dns.limit`). NOT MODELLED: Windows licensing, the ECS task metadata.
"""

from __future__ import annotations

from ipaddress import IPv4Address

from testbed.plan import NftRule, NftSet
from testbed.plan.marks import AVAILABILITY_ZONE_MASK

RESOLVER = IPv4Address("169.254.169.253")
INSTANCE_METADATA = IPv4Address("169.254.169.254")
TIME_SYNC = IPv4Address("169.254.169.123")
DNS_PORT, METADATA_PORT, NTP_PORT = 53, 80, 123
PACKETS_PER_SECOND = 1024
LIMITED = NftSet(name="link_local_packets", type="ifname", flags=("dynamic",))
"""Filled by packets: an interface's bucket."""


def rules(vpc: str) -> tuple[NftRule, ...]:
    """What the fabric of this VPC lets in to itself; the set `resolver` holds the resolver's addresses."""
    rate = f"limit rate over {PACKETS_PER_SECOND}/second burst {PACKETS_PER_SECOND} packets"
    return (
        NftRule(statement=f"meta mark & {AVAILABILITY_ZONE_MASK:#x} == 0 counter drop", origin=f"{vpc} answers its own interfaces only"),
        NftRule(statement=f"update @{LIMITED.name} {{ iifname {rate} }} counter drop", origin=f"{vpc} {PACKETS_PER_SECOND} packets/s per interface"),
        NftRule(statement=f"ip daddr @resolver meta l4proto {{ tcp, udp }} th dport {DNS_PORT} accept", origin=f"{vpc} resolver"),
        NftRule(statement=f"ip daddr {INSTANCE_METADATA} tcp dport {METADATA_PORT} accept", origin=f"{vpc} instance metadata"),
        NftRule(statement=f"ip daddr {TIME_SYNC} udp dport {NTP_PORT} accept", origin=f"{vpc} time sync"),
        NftRule(statement="counter drop", origin=f"{vpc} reserved address"),
    )
