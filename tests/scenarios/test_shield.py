"""topologies/shield.py under attack, with Shield and without: what packets do, and which share of honest requests survives (facts: Shield; row of the exam's table).

Attacks are of some thousand packets in a second or two, inside the lab.
"""

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from scapy.layers.dns import DNS, DNSQR
from scapy.layers.inet import IP, TCP, UDP

from testbed.lab import Lab
from testbed.model import Internet, ShieldProtection, Topology
from testbed.observe.attack import Attack, Kind, Report, run, victim
from tests.scenarios.sending import send_raw, udp_sink
from tests.scenarios.shop import public_address
from topologies.shield import shield

pytestmark = [pytest.mark.packets, pytest.mark.topology("shield")]

HTTP = 80




def attacked(lab: Lab, node: str, kind: Kind, **changes: object) -> Report:
    """An attack of `crowd`'s on a node, while `client` sends honest requests."""
    wanted = Attack(kind=kind, address=victim(lab.plan, lab[node].address), port=HTTP, attackers=("crowd",), client="client", packets=2400, seconds=1.2)
    return run(lab, replace(wanted, **changes))  # type: ignore[arg-type]


@contextmanager
def without_shield(lab: Lab) -> Iterator[None]:
    """Neither Standard, which nobody can switch off at AWS, nor Advanced."""
    with_shield: Topology = lab.topology
    kept = (each for each in with_shield.resources if not isinstance(each, ShieldProtection))
    lab.change(replace(with_shield, resources=tuple(replace(each, shield_standard=False) if isinstance(each, Internet) else each for each in kept)))
    try:
        yield
    finally:
        lab.change(with_shield)


def test_exam_ddos_protection_is_shield(lab):
    """Belief: a SYN flood fills the edge, so filter it yourself. Truth: Shield Standard answers every SYN with a cookie; honest connections are made as if nothing were."""
    guarded = attacked(lab, "edge-lhr", Kind.SYN_FLOOD)
    assert guarded.survived == guarded.requests
    assert guarded.cookies_sent > guarded.packets / 2, "each SYN that arrived was answered, and nothing kept"
    with without_shield(lab):
        bare = attacked(lab, "edge-lhr", Kind.SYN_FLOOD)
    assert bare.cookies_sent == 0
    assert bare.survived < bare.requests / 2
    after = lab["client"].tcp("edge-lhr", HTTP, timeout_s=3)
    assert after.passed, "back with Shield, at once: what is left of the flood is in nobody's way"


def test_a_syn_flood_on_an_elastic_ip_ends_at_the_internet_gateway_and_honest_clients_send_again(lab):
    with lab.capture("web", filter=f"tcp dst port {HTTP} and tcp[tcpflags] == tcp-syn") as capture:
        report = attacked(lab, "web", Kind.SYN_FLOOD)
    assert report.survived == report.requests
    (dropped,) = report.dropped
    assert (dropped.node, "SYN flood" in dropped.cause) == ("igw-shop", True)
    honest, forged = ([packet for packet in capture.packets if (packet[IP].src == str(lab["client"].address)) is own] for own in (True, False))
    assert 0 < len(forged) < report.packets / 2 < dropped.packets
    assert len({packet[TCP].sport for packet in honest}) == report.requests + 1, "and one before the attack: of a client that had to send its SYN again, only that one arrives"
    assert int(lab["igw-shop"].run("conntrack", "-C").out) < report.packets / 2, "what is dropped has no place in the connection table"
    told = lab.explain("crowd", public_address(lab, "web"), port=HTTP)
    assert told.cause_origin.startswith("Shield Standard (SYN flood"), "under mitigation a stranger's first SYN is dropped, and by whom is told"
    assert told.agrees


def test_reflected_datagrams_are_few_when_they_arrive_and_what_was_asked_for_passes(lab):
    with lab.capture("web", filter="udp") as capture:
        report = attacked(lab, "web", Kind.UDP_REFLECTION)
        with udp_sink(lab, "client", 53) as server, lab["web"].socket(kind=socket.SOCK_DGRAM) as asking:
            asking.settimeout(2)
            asking.sendto(b"question", (str(lab["client"].address), 53))
            _, asker = server.recvfrom(100)
            server.sendto(b"answer", asker)
            assert asking.recv(100) == b"answer"
    assert report.survived == report.requests
    assert report.packets_dropped > report.packets / 2
    arrived = [packet for packet in capture.packets if packet[UDP].sport != 53 and packet[IP].dst == str(lab["web"].address)]
    assert len(arrived) < report.packets / 2
    with without_shield(lab), lab.capture("web", filter="udp") as capture:
        attacked(lab, "web", Kind.UDP_REFLECTION, packets=1000, seconds=0.5)
        capture.wait_for(900)
    assert len(capture.packets) >= 900


def test_what_no_host_sends_never_arrives(lab):
    """Forged private sources and impossible flags, at the gateway and at the edge; a reflected datagram at the edge."""
    web, edge, crowd = str(public_address(lab, "web")), str(lab["edge-lhr"].address), str(lab["crowd"].address)
    at_web = [
        IP(src="10.1.2.3", dst=web) / TCP(sport=4001, dport=HTTP, flags="S"),
        IP(src="192.168.1.1", dst=web) / UDP(sport=4002, dport=9000),
        *(IP(src=crowd, dst=web) / TCP(sport=4003, dport=HTTP, flags=flags) for flags in ("SF", "SR", "", "FPU")),
    ]
    with lab.capture("web", filter="inbound and ip") as capture:
        for packet in (*at_web, IP(src=crowd, dst=web) / UDP(sport=4444, dport=9001)):
            send_raw(lab, "crowd", packet)
        capture.wait_for(1)
    assert [packet.sprintf("%UDP.sport% %UDP.dport%") for packet in capture.packets] == ["4444 9001"]
    with udp_sink(lab, "edge-lhr", 9001) as sink:
        for packet in (IP(src="172.16.0.9", dst=edge) / UDP(sport=4444, dport=9001) / b"forged", IP(src=crowd, dst=edge) / UDP(sport=123, dport=9001) / b"reflected", IP(src=crowd, dst=edge) / UDP(sport=4444, dport=9001) / b"good"):
            send_raw(lab, "crowd", packet)
        assert sink.recv(100) == b"good"


def counted(lab, node, cause):
    """Packets that Shield's rules of a cause have dropped at a node."""
    listing = lab[node].run("nft", "-t", "list", "table", "ip", "shield").out
    return sum(int(packets) for packets, comment in re.findall(r'counter packets (\d+) bytes \d+ drop comment "([^"]+)"', listing) if cause in comment)


def test_route_53_hears_questions_and_no_answers(lab):
    server = str(lab.resolved.route53_servers[0].address)
    before = counted(lab, "edge-lhr", "a DNS answer")
    send_raw(lab, "crowd", IP(src=str(lab["crowd"].address), dst=server) / UDP(sport=4444, dport=53) / DNS(qr=1, qd=DNSQR(qname="shop.example.com")))
    assert lab["crowd"].dig("origin.shop.example.com", server=server) == ("198.19.12.50",)
    assert counted(lab, "edge-lhr", "a DNS answer") == before + 1


def test_one_source_that_begins_connections_without_end_is_cut_to_its_rate_at_the_edge(lab):
    edge, crowd = lab["edge-lhr"].address, lab["crowd"].address
    syn = bytes(IP(src=str(crowd), dst=str(edge)) / TCP(sport=4445, dport=HTTP, flags="S"))
    before = counted(lab, "edge-lhr", "from one source")
    with lab["crowd"].socket(kind=socket.SOCK_RAW, protocol=socket.IPPROTO_RAW) as sock:
        for _ in range(1500):
            sock.sendto(syn, (str(edge), 0))
    assert lab["client"].tcp(edge, HTTP, timeout_s=3).passed, "others are not concerned"
    assert counted(lab, "edge-lhr", "from one source") > before


def test_an_http_flood_is_cut_to_size_by_a_rule_that_knows_what_is_usual(lab):
    flood = {"packets": 500, "seconds": 1.6, "host": "shop.example.com", "path": "/"}
    guarded = attacked(lab, "edge-lhr", Kind.HTTP_FLOOD, learn_s=1.2, **flood)
    assert guarded.answers[403] > guarded.answers.get(200, 0)
    with without_shield(lab):
        bare = attacked(lab, "edge-lhr", Kind.HTTP_FLOOD, **flood)
    assert 403 not in bare.answers
    assert guarded.survived > bare.survived
    assert guarded.share >= 0.7


def test_an_attack_never_leaves_the_lab_and_has_bounds(lab):
    with pytest.raises(LookupError, match=r"nobody in this lab has 8\.8\.8\.8"):
        attacked(lab, "web", Kind.SYN_FLOOD, address=IPv4Address("8.8.8.8"))
    with pytest.raises(ValueError, match="at most 200000 packets"):
        attacked(lab, "web", Kind.SYN_FLOOD, packets=10**6)


def test_the_plan_of_the_lab_is_whole_again(lab):
    assert lab.topology == shield()
