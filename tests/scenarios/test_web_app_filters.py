"""Security groups that name each other, and a network ACL that remembers nothing: what passes between the shop's machines, seen at both ends."""

import select
import socket

import pytest

from testbed.observe.probe import Answer
from tests.scenarios.shop import POSTGRESQL, seen

pytestmark = [pytest.mark.packets, pytest.mark.topology("web_app")]

HTTP = 80
SILENCE_S = 0.3
RESERVED_PORT = 900
"""Below 1024: acl-database lets replies out to the ephemeral ports only."""


def connect_from(lab, node, source_port, destination, port):
    """Whether a TCP connection from a chosen source port comes about."""
    with lab[node].socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("0.0.0.0", source_port))
        sock.setblocking(False)
        sock.connect_ex((str(lab[destination].address), port))
        poll = select.poll()
        poll.register(sock, select.POLLOUT)
        return bool(poll.poll(SILENCE_S * 1000)) and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0


@pytest.mark.parametrize(("source", "destination", "port"), [("alb-shop-a", "web-a", HTTP), ("alb-shop-b", "web-a", HTTP), ("web-a", "shop-db", POSTGRESQL), ("web-b", "shop-db", POSTGRESQL)])
def test_a_member_of_the_group_that_a_rule_names_is_let_in(lab, source, destination, port):
    assert lab[source].tcp(destination, port).answer is Answer.ANSWERED


def test_an_instance_does_not_reach_its_twin_because_sg_web_names_only_sg_alb(lab):
    with lab.capture("web-a", "web-b", filter=f"tcp port {HTTP} and host {lab['web-a'].address} and host {lab['web-b'].address}") as capture:
        assert lab["web-a"].tcp("web-b", HTTP, timeout_s=SILENCE_S).answer is Answer.SILENT
    assert seen(capture.packets, "web-a", "S", HTTP)
    assert not seen(capture.packets, "web-b", "S", HTTP)


def test_the_balancer_does_not_reach_the_database(lab):
    with lab.capture("alb-shop-a", "shop-db", filter=f"tcp port {POSTGRESQL} and host {lab['alb-shop-a'].address}") as capture:
        assert lab["alb-shop-a"].tcp("shop-db", POSTGRESQL, timeout_s=SILENCE_S).answer is Answer.SILENT
    assert {packet.sniffed_on for packet in capture.packets} == {"alb-shop-a/eth0"}


def test_a_refused_packet_is_silence_and_no_reset(lab):
    with lab.capture("client", filter="tcp port 22 or icmp") as capture:
        assert lab["client"].tcp("origin.shop.example.com", 22, timeout_s=SILENCE_S).answer is Answer.SILENT
    assert {str(packet["TCP"].flags) for packet in capture.packets} == {"S"}


def test_the_network_acl_lets_replies_out_to_ephemeral_ports_only(lab):
    assert connect_from(lab, "web-a", 50000, "shop-db", POSTGRESQL)
    with lab.capture("web-a", "shop-db", filter=f"tcp port {RESERVED_PORT}") as capture:
        assert not connect_from(lab, "web-a", RESERVED_PORT, "shop-db", POSTGRESQL)
    assert seen(capture.packets, "shop-db", "S", POSTGRESQL), "the request arrives: inbound rule 100 looks at the destination port"
    assert seen(capture.packets, "shop-db", "SA", POSTGRESQL), "the database answers"
    assert not seen(capture.packets, "web-a", "SA", POSTGRESQL), "the answer ends at the ACL: it is judged by itself, whatever the request was"


def test_a_security_group_remembers_so_that_replies_need_no_rule(lab):
    with lab.capture("web-b", "alb-shop-a", filter=f"tcp port {HTTP} and host {lab['alb-shop-a'].address}") as capture:
        assert connect_from(lab, "alb-shop-a", RESERVED_PORT, "web-b", HTTP)
    assert seen(capture.packets, "alb-shop-a", "SA", HTTP), "sg-alb has no inbound rule for this port"
