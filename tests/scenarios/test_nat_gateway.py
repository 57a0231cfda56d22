"""A NAT gateway as AWS documents it: what it lets out and never in, where its ports end, how a connection that was idle learns it, and which packets it drops.

Traps 6, 8 and 9 of tests/scenarios/README.md, "What people get wrong".
"""

import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment

from testbed.model import ElasticIp, Route
from testbed.observe.nat_metrics import nat_gateway_metrics
from testbed.observe.probe import Answer
from tests.scenarios.sending import listening, send_raw, udp_sink
from tests.scenarios.shop import public_address

pytestmark = [pytest.mark.packets, pytest.mark.topology("nat")]

SILENCE_S = 0.3
PORT, OTHER_PORT = 8080, 8081
POOL = 20
IDLE_S = 4.5
"""350 s at a time scale of 100, and a little more."""


def metrics(lab, gateway):
    return nat_gateway_metrics(lab, gateway)


def connected(stack, lab, node, port, timeout_s=1.0):
    """A connection from a node to the server."""
    sock = stack.enter_context(lab[node].socket())
    sock.settimeout(timeout_s)
    sock.connect((str(lab["server"].address), port))
    return sock


@pytest.mark.parametrize("node", ["app-1", "app-2"])
def test_exam_private_subnet_internet_access_is_a_nat_gateway(lab, node):
    """Belief: an instance without a public address has no internet. Truth: a route to a NAT gateway gives it one way, outward, by the gateway's Elastic IP."""
    own, gateway, outside = str(lab[node].address), str(lab["nat-demo"].address), str(public_address(lab, "nat-demo"))
    with listening(lab, "server", PORT), lab.capture(node, "nat-demo", "igw-demo", "server", filter="tcp[tcpflags] == tcp-syn") as capture:
        assert lab[node].tcp("server", PORT).answer is Answer.ANSWERED
    sources = [(packet.sniffed_on, packet[IP].src) for packet in capture.packets]
    assert sources == [(f"{node}/eth0", own), ("nat-demo/eth0", own), ("nat-demo/eth0", gateway), ("igw-demo/vpc", gateway), ("igw-demo/internet", outside), ("server/eth0", outside)]
    assert capture.packets[-1][TCP].sport >= 1024


def test_tcp_udp_and_icmp_pass_and_nothing_else(lab):
    before = metrics(lab, "nat-demo")
    with lab.capture("nat-demo", "app-1", filter="ip proto 47 or udp port 9000 or icmp") as capture:
        assert lab["app-1"].ping("server").answer is Answer.ANSWERED
        send_raw(lab, "app-1", IP(src=str(lab["app-1"].address), dst=str(lab["server"].address), proto=47) / b"not GRE either")
        send_raw(lab, "app-1", IP(src=str(lab["app-1"].address), dst=str(lab["server"].address)) / UDP(sport=9000, dport=9000) / b"datagram")
        capture.wait_for(8)
    sources = {(packet[IP].proto, packet[IP].src) for packet in capture.packets if packet.sniffed_on == "nat-demo/eth0"}
    gateway = str(lab["nat-demo"].address)
    assert {(1, gateway), (17, gateway)} <= sources
    assert (47, gateway) not in sources
    assert metrics(lab, "nat-demo").packets_drop_count == before.packets_drop_count + 1


def test_it_answers_no_ping_and_lets_nothing_in(lab):
    outside = public_address(lab, "nat-demo")
    with lab.capture("app-1", "app-2", filter=f"host {lab['client'].address}") as capture:
        for probe in (lab["client"].ping(outside, timeout_s=SILENCE_S), lab["client"].tcp(outside, 22, timeout_s=SILENCE_S), lab["app-1"].ping("nat-demo", timeout_s=SILENCE_S)):
            assert probe.answer is Answer.SILENT
    assert capture.packets == []


def test_trap_08_a_nat_gateway_keeps_idle_connections(lab):
    """Belief: a TCP connection lives until one of its ends closes it.

    Truth: the gateway forgets it after 350 s of silence; the inside host that goes on is reset, the outside one is told nothing (row 8).
    """
    with ExitStack() as stack:
        listener = stack.enter_context(listening(lab, "server", PORT))
        inside = connected(stack, lab, "app-1", PORT)
        outside, _ = listener.accept()
        stack.enter_context(outside)
        inside.sendall(b"hello")
        assert outside.recv(100) == b"hello"
        before = metrics(lab, "nat-demo")
        time.sleep(IDLE_S)
        with lab.capture("nat-demo", "app-1", "server", filter=f"tcp port {PORT}") as capture:
            inside.sendall(b"still there?")
            with pytest.raises(ConnectionResetError):
                inside.recv(100)
        resets = [packet for packet in capture.packets if packet[TCP].flags.R]
        assert {(packet.sniffed_on, packet[IP].src) for packet in resets} == {(place, str(lab["server"].address)) for place in ("nat-demo/eth0", "app-1/eth0")}
        assert [packet for packet in capture.packets if packet.sniffed_on.startswith("server")] == [], "the far end hears nothing, not even a FIN"
        assert metrics(lab, "nat-demo").idle_timeout_count == before.idle_timeout_count + 1
        outside.settimeout(SILENCE_S)
        with pytest.raises(TimeoutError):
            outside.recv(100)


def test_trap_06_a_nat_gateway_may_sit_in_its_clients_own_subnet(lab):
    """Belief: put NAT gateway and clients into one subnet, it is simpler.

    Truth: one subnet, one table. 0/0 -> NAT sends the gateway's own packets back to it; 0/0 -> internet gateway sends the clients' past it (row 6).
    """
    before = lab.topology
    (public,) = (resource for resource in before.resources if resource.id == "rtb-public")
    around = replace(public, routes=(Route(destination_cidr_block="0.0.0.0/0", nat_gateway_id="nat-demo"),))
    client, gateway, server = "no-address", str(lab["nat-demo"].address), str(lab["server"].address)
    try:
        lab.change(replace(before, resources=(*(resource for resource in before.resources if resource is not public), around)))
        with lab.capture("nat-demo", "igw-demo", filter=f"icmp and host {server}") as capture:
            assert lab[client].ping("server", timeout_s=SILENCE_S).answer is Answer.SILENT
        assert {packet.sniffed_on for packet in capture.packets} == {"nat-demo/eth0"}, "it never leaves"
        assert {packet[IP].src for packet in capture.packets} == {str(lab[client].address), gateway}, "the gateway translates it, and its subnet's table leads back to the gateway"
    finally:
        lab.change(before)
    with lab.capture("nat-demo", "igw-demo", filter=f"icmp and host {server}") as capture:
        assert lab[client].ping("server", timeout_s=SILENCE_S).answer is Answer.SILENT
    assert [(packet.sniffed_on, packet[IP].src) for packet in capture.packets] == [("igw-demo/vpc", str(lab[client].address))], "past the NAT gateway, and dropped for want of a public address"


def test_a_connection_that_speaks_now_and_then_lives_on(lab):
    with ExitStack() as stack:
        listener = stack.enter_context(listening(lab, "server", PORT))
        inside = connected(stack, lab, "app-1", PORT)
        outside, _ = listener.accept()
        stack.enter_context(outside)
        for _ in range(3):
            time.sleep(IDLE_S / 2.5)
            inside.sendall(b"keep-alive")
            assert outside.recv(100) == b"keep-alive"


def test_trap_09_a_nat_gateway_has_so_many_connections_in_all(lab):
    """Belief: 55,000 connections, and the gateway is full.

    Truth: 55,000 for each destination address, port and protocol: one runs out (ErrorPortAllocation), the next has as many again (row 9; 20 here).
    """
    before = metrics(lab, "nat-small")
    with ExitStack() as stack:
        for port in (PORT, OTHER_PORT):
            stack.enter_context(listening(lab, "server", port))
        for _ in range(POOL):
            connected(stack, lab, "crowd", PORT)
        full = metrics(lab, "nat-small")
        assert full.active_connection_count == POOL
        assert full.connection_established_count == before.connection_established_count + POOL
        assert full.error_port_allocation == before.error_port_allocation
        with lab.capture("igw-demo", filter=f"tcp dst port {PORT}") as capture, pytest.raises(TimeoutError):
            connected(stack, lab, "crowd", PORT, timeout_s=SILENCE_S)
        assert capture.packets == []
        assert metrics(lab, "nat-small").error_port_allocation > full.error_port_allocation
        assert lab["crowd"].tcp("server", OTHER_PORT).answer is Answer.ANSWERED, "55,000 are for each destination address, port and protocol"
        assert lab["app-1"].tcp("server", PORT).answer is Answer.ANSWERED, "another gateway has ports of its own"


def test_a_second_address_has_as_many_ports_again(lab):
    before = lab.topology
    (small,) = (resource for resource in before.resources if resource.id == "nat-small")
    others = tuple(resource for resource in before.resources if resource.id != "nat-small")
    more = (ElasticIp(id="eip-more", region="eu-west-1"), replace(small, secondary_allocation_ids=("eip-more",)))
    try:
        lab.change(replace(before, resources=(*others, *more)))
        with ExitStack() as stack:
            listener = stack.enter_context(listening(lab, "server", OTHER_PORT))
            for _ in range(2 * POOL):
                connected(stack, lab, "crowd", OTHER_PORT, timeout_s=5)
            sources = Counter(listener.accept()[1][0] for _ in range(2 * POOL))
            (interface,) = (interface for interface in lab.resolved.interfaces if interface.owner == "nat-small")
            assert sources == {str(each.public_address): POOL for each in interface.mapped}
            assert len(sources) == 2
            with pytest.raises(TimeoutError):
                connected(stack, lab, "crowd", OTHER_PORT, timeout_s=SILENCE_S)
    finally:
        lab.change(before)


def test_fragments_of_udp_pass_and_those_of_tcp_and_icmp_do_not(lab):
    source, target = str(lab["app-1"].address), str(lab["server"].address)
    before = metrics(lab, "nat-demo")
    with udp_sink(lab, "server", 9001) as sink, lab.capture("nat-demo", filter=f"host {source} or host {lab['nat-demo'].address}") as capture:
        for packet in (IP(src=source, dst=target) / UDP(sport=9001, dport=9001) / (b"u" * 3000), IP(src=source, dst=target) / ICMP() / (b"i" * 3000), IP(src=source, dst=target) / TCP(dport=PORT) / (b"t" * 3000)):
            for each in fragment(packet, fragsize=1200):
                send_raw(lab, "app-1", each)
        assert len(sink.recv(65535)) == 3000
        capture.wait_for(12)
    outside = {packet[IP].proto for packet in capture.packets if packet[IP].src == str(lab["nat-demo"].address)}
    assert outside == {17}
    assert metrics(lab, "nat-demo").packets_drop_count == before.packets_drop_count + 6


def test_a_large_ping_fails_and_a_small_one_does_not(lab):
    assert lab["app-1"].run("ping", "-c1", "-W1", str(lab["server"].address)).ok
    assert not lab["app-1"].run("ping", "-c1", "-W1", "-s", "10000", str(lab["server"].address)).ok


def test_the_segment_size_is_clamped_to_the_gateways_mtu(lab):
    with listening(lab, "server", PORT), lab.capture("nat-demo", filter="tcp[tcpflags] & tcp-syn != 0") as capture:
        assert lab["app-1"].tcp("server", PORT).answer is Answer.ANSWERED
    asked = {packet[IP].src: dict(packet[TCP].options)["MSS"] for packet in capture.packets if packet[TCP].flags == "S"}
    assert asked == {str(lab["app-1"].address): 8961, str(lab["nat-demo"].address): 8460}


def test_a_packet_that_is_too_large_for_it_is_told_its_mtu(lab):
    with lab.capture("app-1", "nat-demo", filter="icmp or udp port 9002") as capture:
        send_raw(lab, "app-1", IP(src=str(lab["app-1"].address), dst=str(lab["server"].address), flags="DF") / UDP(sport=9002, dport=9002) / (b"d" * 8900))
        capture.wait_for(2)
    (told,) = [packet for packet in capture.packets if ICMP in packet]
    assert (told.sniffed_on, told[ICMP].type, told[ICMP].code, told[ICMP].nexthopmtu) == ("app-1/eth0", 3, 4, 8500)


def test_a_private_nat_gateways_packets_end_at_the_internet_gateway(lab):
    with lab.capture("igw-demo", filter=f"host {lab['server'].address}") as capture:
        assert lab["hidden"].tcp("server", PORT, timeout_s=SILENCE_S).answer is Answer.SILENT
    assert {(packet.sniffed_on, packet[IP].src) for packet in capture.packets} == {("igw-demo/vpc", str(lab["nat-private"].address))}


def test_it_is_a_hop_to_traceroute_by_its_private_address(lab):
    with lab.capture("app-1", filter="icmp[icmptype] == icmp-timxceed") as capture:
        send_raw(lab, "app-1", IP(src=str(lab["app-1"].address), dst=str(lab["server"].address), ttl=1) / UDP(sport=9003, dport=33434) / b"who is there?")
        capture.wait_for(1)
    assert [packet[IP].src for packet in capture.packets] == [str(lab["nat-demo"].address)]
