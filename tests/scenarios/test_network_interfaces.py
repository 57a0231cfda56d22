"""Network interfaces: several in one instance, several addresses on one, and what a guest cannot pretend to be."""

import socket
from ipaddress import IPv4Address

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import ARP, Ether

from testbed.model import (
    ElasticIp,
    Instance,
    Internet,
    InternetGateway,
    NetworkInterface,
    Protocol,
    Route,
    RouteTable,
    SecurityGroup,
    SecurityGroupRule,
    Subnet,
    Topology,
    User,
    Vpc,
)
from testbed.observe.probe import Answer
from testbed.oracle import Oracle, Outcome, Probe
from tests.scenarios.sending import send_raw, udp_sink

ANYWHERE = "0.0.0.0/0"
EVERYTHING = (SecurityGroupRule(ip_protocol="-1", cidr_ip=ANYWHERE),)
SILENCE_S = 0.3
PRIMARY, SECOND, THIRD, SECOND_ENI, PEER, NEIGHBOUR = "10.0.0.10", "10.0.0.11", "10.0.0.12", "10.0.1.10", "10.0.1.20", "10.0.0.20"


def interfaces() -> Topology:
    """An instance with two interfaces, one of them with three addresses, of which two have Elastic IPs; a peer in each subnet."""
    region, vpc = "eu-west-1", "vpc-eni"

    def host(name: str, subnet: str, address: str, **more: object) -> Instance:
        return Instance(id=name, subnet_id=subnet, private_ip_address=address, security_group_ids=("sg-open",), **more)

    return Topology(
        name="interfaces",
        resources=(
            Internet(),
            User(id="client", city="Paris"),
            Vpc(id=vpc, region=region, cidr_block="10.0.0.0/16"),
            InternetGateway(id="igw", vpc_id=vpc),
            Subnet(id="front", vpc_id=vpc, cidr_block="10.0.0.0/24", availability_zone="eu-west-1a"),
            Subnet(id="back", vpc_id=vpc, cidr_block="10.0.1.0/24", availability_zone="eu-west-1a"),
            RouteTable(id="rtb", vpc_id=vpc, main=True, routes=(Route(destination_cidr_block=ANYWHERE, gateway_id="igw"),)),
            SecurityGroup(id="sg-open", vpc_id=vpc, security_group_ingress=EVERYTHING),
            SecurityGroup(id="sg-members", vpc_id=vpc, security_group_ingress=(SecurityGroupRule(ip_protocol="-1", security_group_id="sg-open"),)),
            host("multi", "front", PRIMARY, secondary_private_ip_addresses=(SECOND, THIRD)),
            NetworkInterface(id="eni-back", subnet_id="back", private_ip_address=SECOND_ENI, instance_id="multi", group_set=("sg-open",)),
            host("peer", "back", PEER),
            host("neighbour", "front", NEIGHBOUR),
            Instance(id="guarded", subnet_id="back", private_ip_address="10.0.1.30", security_group_ids=("sg-members",)),
            ElasticIp(id="eip-1", region=region, instance_id="multi"),
            ElasticIp(id="eip-2", region=region, instance_id="multi", private_ip_address=SECOND),
            ElasticIp(id="eip-back", region=region, network_interface_id="eni-back"),
        ),
    )


pytestmark = [pytest.mark.packets, pytest.mark.topology.with_args(interfaces)]


def answered_from(lab, source, destination):
    """The interfaces of `multi` at which a ping to it is seen, or None if it stays without an answer."""
    with lab.capture("multi", filter="icmp") as capture:
        answer = lab[source].ping(destination, timeout_s=SILENCE_S).answer
    return None if answer is not Answer.ANSWERED else {packet.sniffed_on for packet in capture.packets}


@pytest.mark.parametrize("source", ["peer", "neighbour"])
@pytest.mark.parametrize(("destination", "device"), [(PRIMARY, "eth0"), (SECOND, "eth0"), (THIRD, "eth0"), (SECOND_ENI, "eth1")])
def test_each_address_answers_through_its_own_interface(lab, source, destination, device):
    assert answered_from(lab, source, destination) == {f"multi/{device}"}


@pytest.mark.parametrize(("allocation", "device"), [("eip-1", "eth0"), ("eip-2", "eth0"), ("eip-back", "eth1")])
def test_each_elastic_ip_is_one_private_address(lab, allocation, device):
    mapped = {each.public_origin: each.public_address for interface in lab.resolved.interfaces for each in interface.mapped}
    assert answered_from(lab, "client", mapped[allocation]) == {f"multi/{device}"}


def test_outward_a_secondary_address_becomes_its_own_elastic_ip_and_one_without_does_not_pass(lab):
    client = str(lab["client"].address)
    mapped = {str(each.address): each.public_address for interface in lab.resolved.interfaces for each in interface.mapped}
    with udp_sink(lab, "client", 9000) as sink:
        for address in (PRIMARY, SECOND, THIRD, SECOND_ENI):
            with lab["multi"].socket(kind=socket.SOCK_DGRAM) as sock:
                sock.bind((address, 0))
                sock.sendto(b"hello", (client, 9000))
                if address in mapped:
                    assert IPv4Address(sink.recvfrom(100)[1][0]) == mapped[address]
        sink.settimeout(SILENCE_S)
        with pytest.raises(TimeoutError):
            sink.recv(100)


def test_a_reference_to_a_group_means_every_private_address_of_its_members(lab):
    oracle = Oracle(lab.resolved)
    for source in (SECOND, SECOND_ENI):
        with lab["multi"].socket(kind=socket.SOCK_DGRAM) as sock, udp_sink(lab, "guarded", 9001) as sink:
            sock.bind((source, 0))
            sock.sendto(b"hello", ("10.0.1.30", 9001))
            assert sink.recvfrom(100)[1][0] == source
        probe = Probe(source=IPv4Address(source), destination=IPv4Address("10.0.1.30"), protocol=Protocol.UDP, destination_port=9001)
        assert oracle.walk(probe).outcome is Outcome.DELIVERED


@pytest.mark.parametrize("source", [NEIGHBOUR, "10.0.0.99", PEER, "192.0.2.7", "10.0.0.1", "0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255"])
def test_an_instance_sends_from_its_own_addresses_only(lab, source):
    with lab.capture("neighbour", "peer", filter="udp port 7777") as capture:
        for destination in (PEER, NEIGHBOUR):
            frame = Ether(src=mac_of(lab, PRIMARY), dst=gateway_mac(lab)) / IP(src=source, dst=destination) / UDP(sport=7777, dport=7777) / b"spoofed"
            send_frame(lab, "multi", frame)
        capture.wait_for(1, SILENCE_S)
    assert capture.packets == []


def test_an_instance_sends_from_its_own_mac_address_only(lab):
    def arrives(mac):
        with lab.capture("neighbour", filter="udp port 7778") as capture:
            send_frame(lab, "multi", Ether(src=mac, dst=gateway_mac(lab)) / IP(src=PRIMARY, dst=NEIGHBOUR) / UDP(sport=7778, dport=7778) / b"x")
            capture.wait_for(1, SILENCE_S)
        return bool(capture.packets)

    assert arrives(mac_of(lab, PRIMARY))
    assert not arrives(mac_of(lab, NEIGHBOUR))
    assert not arrives("02:00:00:00:00:99")


def test_a_gratuitous_arp_moves_no_address(lab):
    claim = Ether(src=mac_of(lab, PRIMARY), dst="ff:ff:ff:ff:ff:ff") / ARP(op=2, hwsrc=mac_of(lab, PRIMARY), psrc=NEIGHBOUR, hwdst="ff:ff:ff:ff:ff:ff", pdst=NEIGHBOUR)
    for _ in range(3):
        send_frame(lab, "multi", claim)
    with lab.capture("multi", filter="icmp") as capture:
        assert lab["peer"].ping("neighbour").answer is Answer.ANSWERED
    assert capture.packets == []


def test_nothing_is_broadcast(lab):
    with lab.capture("neighbour", "peer", filter="udp port 7779 or udp port 67") as capture:
        for destination in ("255.255.255.255", "10.0.0.255", "10.0.0.0", "224.0.0.251"):
            send_frame(lab, "multi", Ether(src=mac_of(lab, PRIMARY), dst="ff:ff:ff:ff:ff:ff") / IP(src=PRIMARY, dst=destination) / UDP(sport=7779, dport=7779) / b"all")
            send_frame(lab, "multi", Ether(src=mac_of(lab, PRIMARY), dst=gateway_mac(lab)) / IP(src=PRIMARY, dst=destination) / UDP(sport=7779, dport=7779) / b"all")
        capture.wait_for(1, SILENCE_S)
    assert capture.packets == []


def test_a_packet_for_an_absent_address_vanishes(lab):
    with lab.capture("peer", filter="icmp") as capture:
        send_raw(lab, "peer", IP(src=PEER, dst="10.0.0.99") / ICMP())
        capture.wait_for(2, SILENCE_S)
    assert [packet[IP].dst for packet in capture.packets] == ["10.0.0.99"], "no host unreachable comes back"


def send_frame(lab, node, frame):
    """A whole Ethernet frame out of a node's eth0."""
    with lab[node].socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind(("eth0", 0))
        sock.send(bytes(frame))


def mac_of(lab, address):
    return next(interface.mac for interface in lab.resolved.interfaces if str(interface.address) == address)


def gateway_mac(lab):
    """The fabric's end of multi's link: what its .1 has."""
    return next(far.mac for link in lab.plan.links for near, far in ((link.a, link.b), (link.b, link.a)) if (near.node, near.name) == ("multi", "eth0"))
