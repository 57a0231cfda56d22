"""The private subnets and the internet: out through a NAT gateway under an Elastic IP, and never in."""

import socket
from ipaddress import IPv4Address

import pytest

from testbed.observe.probe import Answer
from tests.scenarios.shop import public_address

pytestmark = [pytest.mark.packets, pytest.mark.topology("web_app")]

SILENCE_S = 0.3
SERVER_PORT = 8080


@pytest.fixture
def server(lab):
    """A server on the user's machine, somewhere on the internet."""
    with lab["client"].socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("0.0.0.0", SERVER_PORT))
        listener.listen()
        listener.settimeout(2)
        yield listener


@pytest.fixture
def session(lab, server):
    """A connection from web-a to the server, and the address and port it has there."""
    with lab["web-a"].socket() as inside:
        inside.settimeout(2)
        inside.connect((str(lab["client"].address), SERVER_PORT))
        outside, (address, port) = server.accept()
        outside.settimeout(2)
        with outside:
            yield inside, outside, IPv4Address(address), port


@pytest.mark.parametrize(("instance", "gateway"), [("web-a", "nat-a"), ("web-b", "nat-b")])
def test_an_instance_is_seen_outside_with_the_elastic_ip_of_its_zones_nat_gateway(lab, server, instance, gateway):
    with lab.capture("igw-shop", filter=f"tcp port {SERVER_PORT}") as capture:
        assert lab[instance].tcp("client", SERVER_PORT).answer is Answer.ANSWERED
    connection, (address, _port) = server.accept()
    connection.close()
    assert IPv4Address(address) == public_address(lab, gateway)
    requests = [packet for packet in capture.packets if packet["TCP"].flags == "S"]
    assert [(packet.sniffed_on, packet["IP"].src) for packet in requests] == [("igw-shop/vpc", str(lab[gateway].address)), ("igw-shop/internet", str(public_address(lab, gateway)))], (
        "the NAT gateway has a private address, which the internet gateway swaps"
    )


def test_a_connection_that_began_inside_carries_bytes_both_ways(session):
    inside, outside, _address, _port = session
    inside.sendall(b"question")
    assert outside.recv(100) == b"question"
    outside.sendall(b"answer")
    assert inside.recv(100) == b"answer"


def test_nothing_enters_through_a_nat_gateway_not_even_at_a_port_in_use(lab, session):
    _inside, _outside, address, port = session
    with lab.capture("nat-a", "web-a", filter=f"host {lab['client-newyork'].address}") as capture:
        assert lab["client-newyork"].tcp(address, port, timeout_s=SILENCE_S).answer is Answer.SILENT
        assert lab["client-newyork"].udp(address, port, timeout_s=SILENCE_S).answer is Answer.SILENT
        assert lab["client-newyork"].ping(address, timeout_s=SILENCE_S).answer is Answer.SILENT
    assert {packet.sniffed_on for packet in capture.packets} == {"nat-a/eth0"}, "all three come as far as the NAT gateway"
    assert {packet["IP"].src for packet in capture.packets} == {str(lab["client-newyork"].address)}, "and it answers nothing"


def test_a_private_address_means_nothing_on_the_internet(lab):
    with lab.capture("igw-shop", "vpc-shop", filter=f"host {lab['client'].address}") as capture:
        assert not lab["client"].tcp("web-a", 80, timeout_s=SILENCE_S).passed
    assert capture.packets == []


def test_the_database_has_no_way_out(lab, server):
    with lab.capture("shop-db", "igw-shop", "nat-a", "nat-b", filter=f"host {lab['client'].address}") as capture:
        assert lab["shop-db"].tcp("client", SERVER_PORT, timeout_s=SILENCE_S).answer is Answer.SILENT
        assert lab["shop-db"].ping("client", timeout_s=SILENCE_S).answer is Answer.SILENT
    assert {packet.sniffed_on for packet in capture.packets} == {"shop-db/eth0"}


def test_an_instance_looks_names_up_and_downloads_from_the_internet(lab):
    answer = lab["web-a"].curl("https://shop.example.com/products")
    assert answer.status == 200
    assert answer.headers["x-amz-cf-pop"] == "LHR50-C1", "from Ireland, London is the nearest edge location"
