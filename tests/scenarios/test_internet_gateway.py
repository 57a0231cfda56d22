"""The internet gateway: what is public and what is not, addresses that move, errors that are translated. Trap 7 of README.md."""

import json
import socket
from contextlib import ExitStack
from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from scapy.layers.inet import ICMP, IP, UDP

from testbed.model import ElasticIp
from testbed.observe.probe import Answer
from tests.scenarios.sending import listening, send_raw
from tests.scenarios.shop import public_address

pytestmark = [pytest.mark.packets, pytest.mark.topology("subnets")]

SILENCE_S = 0.3
HTTP = 80


def dropped(lab, words):
    """Packets that the internet gateway has dropped by the rule of these words."""
    entries = json.loads(lab["igw-main"].run("nft", "-j", "list", "ruleset").out)["nftables"]
    rules = [entry["rule"] for entry in entries if "rule" in entry and words in entry["rule"].get("comment", "")]
    return sum(part["counter"]["packets"] for rule in rules for part in rule["expr"] if "counter" in part)


def test_addresses_are_swapped_one_for_one_and_the_instance_never_sees_its_public_one(lab):
    person, public = str(lab["person"].address), str(public_address(lab, "web"))
    with listening(lab, "web", HTTP), lab.capture("igw-main", "web", filter=f"tcp port {HTTP}") as capture:
        assert lab["person"].tcp(public, HTTP).answer is Answer.ANSWERED
    asked = {(packet.sniffed_on, packet[IP].src, packet[IP].dst) for packet in capture.packets if packet["TCP"].flags == "S"}
    private = str(lab["web"].address)
    assert asked == {("igw-main/internet", person, public), ("igw-main/vpc", person, private), ("web/eth0", person, private)}
    assert public not in lab["web"].run("ip", "address").out


def test_trap_07_a_public_subnet_is_on_the_internet(lab):
    """Belief: an instance in a public subnet has internet.

    Truth: it needs a public address, too: without one its packets reach the internet gateway and die there (row 7).
    """
    before = dropped(lab, "no public address")
    with lab.capture("igw-main", filter=f"host {lab['person'].address}") as capture:
        assert lab["bare"].tcp("person", HTTP, timeout_s=SILENCE_S).answer is Answer.SILENT
    assert {packet.sniffed_on for packet in capture.packets} == {"igw-main/vpc"}, "it comes as far as the gateway, and no further"
    assert dropped(lab, "no public address") > before


def test_a_public_address_that_is_not_the_senders_does_not_leave_either(lab):
    with lab.capture("igw-main/internet", "vpc-main", filter="udp port 9") as capture:
        send_raw(lab, "bare", IP(src=str(public_address(lab, "web")), dst=str(lab["person"].address)) / UDP(sport=9, dport=9) / b"not mine")
        capture.wait_for(1)
    assert {packet.sniffed_on for packet in capture.packets} == {"vpc-main/e-bare"}, "the source check of its interface drops it"


def test_an_error_from_the_internet_reaches_the_instance_translated_inside_and_out(lab):
    person = lab["person"].address
    with lab.capture("mirror", filter="icmp[icmptype] == icmp-unreach") as capture:
        lab["mirror"].udp(person, 4711, timeout_s=SILENCE_S)
        capture.wait_for(1)
    (error,) = capture.packets
    assert (error[IP].src, error[IP].dst) == (str(person), str(lab["mirror"].address))
    assert error["IP in ICMP"].src == str(lab["mirror"].address), "the packet within the error has the private address again"


def test_a_gateway_and_the_router_take_no_ttl(lab):
    with lab.capture("person", filter="udp port 9") as capture:
        send_raw(lab, "mirror", IP(src=str(lab["mirror"].address), dst=str(lab["person"].address), ttl=40) / UDP(sport=9, dport=9) / b"how far?")
        capture.wait_for(1)
    hops = 40 - capture.packets[0][IP].ttl
    with lab.capture("mirror", filter="icmp[icmptype] == icmp-timxceed") as capture:
        send_raw(lab, "mirror", IP(src=str(lab["mirror"].address), dst=str(lab["person"].address), ttl=1) / UDP(sport=9, dport=9) / b"who is first?")
        capture.wait_for(1)
    first = IPv4Address(capture.packets[0][IP].src)
    assert first not in lab.resolved.vpcs[0].vpc.cidr_block, "the first hop is past the VPC"
    assert hops >= 1


def test_two_hosts_of_one_vpc_meet_at_the_gateway_by_their_public_addresses(lab):
    with listening(lab, "web", HTTP), lab.capture("igw-main/vpc", filter=f"tcp port {HTTP}") as capture:
        assert lab["mirror"].tcp(public_address(lab, "web"), HTTP).answer is Answer.ANSWERED
    assert {packet[IP].src for packet in capture.packets if packet["TCP"].flags == "S"} == {str(lab["mirror"].address), str(public_address(lab, "mirror"))}


def test_an_elastic_ip_that_moves_ends_its_connections_and_serves_the_other_instance_at_once(lab):
    before, public = lab.topology, public_address(lab, "web")
    moved = ElasticIp(id="eip-web", region="eu-west-1", public_ip=public, instance_id="bare")
    try:
        with ExitStack() as stack:
            old, new = stack.enter_context(listening(lab, "web", HTTP)), stack.enter_context(listening(lab, "bare", HTTP))
            outside = stack.enter_context(lab["person"].socket())
            outside.settimeout(2)
            outside.connect((str(public), HTTP))
            inside, _ = old.accept()
            stack.enter_context(inside)
            inside.settimeout(SILENCE_S)
            others = (resource for resource in before.resources if resource.id != "eip-web")
            summary = lab.change(replace(before, resources=(*others, moved)))
            assert any("flows of" in sentence for sentence in summary.flows_ended)
            with lab.capture("web", "bare", filter=f"tcp port {HTTP}") as capture:
                outside.sendall(b"are you still the same?")
                with pytest.raises(ConnectionResetError):
                    outside.recv(100)
            assert {packet.sniffed_on for packet in capture.packets} == {"bare/eth0"}, "the new holder knows nothing of the connection"
            with pytest.raises(TimeoutError):
                inside.recv(100)
            assert lab["person"].tcp(public, HTTP).answer is Answer.ANSWERED
            connection, _ = new.accept()
            connection.close()
    finally:
        lab.change(before)


def test_an_elastic_ip_that_is_released_leaves_nobody_there(lab):
    before, public = lab.topology, public_address(lab, "web")
    try:
        lab.change(replace(before, resources=tuple(resource for resource in before.resources if resource.id != "eip-web")))
        with lab.capture("web", filter=f"host {lab['person'].address}") as capture, lab["web"].socket(kind=socket.SOCK_DGRAM) as inside:
            assert not lab["person"].ping(public, timeout_s=SILENCE_S).passed
            inside.sendto(b"out?", (str(lab["person"].address), 9))
            capture.wait_for(1)
        assert {(packet[IP].src, ICMP in packet) for packet in capture.packets} == {(str(lab["web"].address), False)}
    finally:
        lab.change(before)
