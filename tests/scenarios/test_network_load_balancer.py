"""A Network Load Balancer: whose address a target sees, which target it is, who may, and what it does with everything else (facts: section 10; traps 15 and 16)."""

import socket
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace

import pytest
from scapy.layers.inet import ICMP, IP, TCP

from testbed.model import Protocol
from testbed.observe.probe import Answer
from testbed.oracle import Outcome, Probe
from tests.scenarios.balanced import APP, DNS, DNS_APP, HTTP, TARGETS, balanced
from tests.scenarios.sending import listening, send_raw
from tests.scenarios.shop import public_address

pytestmark = [pytest.mark.packets, pytest.mark.topology.with_args(balanced)]

SILENCE_S = 0.3


def met(lab, client, address, port=HTTP, at=APP, times=1):
    """Which target met the client's connections, and whose address each of them saw."""
    found = []
    with ExitStack() as stack:
        listeners = {name: stack.enter_context(listening(lab, name, at)) for name in (*TARGETS, "t-closed")}
        for listener in listeners.values():
            listener.settimeout(0)
        for _ in range(times):
            with lab[client].socket() as sock:
                sock.settimeout(1)
                sock.connect((str(address), port))
                found.append(accepted(listeners))
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    return found


def accepted(listeners):
    """The connection that has just been made: its last packet may still be on its way."""
    for _ in range(1000):
        for name, listener in listeners.items():
            try:
                server, (source, _) = listener.accept()
            except BlockingIOError:
                continue
            server.close()
            return name, source
    raise AssertionError("nobody has it")


def expects(lab, source, destination, port=HTTP, protocol=Protocol.TCP):
    return lab.oracle.walk(Probe(source=source, destination=destination, protocol=protocol, destination_port=port))


def test_trap_16_a_network_balancer_hides_all_clients_or_none(lab):
    """Belief: behind an NLB every target sees the client; or, in other books, none does.

    Truth: it depends on the target group. Instances see the client, addresses with TCP the balancer's node (row 16).
    """
    (kept,) = met(lab, "inside", lab["nlb-kept-a"].address)
    (hidden,) = met(lab, "inside", lab["nlb-hidden-a"].address)
    assert kept == ("t-a", str(lab["inside"].address))
    assert hidden == ("t-a", str(lab["nlb-hidden-a"].address))


def test_a_client_of_the_internet_reaches_private_targets_by_one_static_address_per_zone(lab):
    for zone, targets in (("a", {"t-a"}), ("b", {"t-b1", "t-b2"})):
        address = public_address(lab, f"nlb-kept-{zone}")
        assert expects(lab, "client", address).outcome is Outcome.DELIVERED
        found = met(lab, "client", address, times=3)
        assert {name for name, _ in found} <= targets
        assert {source for _, source in found} == {str(lab["client"].address)}, "though no route of theirs leads to the internet"
    elastic = {interface.public_origin for interface in lab.resolved.interfaces if interface.owner == "nlb-kept"}
    assert elastic == {"eip-a", "eip-b"}


def test_trap_zones_behind_a_network_balancer_all_targets_have_equal_shares(lab):
    """Belief: three targets, a third of the connections each.

    Truth: clients take zones in turn, and cross-zone load balancing is off by default: half of all goes to the one target of its zone.
    """
    shares = Counter(name for zone in "ab" for name, _ in met(lab, "inside", lab[f"nlb-kept-{zone}"].address, times=20))
    assert shares["t-a"] == 20, "half of all connections, for one target of three"
    assert shares["t-b1"] + shares["t-b2"] == 20
    assert min(shares["t-b1"], shares["t-b2"]) > 0


def test_trap_15_a_target_may_call_its_own_balancer(lab):
    """Belief: an instance behind an NLB reaches its own service by the balancer, like everybody.

    Truth: with its address kept it gets a packet from its own address, and drops it. Without, it works, and sees the node (row 15).
    """
    balancer = lab["nlb-one-a"].address
    assert expects(lab, "t-a", balancer).outcome is Outcome.DROPPED
    with listening(lab, "t-a", APP), lab.capture("t-a", filter=f"tcp port {APP}") as capture:
        assert lab["t-a"].tcp(balancer, HTTP, timeout_s=SILENCE_S).answer is Answer.SILENT
    assert {(packet[IP].src, packet[IP].dst, packet[TCP].flags.S) for packet in capture.packets} == {("10.0.11.10", "10.0.11.10", True)}
    before = lab.topology
    lab.change(replace(before, resources=tuple(replace(each, preserve_client_ip_enabled=False) if each.id == "tg-one" else each for each in before.resources)))
    try:
        assert expects(lab, "t-a", balancer).outcome is Outcome.DELIVERED
        assert met(lab, "t-a", balancer) == [("t-a", str(balancer))]
    finally:
        lab.change(before)


def test_a_target_may_refer_to_the_balancers_group_though_it_sees_clients(lab):
    address = lab["nlb-grouped-a"].address
    assert expects(lab, "inside", address).outcome is Outcome.DELIVERED
    assert met(lab, "inside", address) == [("t-closed", str(lab["inside"].address))]
    assert not lab["inside"].tcp("t-closed", APP, timeout_s=SILENCE_S).passed, "not past the balancer"


def test_a_targets_rule_for_its_clients_group_does_not_match_behind_a_balancer(lab):
    assert lab["inside"].tcp("t-closed", APP + 1).passed
    assert expects(lab, "inside", lab["nlb-grouped-a"].address, HTTP + 1).outcome is Outcome.DROPPED
    assert not lab["inside"].tcp(lab["nlb-grouped-a"].address, HTTP + 1, timeout_s=SILENCE_S).passed


def test_its_groups_are_asked_who_may_reach_a_listener(lab):
    assert not lab["inside"].tcp(lab["nlb-grouped-a"].address, HTTP + 2, timeout_s=SILENCE_S).passed


def test_what_is_for_no_listener_vanishes_pings_too(lab):
    node = lab["nlb-kept-a"].address
    assert lab["inside"].ping(node, timeout_s=SILENCE_S).answer is Answer.SILENT
    assert lab["inside"].tcp(node, 22, timeout_s=SILENCE_S).answer is Answer.SILENT
    assert expects(lab, "inside", node, 22).outcome is Outcome.DROPPED


def test_stray_tcp_on_a_listeners_port_is_reset(lab):
    own, node = str(lab["inside"].address), str(lab["nlb-kept-a"].address)
    with lab.capture("inside", "t-a", filter=f"tcp and host {node}") as capture:
        send_raw(lab, "inside", IP(src=own, dst=node) / TCP(sport=4444, dport=HTTP, flags="A", seq=1, ack=1) / b"stray")
        capture.wait_for(2)
    assert [(packet.sniffed_on, str(packet[TCP].flags)) for packet in capture.packets] == [("inside/eth0", "A"), ("inside/eth0", "R")]


def test_udp_keeps_the_client_and_stays_with_its_target(lab):
    with ExitStack() as stack:
        servers = {name: stack.enter_context(lab[name].socket(kind=socket.SOCK_DGRAM)) for name in TARGETS}
        for server in servers.values():
            server.bind(("0.0.0.0", DNS_APP))
            server.settimeout(0)
        client = stack.enter_context(lab["inside"].socket(kind=socket.SOCK_DGRAM))
        client.settimeout(1)
        client.connect((str(lab["nlb-kept-b"].address), DNS))
        seen = Counter()
        for _ in range(5):
            client.send(b"question")
            for name, server in servers.items():
                try:
                    _, (source, port) = server.recvfrom(100)
                except BlockingIOError:
                    continue
                seen[name, source] += 1
                server.sendto(b"answer", (source, port))
            assert client.recv(100) == b"answer", "from the balancer's address, or a connected socket would not take it"
    assert list(seen.values()) == [5]
    assert {source for _, source in seen} == {str(lab["inside"].address)}


def test_a_path_mtu_message_passes_and_other_icmp_does_not(lab):
    """ICMP type 3 about a flow goes to the target, an echo goes nowhere."""
    own, node = str(lab["inside"].address), str(lab["nlb-kept-a"].address)
    with listening(lab, "t-a", APP), lab["inside"].socket() as sock:
        sock.connect((node, HTTP))
        quoted = IP(src=node, dst=own) / TCP(sport=HTTP, dport=sock.getsockname()[1])
        with lab.capture("t-a", filter="icmp") as capture:
            send_raw(lab, "inside", IP(src=own, dst=node) / ICMP(type=11, code=0) / quoted)
            send_raw(lab, "inside", IP(src=own, dst=node) / ICMP(type=3, code=4, nexthopmtu=1400) / quoted)
            capture.wait_for(1)
    assert [packet[ICMP].type for packet in capture.packets] == [3]
