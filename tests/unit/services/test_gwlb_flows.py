"""Which appliance a packet goes to: flows of two directions, their idle times, what may begin one, what moves one."""

import random
from itertools import count

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP

from services.gwlb.config import Stickiness
from services.gwlb.flows import COOKIE_AT, Flow, FlowTable
from services.gwlb.geneve import parse

CLIENT, SERVER = "198.51.100.7", "10.0.1.5"


class Endpoint:
    """A table whose flows go to `appliances` in turn of beginning."""

    def __init__(self, stickiness: Stickiness = Stickiness.FIVE_TUPLE, appliances: tuple[str, ...] = ("fw-a", "fw-b", "fw-c")) -> None:
        self.appliances, self.turn, self.headers = appliances, count(), dict[bytes, Flow]()
        self.table = FlowTable(7, 8, self.headers, stickiness=stickiness, tcp_idle_s=350.0, other_idle_s=120.0, choose=self.choose, random_bits=random.Random(1).getrandbits)

    def choose(self, _: int) -> str | None:
        return self.appliances[next(self.turn) % len(self.appliances)] if self.appliances else None

    def at(self, now: float, packet: IP) -> str | None:
        flow = self.table.find(bytes(packet), now)
        return None if flow is None else flow.appliance


def tcp(flags: str = "A", sport: int = 4000, reverse: bool = False, **ip: object) -> IP:
    if reverse:
        return IP(src=SERVER, dst=CLIENT, **ip) / TCP(sport=80, dport=sport, flags=flags)
    return IP(src=CLIENT, dst=SERVER, **ip) / TCP(sport=sport, dport=80, flags=flags)


def test_both_directions_of_a_connection_meet_one_appliance_under_one_cookie():
    endpoint = Endpoint()
    forth, back = endpoint.table.find(bytes(tcp("S")), 0.0), endpoint.table.find(bytes(tcp("SA", reverse=True)), 0.1)
    assert forth is back
    assert len(endpoint.headers) == 1
    header, _ = parse(forth.header + b"")
    assert (header.interface, header.attachment, header.cookie.to_bytes(4)) == (7, 8, forth.header[COOKIE_AT:])


def test_connections_are_flows_of_their_own():
    endpoint = Endpoint()
    assert [endpoint.at(0.0, tcp("S", sport=port)) for port in (1, 2, 3, 1)] == ["fw-a", "fw-b", "fw-c", "fw-a"]
    assert len(endpoint.headers) == 3


def test_only_a_syn_begins_a_tcp_flow():
    endpoint = Endpoint()
    assert endpoint.at(0.0, tcp("A")) is None
    assert endpoint.at(0.0, tcp("SA", reverse=True)) is None
    assert endpoint.at(0.0, tcp("S")) == "fw-a"
    assert endpoint.at(0.0, tcp("A")) == "fw-a"


def test_after_350_idle_seconds_data_is_dropped_and_a_syn_is_a_new_flow():
    endpoint = Endpoint()
    assert endpoint.at(0.0, tcp("S")) == "fw-a"
    assert endpoint.at(349.0, tcp("A", reverse=True)) == "fw-a"
    assert endpoint.at(700.0, tcp("A")) is None
    assert endpoint.at(700.0, tcp("S")) == "fw-b"
    assert len(endpoint.headers) == 1


def test_other_protocols_are_over_after_120_idle_seconds():
    endpoint = Endpoint()
    packet = IP(src=CLIENT, dst=SERVER) / UDP(sport=1, dport=53)
    assert [endpoint.at(now, packet) for now in (0.0, 119.0, 240.0)] == ["fw-a", "fw-a", "fw-b"]


@pytest.mark.parametrize(
    ("stickiness", "expected"),
    [(Stickiness.FIVE_TUPLE, ["fw-a", "fw-b", "fw-c"]), (Stickiness.THREE_TUPLE, ["fw-a", "fw-a", "fw-b"]), (Stickiness.TWO_TUPLE, ["fw-a", "fw-a", "fw-a"])],
)
def test_stickiness_says_what_makes_a_flow(stickiness: Stickiness, expected: list[str]):
    endpoint = Endpoint(stickiness)
    udp = IP(src=CLIENT, dst=SERVER) / UDP(sport=1, dport=53)
    assert [endpoint.at(0.0, packet) for packet in (tcp("S", sport=1), tcp("S", sport=2), udp)] == expected


def test_icmp_and_fragments_are_flows_of_addresses_and_protocol():
    endpoint = Endpoint()
    ping = IP(src=CLIENT, dst=SERVER) / ICMP(id=1)
    pong = IP(src=SERVER, dst=CLIENT) / ICMP(type=0, id=1)
    assert endpoint.at(0.0, ping) == endpoint.at(0.0, pong) == "fw-a"
    first, second = IP(src=CLIENT, dst=SERVER, flags="MF", proto=17) / (b"\x00" * 24), IP(src=CLIENT, dst=SERVER, frag=3, proto=17) / (b"\xff" * 24)
    assert endpoint.at(0.0, first) == endpoint.at(0.0, second) == "fw-b"


def test_a_flow_stays_with_a_failed_appliance_unless_it_is_rebalanced():
    endpoint = Endpoint()
    assert endpoint.at(0.0, tcp("S")) == "fw-a"
    endpoint.appliances = ("fw-b",)
    assert endpoint.at(1.0, tcp("A")) == "fw-a"
    assert endpoint.at(1.0, tcp("S", sport=9)) == "fw-b"
    endpoint.table.rebalance(frozenset({"fw-b"}))
    assert endpoint.at(2.0, tcp("A")) == "fw-b"


def test_without_appliances_nothing_begins():
    assert Endpoint(appliances=()).at(0.0, tcp("S")) is None


def test_idle_flows_are_forgotten_everywhere():
    endpoint = Endpoint()
    endpoint.at(0.0, tcp("S"))
    endpoint.at(0.0, tcp("SA", reverse=True))
    assert len(endpoint.table.known[6]) == 2
    assert len(endpoint.table.expire(351.0)) == 1
    assert (endpoint.table.known, endpoint.headers) == ({6: {}, 17: {}}, {})


@pytest.mark.parametrize("packet", [b"", b"\x45" * 10, b"\x60" + b"\x00" * 60, b"\x4f" + b"\x00" * 30, b"\x41" + b"\x00" * 30])
def test_what_is_no_ipv4_packet_is_dropped(packet: bytes):
    assert Endpoint().table.find(packet, 0.0) is None
