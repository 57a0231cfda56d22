"""Jumbo frames inside, 1500 bytes at the internet gateway, and path-MTU discovery that needs its message. Trap 29 of README.md."""

import socket
from contextlib import contextmanager
from dataclasses import replace

import pytest
from scapy.layers.inet import ICMP, IP, UDP

from testbed.model import Direction, NetworkAcl, NetworkAclEntry, Protocol, SecurityGroupRule, Verdict
from tests.scenarios.sending import listening, send_raw, udp_sink
from tests.scenarios.shop import public_address, resource, with_resources

pytestmark = [pytest.mark.packets, pytest.mark.topology("subnets")]

HTTP = 80
BULK = b"x" * 200_000
PATIENCE_S = 1.5
TOO_BIG = SecurityGroupRule(ip_protocol="icmp", from_port=3, to_port=4, cidr_ip="0.0.0.0/0")


@pytest.fixture
def change(lab):
    before = lab.topology
    yield lab.change
    lab.change(before)


@contextmanager
def connection(lab, source, destination, address):
    with listening(lab, destination, HTTP) as listener, lab[source].socket() as client:
        client.settimeout(PATIENCE_S)
        client.connect((str(address), HTTP))
        server, _ = listener.accept()
        with server:
            server.settimeout(PATIENCE_S)
            yield client, server


def transfer(sender, receiver):
    """Whether all of a bulk arrives."""
    sender.setblocking(False)
    sent = got = 0
    while got < len(BULK):
        try:
            sent += sender.send(BULK[sent:]) if sent < len(BULK) else 0
        except BlockingIOError:
            pass
        try:
            got += len(receiver.recv(1 << 20))
        except TimeoutError:
            return False
    return True


def forget_path_mtu(lab, *nodes):
    for node in nodes:
        lab[node].run("ip", "route", "flush", "cache")


def test_inside_a_vpc_packets_of_9001_bytes_pass_whole(lab):
    payload = b"j" * (9001 - 28)
    with udp_sink(lab, "mirror", 9001) as sink:
        send_raw(lab, "bare", IP(src=str(lab["bare"].address), dst=str(lab["mirror"].address), flags="DF") / UDP(sport=9001, dport=9001) / payload)
        assert sink.recv(65535) == payload


def test_a_packet_too_large_for_the_internet_is_dropped_and_the_subnets_router_says_so(lab):
    packet = IP(src=str(lab["mirror"].address), dst=str(lab["person"].address), flags="DF") / UDP(sport=9, dport=9) / (b"d" * 1473)
    with lab.capture("mirror", "igw-main", filter="icmp or udp port 9") as capture:
        send_raw(lab, "mirror", packet)
        capture.wait_for(2)
    (told,) = [packet for packet in capture.packets if ICMP in packet]
    assert (told[IP].src, told[ICMP].type, told[ICMP].code, told[ICMP].nexthopmtu) == ("10.0.1.1", 3, 4, 1500)
    assert {packet.sniffed_on for packet in capture.packets} == {"mirror/eth0"}


def test_a_packet_that_may_be_cut_is_cut(lab):
    payload = b"f" * 4000
    with udp_sink(lab, "person", 9) as sink, lab["mirror"].socket(kind=socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.IPPROTO_IP, 10, 0)  # IP_MTU_DISCOVER, IP_PMTUDISC_DONT
        sender.sendto(payload, (str(lab["person"].address), 9))
        assert sink.recv(65535) == payload


def test_trap_29_icmp_may_be_dropped_safely(lab, change):
    """Belief: ICMP is ping, and no rule need let it in.

    Truth: path-MTU discovery needs type 3, code 4. Without, the handshake is fine and bulk data hang (row 29).
    """
    with lab.capture("web", filter="icmp") as told, connection(lab, "mirror", "web", public_address(lab, "web")) as (client, server):
        assert not transfer(server, client)
    assert told.packets == [], "the router's message does not arrive"
    forget_path_mtu(lab, "web", "mirror")
    change(with_resources(lab.topology, resource(lab.topology, "sg-web", security_group_ingress=(*resource(lab.topology, "sg-web").security_group_ingress, TOO_BIG))))
    with lab.capture("web", filter="icmp") as told, connection(lab, "mirror", "web", public_address(lab, "web")) as (client, server):
        assert transfer(server, client)
    assert {(packet[ICMP].type, packet[ICMP].code, packet[ICMP].nexthopmtu) for packet in told.packets} == {(3, 4, 1500)}
    forget_path_mtu(lab, "web", "mirror")


def test_a_network_acl_without_the_message_hangs_it_as_well(lab, change):
    """`mirror`'s group is open; an ACL that lets TCP through and nothing else stops the router's message at the subnet's border."""
    tcp = tuple(NetworkAclEntry(rule_number=100, direction=direction, rule_action=Verdict.ALLOW, protocol=Protocol.TCP, cidr_block="0.0.0.0/0") for direction in Direction)
    message = NetworkAclEntry(rule_number=110, direction=Direction.INBOUND, rule_action=Verdict.ALLOW, protocol=Protocol.ICMP, icmp_type=3, icmp_code=4, cidr_block="0.0.0.0/0")
    for entries, arrives in ((tcp, False), ((*tcp, message), True)):
        change(with_resources(lab.topology, NetworkAcl(id="acl-b", vpc_id="vpc-main", associations=("public-b",), entries=entries)) if not arrives else _with_entries(lab, entries))
        with connection(lab, "mirror", "web", public_address(lab, "web")) as (client, server):
            assert transfer(client, server) is arrives
        forget_path_mtu(lab, "web", "mirror")


def _with_entries(lab, entries):
    return replace(lab.topology, resources=tuple(replace(r, entries=entries) if r.id == "acl-b" else r for r in lab.topology.resources))
