"""A Gateway Load Balancer: what is inspected, what its appliances see, and what becomes of flows when one of them, or the balancer itself, fails (facts: section 11; traps 18 and 19)."""

import json
import os
import signal
import socket
import time

import pytest
from scapy.contrib.geneve import GENEVE as GeneveHeader
from scapy.layers.inet import ICMP, IP, TCP, UDP

from services.gwlb.flows import COOKIE_AT
from services.gwlb.geneve import HEADER_BYTES
from testbed.model import Protocol
from testbed.observe.probe import Answer
from testbed.oracle import Outcome, Probe
from tests.scenarios.inspected import GENEVE, KINDS, WORD, echoed, inspected, program
from tests.scenarios.sending import listening, send_raw, udp_sink
from tests.scenarios.shop import public_address, resource, with_resources

pytestmark = [pytest.mark.packets, pytest.mark.topology.with_args(inspected)]

SILENCE_S = 0.4
PORT = 9000
HEALTH_S = 20.0
"""Longer than a health check's threshold takes in this lab, on a busy machine too."""


@pytest.fixture
def change(lab):
    """`lab.change`; whatever a test has changed is changed back at its end."""
    before = lab.topology
    yield lambda *changed: lab.change(with_resources(lab.topology, *changed))
    if lab.topology is not before:
        lab.change(before)


@pytest.fixture
def failing(lab):
    """`lab.fail`; what failed is healed at the end."""
    yield lab.fail
    lab.heal()


def heard(sink):
    """The payloads that a UDP sink gets before it is silent."""
    found = []
    sink.settimeout(SILENCE_S)
    while True:
        try:
            found.append(sink.recv(65536))
        except TimeoutError:
            return found


def eventually(holds, timeout_s=HEALTH_S):
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def state_of(lab, target):
    """The last health that the balancer's daemon has told of a target."""
    events = map(json.loads, (lab.log_directory / "gwlb-ours-a.gwlb.jsonl").read_text().splitlines())
    return ([event["state"] for event in events if event["event"] == "target_health" and event["target"] == target] or [""])[-1]


def test_exam_a_firewall_or_ids_is_a_gateway_load_balancer(lab):
    """Belief: any balancer can put a firewall into the path.

    Truth: a Gateway Load Balancer does, for every packet and every port, and source and destination stay what they are: the client does not know, and the application sees the client.
    """
    web = public_address(lab, "web")
    with udp_sink(lab, "web", PORT) as sink, lab["client"].socket(kind=socket.SOCK_DGRAM) as sender, lab.capture("web", filter=f"udp port {PORT}") as capture:
        for payload in (b"hello", f"a file with {WORD} in it".encode(), b"goodbye"):
            sender.sendto(payload, (str(web), PORT))
        assert heard(sink) == [b"hello", b"goodbye"], "the packet with the word is dropped, everything else passes"
    assert {packet[IP].src for packet in capture.packets} == {str(lab["client"].address)}
    assert lab["client"].ping(web).answer is Answer.ANSWERED


def test_a_connection_stalls_at_the_word_and_not_before(lab):
    with listening(lab, "web", PORT) as listener, lab["client"].socket() as sock:
        sock.settimeout(2)
        sock.connect((str(public_address(lab, "web")), PORT))
        server, (source, _) = listener.accept()
        server.settimeout(SILENCE_S)
        assert source == str(lab["client"].address)
        sock.sendall(b"GET / ")
        assert server.recv(100) == b"GET / "
        sock.sendall(WORD.encode())
        with pytest.raises(TimeoutError):
            server.recv(100)
        server.close()


def test_what_leaves_the_balancer_is_geneve_with_awss_three_options(lab):
    with lab.capture("gwlb-ours-a", filter=f"udp port {GENEVE}") as capture:
        assert lab["client"].ping(public_address(lab, "web")).answer is Answer.ANSWERED
    outer = [packet[IP] for packet in capture.packets if packet.haslayer(ICMP)]
    balancer = str(lab["gwlb-ours-a"].address)
    there = [packet for packet in outer if packet.src == balancer]
    back = [packet for packet in outer if packet.dst == balancer]
    assert len(there) == len(back) == 2, "the request and the reply, each to the appliance and back"
    ports = {(packet[UDP].sport, packet[UDP].dport) for packet in outer}
    assert len(ports) == 1, "the appliance leaves both ports as they are"
    headers = set()
    for packet in outer:
        header = GeneveHeader(bytes(packet[UDP].payload))
        headers.add(bytes(packet[UDP].payload)[:HEADER_BYTES])
        assert (header.version, header.optionlen, header.oam, header.critical, header.vni, header.proto) == (0, 8, 0, 0, 0, 0x0800)
        assert [(option.classid, option.type, option.length) for option in header.options] == [(0x0108, 1, 2), (0x0108, 2, 2), (0x0108, 3, 1)]
        assert header[IP].haslayer(ICMP)
        assert len(packet) == len(header[IP]) + 68
    assert len(headers) == 1, "both directions of a flow have one cookie"


def test_it_is_no_hop_and_joins_two_subnets_of_one_vpc(lab):
    with lab.capture("far", filter="icmp") as capture:
        assert lab["web"].ping("far").answer is Answer.ANSWERED
    assert {packet[IP].ttl for packet in capture.packets} == {64}


def test_more_than_8500_bytes_vanish_without_a_word(lab):
    with udp_sink(lab, "far", PORT) as sink, lab.capture("web", filter="icmp") as errors, lab["web"].socket(kind=socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.IPPROTO_IP, 10, 2)  # IP_MTU_DISCOVER, IP_PMTUDISC_DO: do not fragment
        for length in (8500, 8600):
            sender.sendto(bytes(length - 28), (str(lab["far"].address), PORT))
        assert [len(payload) + 28 for payload in heard(sink)] == [8500]
    assert errors.packets == []


def test_the_balancer_and_its_endpoint_answer_nobody(lab):
    assert lab["web"].ping("vpce-ours", timeout_s=SILENCE_S).answer is Answer.SILENT
    assert lab["fw-1"].ping("gwlb-ours-a", timeout_s=SILENCE_S).answer is Answer.SILENT
    assert lab["fw-1"].tcp("gwlb-ours-a", 80, timeout_s=SILENCE_S).answer is Answer.SILENT


def test_a_reply_whose_request_never_came_by_is_dropped(lab, change):
    change(resource(lab.topology, "rtb-edge", routes=()))
    walk = lab.oracle.walk(Probe(source="client", destination=public_address(lab, "web"), protocol=Protocol.TCP, destination_port=PORT))
    assert (walk.outcome, walk.origin) == (Outcome.DROPPED, "gwlb-ours: has not seen the flow begin")
    assert lab["client"].tcp(public_address(lab, "web"), PORT, timeout_s=SILENCE_S).answer is Answer.SILENT


@pytest.mark.parametrize("protocol", ["tcp", "icmp"])
def test_model_and_packets_agree_on_all_pairs(lab, protocol):
    assert lab.reach_differences(lab.reach(port=PORT, protocol=protocol)) == ()


def test_an_appliance_whose_group_does_not_admit_geneve_lets_nothing_through(lab):
    destination = public_address(lab, "nowhere")
    walk = lab.oracle.walk(Probe(source="client", destination=destination, protocol=Protocol.ICMP))
    assert (walk.outcome, walk.origin) == (Outcome.DROPPED, "gwlb-shut to fw-shut: sg-shut#ingress no rule")
    assert lab["client"].ping(destination, timeout_s=SILENCE_S).answer is Answer.SILENT


def test_if_the_balancers_process_dies_nothing_passes_until_it_is_back(lab, failing):
    web = public_address(lab, "web")
    failing("gwlb-ours-a.gwlb")
    with lab.capture("vpce-ours", "web", filter="icmp") as capture:
        assert lab["client"].ping(web, timeout_s=SILENCE_S).answer is Answer.SILENT
        assert lab["far"].ping("web", timeout_s=SILENCE_S).answer is Answer.SILENT
    assert {packet.sniffed_on.split("/")[0] for packet in capture.packets} == {"vpce-ours"}, "its device is still there, and takes them: no route leads around it"
    lab.heal()
    eventually(lambda: lab["client"].ping(web, timeout_s=SILENCE_S).answer is Answer.ANSWERED)


def test_a_killed_process_is_brought_back_and_new_flows_pass(lab):
    before = next(service for service in lab.ps() if service.name == "gwlb-ours-a.gwlb")
    os.kill(before.pid, signal.SIGKILL)
    eventually(lambda: next(s for s in lab.ps() if s.name == before.name).restarts > before.restarts)
    eventually(lambda: lab["far"].ping("web", timeout_s=SILENCE_S).answer is Answer.ANSWERED)


def appliance_of(lab, sender, address, sink):
    """Which appliance carries a sender's flow; empty if none returns it."""
    with lab.capture(*KINDS["ours"], filter=f"udp dst port {GENEVE}") as capture:
        sender.sendto(b"?", address)
        passed = bool(heard(sink))
    (seen,) = {packet.sniffed_on.split("/")[0] for packet in capture.packets if packet[IP].src == str(lab["gwlb-ours-a"].address) and bytes(packet[UDP].payload).endswith(b"?")}
    return seen if passed else ""


@pytest.mark.parametrize("failover", ["no_rebalance", "rebalance"])
def test_trap_18_a_gateway_load_balancer_moves_flows_off_a_dead_appliance(lab, change, failing, failover):
    """Belief: when an appliance dies, its flows go to another.

    Truth: by default (no_rebalance) existing flows stay with the dead appliance and are lost, only new ones go to a healthy one; with rebalance they move (row 18).
    """
    change(resource(lab.topology, "tg-ours", target_failover_on_unhealthy=failover, target_failover_on_deregistration=failover))
    address = (str(lab["far"].address), PORT)
    eventually(lambda: {state_of(lab, name) for name in KINDS["ours"]} == {"healthy"})
    with udp_sink(lab, "far", PORT) as sink, lab["web"].socket(kind=socket.SOCK_DGRAM) as old, lab["web"].socket(kind=socket.SOCK_DGRAM) as new:
        its = appliance_of(lab, old, address, sink)
        (other,) = set(KINDS["ours"]) - {its}
        failing(f"{its}.geneve_appliance")
        eventually(lambda: state_of(lab, its) == "unhealthy")
        assert appliance_of(lab, new, address, sink) == other, "a new flow goes to the healthy one"
        with lab.capture("fw-1", "fw-2", filter=f"udp dst port {GENEVE}"):
            old.sendto(b"again", address)
            assert heard(sink) == ([b"again"] if failover == "rebalance" else [])


@pytest.mark.parametrize("what", ["as it came", "another cookie", "swapped ports", "another appliance's flow"])
def test_trap_19_an_appliance_may_build_its_own_geneve_header(lab, what):
    """Belief: an appliance may send back a header of its own making.

    Truth: the balancer knows a flow by its cookie and its ports as they were; with another cookie, or with the ports swapped as in any other answer, the packet is discarded (row 19;
    how, AWS does not say).
    """
    own = str(lab["strange"].address)

    def answer(datagram, balancer, port):
        packet = echoed(datagram, balancer, port, own=own)
        if what == "another cookie":
            packet = IP(src=own, dst=balancer) / UDP(sport=port, dport=GENEVE) / (datagram[:COOKIE_AT] + bytes(byte ^ 0x55 for byte in datagram[COOKIE_AT:HEADER_BYTES]) + datagram[HEADER_BYTES:])
        elif what == "swapped ports":
            packet = IP(src=own, dst=balancer) / UDP(sport=GENEVE, dport=port) / datagram
        elif what == "another appliance's flow":
            packet = IP(src=own, dst=balancer) / UDP(sport=port + 1, dport=GENEVE) / datagram
        return packet

    with program(lab, "strange", answer):
        answered = lab["client"].ping(public_address(lab, "elsewhere"), timeout_s=SILENCE_S).answer
    assert answered is (Answer.ANSWERED if what == "as it came" else Answer.SILENT)


def test_an_appliance_written_by_others_for_aws_works(lab):
    """It sends the cookie back, leaves the ports as they are, and gives its packets an outer TTL of 2."""
    own = str(lab["strange"].address)
    with program(lab, "strange", lambda datagram, balancer, port: echoed(datagram, balancer, port, own=own)), listening(lab, "elsewhere", PORT) as listener, lab["client"].socket() as sock:
        sock.settimeout(2)
        sock.connect((str(public_address(lab, "elsewhere")), PORT))
        server, (source, _) = listener.accept()
        sock.sendall(b"x" * 20000)
        received = 0
        while received < 20000:
            received += len(server.recv(65536))
        server.close()
    assert source == str(lab["client"].address)


def test_what_an_appliance_makes_up_goes_nowhere(lab):
    with lab.capture("elsewhere", "web", filter=f"udp port {PORT}") as capture:
        made = IP(src=str(lab["client"].address), dst=str(lab["web"].address)) / UDP(sport=1, dport=PORT) / b"made up"
        for payload in (b"", b"\0" * 7, b"\x40" + bytes(60), bytes(40) + bytes(made), b"\x08\0\x08\0\0\0\0\0" + bytes(32) + bytes(made)):
            send_raw(lab, "fw-1", IP(src=str(lab["fw-1"].address), dst=str(lab["gwlb-ours-a"].address)) / UDP(sport=60000, dport=GENEVE) / payload)
        assert lab["far"].ping("web").answer is Answer.ANSWERED
    assert capture.packets == []


def test_tcp_is_told_a_segment_size_that_fits_the_endpoint(lab):
    with lab.capture("far", filter="tcp") as capture, listening(lab, "far", PORT):
        assert lab["web"].tcp("far", PORT).answer is Answer.ANSWERED
    assert {value for packet in capture.packets if packet[TCP].flags == "S" for name, value in packet[TCP].options if name == "MSS"} == {8460}


def test_an_endpoint_can_go_and_come_back_while_others_carry_on(lab):
    before, own = lab.topology, str(lab["strange"].address)
    edge = resource(before, "rtb-edge", routes=tuple(route for route in resource(before, "rtb-edge").routes if route.vpc_endpoint_id != "vpce-other"))
    address = (str(lab["far"].address), PORT)
    with udp_sink(lab, "far", PORT) as sink, lab["web"].socket(kind=socket.SOCK_DGRAM) as sender:
        its = appliance_of(lab, sender, address, sink)
        lab.change(with_resources(before, edge, without=("vpce-other", "rtb-other")))
        lab.change(before)
        assert appliance_of(lab, sender, address, sink) == its
    with program(lab, "strange", lambda datagram, balancer, port: echoed(datagram, balancer, port, own=own)):
        eventually(lambda: lab["client"].ping(public_address(lab, "elsewhere"), timeout_s=SILENCE_S).answer is Answer.ANSWERED)
