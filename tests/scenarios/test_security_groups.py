"""Security groups to the letter: what an interface remembers of a flow, for how long, what it does not, and what none of this is asked about.

Trap 3 of tests/scenarios/README.md, "What people get wrong"; by name, what a fabric of shared state gets wrong most easily.
"""

import itertools
import socket
import struct
import time
from contextlib import contextmanager

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP

from testbed.model import ConnectionTrackingSpecification, NetworkAcl, Protocol, SecurityGroupRule
from testbed.observe.probe import Answer
from testbed.oracle import Memory, Oracle, Outcome, Probe
from tests.scenarios.sending import listening, send_raw, udp_sink
from tests.scenarios.shop import resource, with_resources
from topologies.sg_vs_nacl import BASTION, HTTP, NEIGHBOUR, SERVICE, SSH, SYSLOG, WEB

pytestmark = [pytest.mark.packets, pytest.mark.topology("sg_vs_nacl")]

SILENCE_S = 0.3
ANYWHERE = "0.0.0.0/0"
EXPERIMENTAL = 253
ports = itertools.count(42000)
"""A source port for each flow, that no other has."""


@pytest.fixture
def change(lab):
    """Change the running lab; whatever a test has changed is changed back at its end."""
    before = lab.topology
    yield lambda *changed, without=(): lab.change(with_resources(lab.topology, *changed, without=without))
    if lab.topology is not before:
        lab.change(before)


def rule(protocol, first=None, last=None, **far_side):
    return SecurityGroupRule(ip_protocol=protocol, from_port=first, to_port=first if last is None else last, **far_side)


def group(lab, group_id, *ingress, egress=None):
    """The group with other rules."""
    return resource(lab.topology, group_id, security_group_ingress=ingress, security_group_egress=egress)


@contextmanager
def session(lab, source, destination, port):
    """An open TCP connection and its far end."""
    with listening(lab, destination, port) as listener, lab[source].socket() as near:
        near.settimeout(1)
        near.connect((str(lab[destination].address), port))
        far, _ = listener.accept()
        far.settimeout(SILENCE_S)
        with far:
            near.sendall(b"hello")
            assert far.recv(100) == b"hello"
            yield near, far


def says(sender, receiver):
    """Whether what one end of a connection says reaches the other."""
    sender.sendall(b"more")
    receiver.settimeout(SILENCE_S)
    try:
        return receiver.recv(100) == b"more"
    except TimeoutError:
        return False


def datagram(lab, source, destination, port, source_port):
    """Send one datagram."""
    with lab[source].socket(kind=socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("0.0.0.0", source_port))
        sock.sendto(b"line", (str(lab[destination].address), port))


def heard(sink):
    """Whether anything arrives in time; what has come is taken."""
    sink.settimeout(SILENCE_S)
    try:
        sink.recv(2048)
    except TimeoutError:
        return False
    return True


# What is remembered


def test_trap_03_removing_a_rule_cuts_the_sessions_that_it_let_in(lab, change):
    """Belief: whoever is in is out as soon as the rule is gone.

    Truth: the group remembers a flow that it tracks; only new ones meet the rule's absence (row 3, a).
    """
    with session(lab, "bastion", "web", SSH) as (near, far):
        change(group(lab, "sg-web", rule("tcp", HTTP, cidr_ip=ANYWHERE)))
        with lab.capture("web", filter=f"tcp dst port {SSH}") as capture:
            assert says(near, far)
            assert says(far, near)
            assert lab["bastion"].tcp("web", SSH, timeout_s=SILENCE_S).answer is Answer.SILENT
        arrived = {packet[TCP].flags.S for packet in capture.packets}
        assert arrived == {False}, "packets of the session arrive, and no SYN of a new one"


def test_trap_03_a_session_outlives_the_rule_that_let_it_in(lab, change):
    """Belief, after the one before: an open session survives every change of rules.

    Truth: a flow that the rules permit from everywhere, and back to everywhere, is not tracked; its packets end with the rule (row 3, b).
    """
    with session(lab, "neighbour", "web", HTTP) as (near, far):
        assert says(near, far)
        change(group(lab, "sg-web", rule("tcp", SSH, cidr_ip=f"{BASTION}/32")))
        with lab.capture("neighbour", "web", filter=f"tcp dst port {HTTP}") as capture:
            assert not says(near, far)
        assert {packet.sniffed_on for packet in capture.packets} == {"neighbour/eth0"}, "sent, and not let in"


def test_an_untracked_flow_is_cut_even_while_the_server_goes_on_speaking(lab, change):
    with session(lab, "neighbour", "web", HTTP) as (near, far):
        change(group(lab, "sg-web", rule("tcp", SSH, cidr_ip=f"{BASTION}/32")))
        assert says(far, near), "its replies leave by the rule that permits everything outward"
        assert not says(near, far), "which must not bring the flow itself to life again"


def test_a_rule_narrowed_meanwhile_makes_the_flow_tracked_from_its_next_packet(lab, change):
    with session(lab, "neighbour", "web", HTTP) as (near, far):
        change(group(lab, "sg-web", rule("tcp", HTTP, cidr_ip=f"{NEIGHBOUR}/32")))
        assert says(near, far)
        change(group(lab, "sg-web"))
        assert says(near, far)


def test_without_an_answer_permitted_on_all_ports_a_flow_from_everywhere_is_tracked(lab, change):
    change(group(lab, "sg-web", rule("tcp", HTTP, cidr_ip=ANYWHERE), egress=(rule("tcp", 1024, 65535, cidr_ip=ANYWHERE),)))
    with session(lab, "neighbour", "web", HTTP) as (near, far):
        change(group(lab, "sg-web", egress=()))
        assert says(near, far)
        assert says(far, near)


def test_one_way_udp_whose_rule_is_removed(lab, change):
    port = next(ports)
    with udp_sink(lab, "web", SYSLOG) as sink:
        datagram(lab, "bastion", "web", SYSLOG, port)
        assert heard(sink)
        change(group(lab, "sg-web", rule("udp", SYSLOG, cidr_ip=f"{NEIGHBOUR}/32")))
        datagram(lab, "bastion", "web", SYSLOG, port)
        assert heard(sink), "nobody ever answered, and the flow is tracked all the same"
        datagram(lab, "bastion", "web", SYSLOG, next(ports))
        assert not heard(sink)


def test_one_way_udp_from_everywhere_whose_rule_is_removed(lab, change):
    port = next(ports)
    change(group(lab, "sg-web", rule("udp", SYSLOG, cidr_ip=ANYWHERE)))
    with udp_sink(lab, "web", SYSLOG) as sink:
        datagram(lab, "bastion", "web", SYSLOG, port)
        assert heard(sink)
        change(group(lab, "sg-web"))
        datagram(lab, "bastion", "web", SYSLOG, port)
        assert not heard(sink)


def test_icmp_is_always_tracked(lab, change):
    def ping(identifier):
        with lab.capture("bastion", filter="icmp[icmptype] = icmp-echoreply") as capture:
            send_raw(lab, "bastion", IP(src=BASTION, dst=WEB) / ICMP(id=identifier) / b"x")
            capture.wait_for(1, SILENCE_S)
        return len(capture.packets) == 1

    change(group(lab, "sg-web", rule("icmp", -1, cidr_ip=ANYWHERE)))
    assert ping(7)
    change(group(lab, "sg-web"))
    assert ping(7), "the same echo request again belongs to a flow that the interface knows"
    assert not ping(8)


def test_another_protocol_is_tracked_by_addresses_and_number(lab, change):
    def send(source, destination, protocol=EXPERIMENTAL):
        with lab.capture(destination, filter=f"ip proto {protocol}") as capture:
            send_raw(lab, source, IP(src=str(lab[source].address), dst=str(lab[destination].address), proto=protocol) / b"payload")
            capture.wait_for(1, SILENCE_S)
        return bool(capture.packets)

    assert not send("bastion", "web")
    change(group(lab, "sg-web", rule(str(EXPERIMENTAL), cidr_ip=f"{BASTION}/32"), egress=()))
    assert send("bastion", "web")
    assert not send("bastion", "web", EXPERIMENTAL + 1)
    change(group(lab, "sg-web", egress=()))
    assert send("web", "bastion"), "an answer, though nothing may leave web by the rules"
    assert send("bastion", "web"), "tracked"
    assert not send("neighbour", "web")


# For how long


def test_an_idle_connection_is_forgotten_and_what_comes_later_vanishes_without_a_reset(lab):
    with session(lab, "bastion", "web", SSH) as (near, far):
        time.sleep(2.5)  # bastion's interface forgets after 60 s, one here
        with lab.capture("bastion", "web", filter=f"tcp port {SSH}") as capture:
            assert not says(far, near), "to bastion's groups this is a new flow, and they let nothing in"
        assert {packet.sniffed_on for packet in capture.packets} == {"web/eth0"}
        assert says(near, far), "outward a rule matches, so its own next segment begins the flow anew"


def test_an_idle_datagram_flow_is_forgotten_sooner_than_a_stream(lab, change):
    single, stream = next(ports), next(ports)
    with udp_sink(lab, "web", SYSLOG) as sink:
        for port in (single, stream):
            datagram(lab, "bastion", "web", SYSLOG, port)
            assert heard(sink)
        for _ in range(3):  # more than one exchange, for longer than the two seconds that the kernel asks for
            send_raw(lab, "web", IP(src=WEB, dst=BASTION) / UDP(sport=SYSLOG, dport=stream) / b"answer")
            time.sleep(0.8)
            datagram(lab, "bastion", "web", SYSLOG, stream)
            assert heard(sink)
        change(group(lab, "sg-web"))
        time.sleep(1.0)
        datagram(lab, "bastion", "web", SYSLOG, single)
        assert not heard(sink), "30 s, half a second here"
        datagram(lab, "bastion", "web", SYSLOG, stream)
        assert heard(sink), "180 s, three here"


def test_an_interface_keeps_its_own_timeout_across_changes_of_rules(lab, change):
    change(resource(lab.topology, "bastion", connection_tracking_specification=ConnectionTrackingSpecification()))
    with session(lab, "bastion", "web", SSH) as (near, far):
        time.sleep(2.5)
        assert says(far, near), "350 s, almost six here"
        change(group(lab, "sg-neighbour", rule("tcp", 1, cidr_ip=ANYWHERE)))
        assert says(near, far)


# Whose rules


def test_egress_evaluated_before_ingress_must_not_bypass_ingress(lab, change):
    change(group(lab, "sg-neighbour", rule("tcp", SSH, cidr_ip=f"{BASTION}/32")))
    port = next(ports)
    with udp_sink(lab, "neighbour", SYSLOG) as sink:
        for _ in range(3):
            datagram(lab, "bastion", "neighbour", SYSLOG, port)
        assert not heard(sink), "bastion's egress admits each of them, and the same flow meets neighbour's ingress each time"
        change(group(lab, "sg-neighbour", rule("udp", SYSLOG, cidr_ip=f"{BASTION}/32")))
        datagram(lab, "bastion", "neighbour", SYSLOG, port)
        assert heard(sink)


def test_same_subnet_traffic_must_not_skip_security_groups(lab, change):
    assert lab["web"].ping("neighbour", timeout_s=SILENCE_S).answer is Answer.SILENT
    change(group(lab, "sg-neighbour", rule("icmp", 8, -1, security_group_id="sg-web")))
    assert lab["web"].ping("neighbour").answer is Answer.ANSWERED
    assert lab["bastion"].ping("neighbour", timeout_s=SILENCE_S).answer is Answer.SILENT
    change(group(lab, "sg-web", egress=()))
    assert lab["web"].ping("neighbour", timeout_s=SILENCE_S).answer is Answer.SILENT


def test_overlapping_cidr_blocks_in_one_group(lab, change):
    blocks = ("10.0.0.0/16", "10.0.0.0/24", f"{BASTION}/32", "10.0.0.8/29", ANYWHERE)
    for order in (blocks, blocks[::-1]):
        rules = tuple(rule("tcp", first, last, cidr_ip=block) for block, (first, last) in zip(order, ((22, 25), (20, 23), (1, 65535), (24, 24), (443, 443)), strict=True))
        change(group(lab, "sg-web", *rules))
        oracle = Oracle(lab.resolved)
        for source, port in itertools.product(("bastion", "neighbour", "app"), (19, 20, 22, 24, 25, 443)):
            expected = oracle.walk(Probe(source=source, destination=lab["web"].address, protocol=Protocol.TCP, destination_port=port)).outcome is Outcome.DELIVERED
            assert (lab[source].tcp("web", port, timeout_s=0.1).answer is not Answer.SILENT) == expected, (source, port, order)


def test_a_member_joins_and_leaves_a_group_that_a_rule_names(lab, change):
    assert lab["neighbour"].ping("app", timeout_s=SILENCE_S).answer is Answer.SILENT
    change(resource(lab.topology, "neighbour", security_group_ids=("sg-neighbour", "sg-web")))
    assert lab["neighbour"].ping("app").answer is Answer.ANSWERED
    change(resource(lab.topology, "neighbour", security_group_ids=("sg-neighbour",)))
    assert lab["neighbour"].ping("app", timeout_s=SILENCE_S).answer is Answer.SILENT


def test_members_of_the_default_group_reach_each_other_and_nobody_else_reaches_them(lab, change):
    change(*(resource(lab.topology, node, security_group_ids=()) for node in ("bastion", "neighbour")))
    assert lab["bastion"].tcp("neighbour", SERVICE).answer is Answer.REFUSED
    assert lab["web"].tcp("neighbour", SERVICE, timeout_s=SILENCE_S).answer is Answer.SILENT
    assert lab["neighbour"].tcp("web", HTTP).answer is Answer.REFUSED


def test_icmp_types_and_codes_are_told_apart(lab, change):
    change(group(lab, "sg-neighbour", rule("icmp", 3, 4, cidr_ip=ANYWHERE), rule("icmp", 13, -1, cidr_ip=ANYWHERE)))
    with lab.capture("neighbour", filter="icmp") as capture:
        for icmp_type, code in ((3, 4), (3, 1), (8, 0), (13, 0), (5, 1)):
            send_raw(lab, "bastion", IP(src=BASTION, dst=NEIGHBOUR, proto=1) / struct.pack("!BBHHH", icmp_type, code, _icmp_checksum(icmp_type, code), 0, 0))
        capture.wait_for(2, SILENCE_S)
    assert {tuple(bytes(packet[IP].payload)[:2]) for packet in capture.packets if packet[IP].dst == NEIGHBOUR} == {(3, 4), (13, 0)}


def _icmp_checksum(icmp_type, code):
    return ~(icmp_type << 8 | code) & 0xFFFF


# What is not asked about


def test_neither_groups_nor_acls_filter_amazon_dns(lab, change):
    closed = NetworkAcl(id="acl-public", vpc_id="vpc-lab", associations=("public",))
    change(group(lab, "sg-web", egress=()), closed)
    assert lab["web"].dig("a.root-servers.net.", "A", server="10.0.0.2"), "the resolver of the VPC answers behind groups and ACLs that let nothing pass"
    assert lab["web"].tcp("app", SERVICE, timeout_s=SILENCE_S).answer is Answer.SILENT


def test_the_oracle_follows_a_flow_across_a_change_of_rules(lab, change):
    tracked_probe = Probe(source="bastion", destination=lab["web"].address, protocol=Protocol.TCP, destination_port=SSH, source_port=50001)
    untracked_probe = Probe(source="neighbour", destination=lab["web"].address, protocol=Protocol.TCP, destination_port=HTTP, source_port=50002)
    memory, before = Memory(), Oracle(lab.resolved)
    for probe in (tracked_probe, untracked_probe):
        assert before.walk(probe, memory).outcome is Outcome.DELIVERED
    change(group(lab, "sg-web"))
    after = Oracle(lab.resolved)
    assert after.walk(tracked_probe, memory).outcome is Outcome.DELIVERED
    assert after.walk(untracked_probe, memory).origin == "sg-web#ingress no rule"
    memory.elapse(400)
    assert after.walk(tracked_probe, memory).origin == "sg-web#ingress no rule"
