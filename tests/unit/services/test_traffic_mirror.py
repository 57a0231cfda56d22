"""Which frames are copied, to which session, and as what."""

import struct
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.layers.vxlan import VXLAN

from services.traffic_mirror.config import Rule, Session
from services.traffic_mirror.vxlan import chosen, copy, seen

ANYWHERE = IPv4Network("0.0.0.0/0")
ALL = (0, 65535)
WEB = bytes(Ether() / IP(src="10.0.0.4", dst="10.0.1.4") / TCP(sport=40000, dport=80) / (b"x" * 100))


def rule(*, inbound=False, accept=True, protocol=-1, ports=ALL):
    return Rule(inbound=inbound, accept=accept, protocol=protocol, source=ANYWHERE, destination=ANYWHERE, source_ports=ALL, destination_ports=ports)


SESSION = Session(id="tms", target=IPv4Address("10.0.2.4"), vni=7, length_bytes=0, rules=(rule(),))


def test_a_copy_is_the_whole_frame_behind_a_vxlan_header():
    datagram = UDP(copy(WEB, seen(WEB), SESSION, 9001))
    assert (datagram.dport, datagram[VXLAN].vni, bytes(datagram[VXLAN].payload)) == (4789, 7, WEB)


def test_the_source_port_is_the_flows():
    def port(**fields) -> int:
        packet = replace(seen(WEB), **fields)
        return struct.unpack_from("!H", copy(WEB, packet, SESSION, 9001))[0]

    assert port() == port()
    assert len({port(source_port=number) for number in range(1, 50)}) > 40


def test_copies_are_cut_by_the_session_and_by_the_mtu():
    assert len(copy(WEB, seen(WEB), replace(SESSION, length_bytes=60), 9001)) == 16 + 60
    assert len(copy(WEB, seen(WEB), SESSION, 136)) == 136 - 20


def test_the_first_matching_rule_decides_and_without_one_nothing_is_copied():
    deny_web = rule(accept=False, protocol=6, ports=(80, 80))
    assert chosen((SESSION,), seen(WEB), inbound=False) is SESSION
    assert chosen((SESSION,), seen(WEB), inbound=True) is None
    assert chosen((replace(SESSION, rules=(deny_web, rule())),), seen(WEB), inbound=False) is None
    assert chosen((replace(SESSION, rules=(rule(), deny_web)),), seen(WEB), inbound=False) is not None
    assert chosen((replace(SESSION, rules=()),), seen(WEB), inbound=False) is None


def test_the_next_session_gets_what_the_first_ones_filter_leaves():
    pings, rest = replace(SESSION, id="pings", rules=(rule(protocol=1),)), replace(SESSION, id="rest")
    assert chosen((pings, rest), seen(WEB), inbound=False) is rest


def test_what_aws_never_mirrors():
    frames = [
        Ether() / ARP(),
        Ether() / IP(dst="169.254.169.254") / TCP(dport=80),
        Ether() / IP(src="169.254.169.123") / UDP(sport=123),
        Ether() / IP(dst="255.255.255.255") / UDP(sport=68, dport=67) / BOOTP() / DHCP(),
        Ether() / IP(dst="10.0.2.4") / UDP(dport=4789),
        Ether() / IP(src="10.0.2.4") / ICMP(type=3, code=3) / IP(dst="10.0.2.4") / UDP(dport=4789),
    ]
    assert [seen(bytes(frame)) for frame in frames] == [None] * len(frames)
    assert seen(bytes(Ether() / IP(src="10.0.2.4") / ICMP(type=3, code=3) / IP(dst="10.0.2.4") / UDP(dport=53))) is not None
