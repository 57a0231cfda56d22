"""The packets of a flood: sound, forged, and never the same soon."""

import itertools
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from types import SimpleNamespace

import pytest
from scapy.layers.inet import IP, TCP, UDP

from testbed.compile import compile_plan
from testbed.observe.attack import MOST_PACKETS, MOST_SECONDS, Attack, Kind, Report, _dark, _forged, run
from testbed.resolve import resolve
from topologies.shield import shield

SOURCES = IPv4Network("198.51.100.0/24")
ATTACK = Attack(kind=Kind.SYN_FLOOD, address=IPv4Address("203.0.113.23"), port=80, attackers=("crowd",), client="client", packets=1000, seconds=1.0)


def packets(kind, count=600):
    return [IP(raw) for raw in itertools.islice(_forged(replace(ATTACK, kind=kind), SOURCES), count)]


def rebuilt(packet, layer):
    """The packet with its checksum computed anew."""
    again = packet.copy()
    del again[layer].chksum
    return IP(bytes(again))


def test_syns_are_what_a_kernel_would_take_for_honest():
    made = packets(Kind.SYN_FLOOD)
    assert all(packet[TCP].flags == "S" and packet[TCP].dport == 80 and packet.dst == "203.0.113.23" for packet in made)
    assert [packet[TCP].chksum for packet in made] == [rebuilt(packet, TCP)[TCP].chksum for packet in made]
    assert len({(packet.src, packet[TCP].sport) for packet in made}) == len(made)
    assert all(IPv4Address(packet.src) in SOURCES for packet in made)
    assert len({packet.src for packet in made}) == SOURCES.num_addresses - 2


def test_reflected_datagrams_come_from_services_that_amplify():
    made = packets(Kind.UDP_REFLECTION, 100)
    assert {packet[UDP].sport for packet in made} == {53, 123, 389, 1900, 11211}
    assert all(packet[UDP].len == len(bytes(packet[UDP])) > 400 for packet in made)


def test_sources_are_the_dark_addresses_of_the_plan():
    assert _dark(compile_plan(resolve(shield()))) == SOURCES


@pytest.mark.parametrize("beyond", [{"packets": MOST_PACKETS + 1}, {"packets": 0}, {"seconds": MOST_SECONDS + 1}, {"seconds": 0}])
def test_an_attack_has_bounds(beyond):
    with pytest.raises(ValueError, match="at most"):
        run(SimpleNamespace(), replace(ATTACK, **beyond))


def test_a_share_is_of_what_was_asked():
    report = Report(attack=ATTACK, packets=10, took_s=1.0, requests=8, survived=6, answers={}, dropped=(), cookies_sent=0)
    assert (report.share, report.packets_dropped) == (0.75, 0)
