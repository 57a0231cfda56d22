"""Malformed, spoofed and fragmented packets at an interface: nothing leaks past a filter, nothing crashes.

`inside` may receive UDP port 9000 and nothing else; `attacker` may send what it likes from another subnet, `outsider` from beside it. Every packet
carries the word LEAK; what reaches `inside` with it must be what the group admits. Packets are whole when rules see them (`fabric`: reassembly comes first).
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_LSRR, IPOption_SSRR, fragment
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet, Raw, fuzz

from testbed.compile import compile_plan
from testbed.engine import sandbox
from testbed.engine.lab import Lab
from testbed.model import Direction, Instance, NetworkAcl, NetworkAclEntry, PortRange, Protocol, SecurityGroup, SecurityGroupRule, Subnet, Topology, Verdict, Vpc
from testbed.resolve import resolve
from tests.dataplane.wire import WORD, Wire, port_of

OPEN_PORT, CLOSED_PORT = 9000, 9001
ATTACKER, OUTSIDER, INSIDE = "10.9.0.10", "10.9.1.11", "10.9.1.10"

pytestmark = pytest.mark.packets


def topology() -> Topology:
    open_port = SecurityGroupRule(ip_protocol="udp", from_port=OPEN_PORT, to_port=OPEN_PORT, cidr_ip="10.9.0.0/16")
    passing = tuple(
        NetworkAclEntry(rule_number=100, direction=direction, rule_action=Verdict.ALLOW, cidr_block="10.9.0.0/16", protocol=Protocol.UDP, port_range=PortRange(first=1024, last=65535))
        for direction in Direction
    )
    return Topology(
        name="malformed",
        resources=(
            Vpc(id="vpc", region="eu-west-1", cidr_block="10.9.0.0/16"),
            Subnet(id="near", vpc_id="vpc", cidr_block="10.9.0.0/24", availability_zone="eu-west-1a"),
            Subnet(id="far", vpc_id="vpc", cidr_block="10.9.1.0/24", availability_zone="eu-west-1a"),
            NetworkAcl(id="acl-far", vpc_id="vpc", associations=("far",), entries=passing),
            SecurityGroup(id="sg-inside", vpc_id="vpc", security_group_ingress=(open_port,)),
            SecurityGroup(id="sg-attacker", vpc_id="vpc"),
            Instance(id="attacker", subnet_id="near", private_ip_address=ATTACKER, security_group_ids=("sg-attacker",)),
            Instance(id="outsider", subnet_id="far", private_ip_address=OUTSIDER, security_group_ids=("sg-attacker",)),
            Instance(id="inside", subnet_id="far", private_ip_address=INSIDE, security_group_ids=("sg-inside",)),
        ),
    )


class Attack(Wire):
    """Sends as `attacker` where nothing else is said."""

    def send(self, *packets: Packet | bytes, node: str = "attacker") -> None:
        super().send(*packets, node=node)

    def works(self) -> bool:
        """Whether an honest datagram to the open port arrives."""
        self.send(IP(src=ATTACKER, dst=INSIDE) / UDP(sport=40000, dport=OPEN_PORT) / WORD)
        return len(self.heard()) == 1


@pytest.fixture(scope="module")
def wire(lab_sandbox: None) -> Iterator[Attack]:
    assert sandbox.inside()
    with Lab(compile_plan(resolve(topology()))) as lab:
        found = Attack(lab, senders=("attacker", "outsider"), hearers=("inside",))
        try:
            yield found
        finally:
            found.close()


@pytest.fixture(autouse=True)
def still_works(wire: Attack) -> Iterator[None]:
    """Whatever was sent, the honest way is open afterwards."""
    wire.heard()
    yield
    assert wire.works()


def udp(port: int, length: int = 64, **fields: object) -> Packet:
    return IP(src=ATTACKER, dst=INSIDE, id=random.randrange(1, 65536), **fields) / UDP(sport=40001, dport=port) / (WORD * (length // len(WORD)))


def test_fragments_are_judged_as_the_whole_that_they_make(wire: Attack) -> None:
    wire.send(*fragment(udp(CLOSED_PORT, 4000), fragsize=1000))
    wire.send(*reversed(fragment(udp(CLOSED_PORT, 4000), fragsize=8)[:60]))
    assert wire.heard() == []
    wire.send(*reversed(fragment(udp(OPEN_PORT, 4000), fragsize=1000)))
    assert len(wire.heard()) >= 1


def test_a_later_fragment_by_itself_goes_nowhere(wire: Attack) -> None:
    _, *later = fragment(udp(OPEN_PORT, 4000), fragsize=1000)
    wire.send(*later)
    assert wire.heard() == []
    wire.send(fragment(udp(OPEN_PORT, 4000), fragsize=1000)[0])
    assert wire.heard() == []


def test_overlapping_fragments_do_not_rewrite_the_port(wire: Attack) -> None:
    """RFC 1858: a second fragment at offset 0 or 8 bytes overwrites the header that the filter has seen."""
    honest, forged = bytes(udp(OPEN_PORT, 64)[UDP]), bytes(udp(CLOSED_PORT, 64)[UDP])
    for number, (first, second) in enumerate(((honest, forged), (forged, honest)), start=500):
        head = IP(src=ATTACKER, dst=INSIDE, id=number, proto=17)
        begun = head.copy()
        begun.flags, begun.frag = "MF", 0
        again = head.copy()
        again.flags, again.frag = "MF", 0
        rest = head.copy()
        rest.flags, rest.frag = 0, 3
        wire.send(begun / Raw(first[:24]), again / Raw(second[:24]), rest / Raw(first[24:]))
    assert all(port_of(packet) != CLOSED_PORT for _, packet in wire.heard())


def test_tiny_first_fragments_hide_no_port(wire: Attack) -> None:
    whole = bytes(udp(CLOSED_PORT, 64)[UDP])
    tiny, rest = IP(src=ATTACKER, dst=INSIDE, id=900, proto=17, flags="MF") / Raw(whole[:8]), IP(src=ATTACKER, dst=INSIDE, id=900, proto=17, frag=1) / Raw(whole[8:])
    wire.send(tiny, rest)
    wire.send(IP(src=ATTACKER, dst=INSIDE, id=901, proto=17, flags="MF", frag=0) / Raw(whole[:4]))
    assert wire.heard() == []


def test_a_ping_of_death_and_more_fragments_than_fit(wire: Attack) -> None:
    wire.send(IP(src=ATTACKER, dst=INSIDE, id=950, proto=1, frag=8189) / Raw(WORD * 100))
    for number in range(1000, 1400):
        wire.send(IP(src=ATTACKER, dst=INSIDE, id=number, proto=17, flags="MF", frag=number % 200) / Raw(WORD * 2))
    assert wire.heard() == []


@pytest.mark.parametrize("option", [IPOption_LSRR(routers=[INSIDE]), IPOption_SSRR(routers=[INSIDE])], ids=["loose", "strict"])
def test_source_routing_is_refused(wire: Attack, option: Packet) -> None:
    wire.send(IP(src=ATTACKER, dst=OUTSIDER, options=[option]) / UDP(sport=40001, dport=OPEN_PORT) / WORD)
    wire.send(IP(src=ATTACKER, dst=INSIDE, options=[option]) / UDP(sport=40001, dport=CLOSED_PORT) / WORD)
    assert wire.heard() == []


@pytest.mark.parametrize("flags", ["", "S", "SA", "A", "F", "R", "FPU", "SFRPAUEC", "SF", "PA"])
def test_no_combination_of_tcp_flags_passes_a_group_without_a_rule(wire: Attack, flags: str) -> None:
    for node, source in (("attacker", ATTACKER), ("outsider", OUTSIDER)):
        wire.send(IP(src=source, dst=INSIDE) / TCP(sport=OPEN_PORT, dport=OPEN_PORT, flags=flags) / WORD, node=node)
    assert wire.heard() == []


def test_wrong_lengths_checksums_and_versions(wire: Attack) -> None:
    closed = udp(CLOSED_PORT)
    for field, value in (("len", 10), ("len", 65535), ("ihl", 4), ("ihl", 15), ("version", 6), ("version", 0), ("chksum", 1), ("ttl", 0)):
        for port in (CLOSED_PORT, OPEN_PORT):
            broken = udp(port)
            setattr(broken, field, value)
            wire.send(broken)
    wire.send(IP(src=ATTACKER, dst=INSIDE) / UDP(sport=40001, dport=CLOSED_PORT, len=4) / WORD, IP(src=ATTACKER, dst=INSIDE, proto=17) / WORD, bytes(closed)[:19])
    assert all(port_of(packet) == OPEN_PORT for _, packet in wire.heard())


def test_spoofed_sources_reach_nobody(wire: Attack) -> None:
    for source in (INSIDE, OUTSIDER, "10.9.0.99", "10.9.0.1", "0.0.0.0", "127.0.0.1", "255.255.255.255", "224.0.0.5", "8.8.8.8"):
        wire.send(IP(src=source, dst=INSIDE) / UDP(sport=40001, dport=OPEN_PORT) / WORD)
    assert wire.heard() == []


def test_errors_and_redirects_about_flows_that_do_not_exist(wire: Attack) -> None:
    quoted = IP(src=INSIDE, dst=ATTACKER) / UDP(sport=OPEN_PORT, dport=40001) / WORD
    for icmp_type, code in ((3, 1), (3, 4), (4, 0), (5, 1), (11, 0), (12, 0)):
        wire.send(IP(src=ATTACKER, dst=INSIDE) / ICMP(type=icmp_type, code=code) / quoted)
    assert wire.heard() == []


def test_frames_that_are_no_ipv4(wire: Attack) -> None:
    head = wire.heads["attacker"]
    for kind in (0x0000, 0x0806, 0x8100, 0x86DD, 0x88CC, 0x8847, 0xFFFF):
        wire.frame(Ether(src=head.src, dst=head.dst, type=kind) / Raw(WORD * 20), "attacker")
        wire.frame(Ether(src=head.src, dst="ff:ff:ff:ff:ff:ff", type=kind) / Raw(WORD * 20), "attacker")
    for psrc in (INSIDE, "10.9.0.1", "0.0.0.0"):
        wire.frame(Ether(src=head.src, dst="ff:ff:ff:ff:ff:ff") / ARP(op=2, hwsrc=head.src, psrc=psrc, pdst=INSIDE) / Raw(WORD), "attacker")
    assert wire.heard() == []


@settings(deadline=None, max_examples=15, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 1 << 32))
def test_random_nonsense(wire: Attack, seed: int) -> None:
    chance = random.Random(seed)
    random.seed(seed)  # scapy's fuzz draws from here
    for _ in range(40):
        layers = chance.choice((fuzz(UDP()), fuzz(TCP()), fuzz(ICMP()), Raw(chance.randbytes(chance.randrange(60)))))
        packet = IP(src=ATTACKER, dst=INSIDE, proto=chance.randrange(256), flags=chance.choice((0, "MF", "DF")), frag=chance.choice((0, 0, 1, 185))) / layers / Raw(WORD)
        wire.send(packet, node=chance.choice(("attacker", "outsider")))
    assert all(packet[9] == 17 and port_of(packet) == OPEN_PORT for _, packet in wire.heard())
