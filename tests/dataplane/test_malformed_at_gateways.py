"""Malformed, forged, fragmented and oversized packets at every hop past an instance: nothing leaks past a filter, nothing crashes, nothing private gets out.

    attacker (private) ─┬─ nat ─┬─ igw ─┬─ outsider         peer's, front's groups: UDP 9000 and nothing else
                        │ front ┘       └─ stranger         past the internet gateway: public sources only
                        ├─ pcx ── peer (another VPC)        past the NAT gateway: its own address; TCP, UDP, ICMP; fragments of UDP only
                        └─ vpce-s3, vpce-sqs                of an endpoint: answers to TCP 443 and 80
`attacker`'s own groups and ACL let everything pass, both ways. Nobody is sent anything by whom it sends to: that would be an answer, which groups let pass.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_LSRR, fragment
from scapy.packet import Packet, Raw, fuzz

from testbed.engine import sandbox
from testbed.engine.lab import Lab
from testbed.model import (
    ElasticIp,
    Instance,
    Internet,
    InternetGateway,
    NatGateway,
    Resource,
    Route,
    RouteTable,
    SecurityGroup,
    SecurityGroupRule,
    Subnet,
    Topology,
    User,
    Vpc,
    VpcEndpoint,
    VpcPeeringConnection,
)
from testbed.resolve import resolve
from tests import addresses
from tests.dataplane.test_oracle_against_kernel import bare_plan
from tests.dataplane.wire import WORD, Wire, port_of

OPEN_PORT, CLOSED_PORT = 9000, 9001
HOSTS = ("attacker", "front", "peer", "outsider", "stranger")
ENDPOINTS = ("vpce-s3", "vpce-sqs-a")
TCP_NUMBER, UDP_NUMBER, ICMP_NUMBER = 6, 17, 1
ERRORS = (3, 11, 12)
USERS = IPv4Network("198.18.0.0/15")
HTTPS = 443

pytestmark = pytest.mark.packets


def topology() -> Topology:
    region, zone, anywhere = "eu-west-1", "eu-west-1a", "0.0.0.0/0"
    everything = (SecurityGroupRule(ip_protocol="-1", cidr_ip=anywhere),)
    open_port = (SecurityGroupRule(ip_protocol="udp", from_port=OPEN_PORT, to_port=OPEN_PORT, cidr_ip=anywhere),)
    resources: tuple[Resource, ...] = (
        Internet(), User(id="outsider", city="Dublin"), User(id="stranger", city="London"),
        Vpc(id="vpc-a", region=region, cidr_block="10.0.0.0/16"), Vpc(id="vpc-b", region=region, cidr_block="10.1.0.0/16"),
        Subnet(id="public", vpc_id="vpc-a", cidr_block="10.0.0.0/24", availability_zone=zone), Subnet(id="private", vpc_id="vpc-a", cidr_block="10.0.1.0/24", availability_zone=zone),
        Subnet(id="far", vpc_id="vpc-b", cidr_block="10.1.0.0/24", availability_zone=zone),
        InternetGateway(id="igw", vpc_id="vpc-a"), ElasticIp(id="eip", region=region), NatGateway(id="nat", subnet_id="public", allocation_id="eip"),
        VpcPeeringConnection(id="pcx", vpc_id="vpc-a", peer_vpc_id="vpc-b"),
        VpcEndpoint(id="vpce-s3", vpc_id="vpc-a", service_name=f"com.amazonaws.{region}.s3", route_table_ids=("rtb-private",)),
        VpcEndpoint(id="vpce-sqs", vpc_id="vpc-a", service_name=f"com.amazonaws.{region}.sqs", vpc_endpoint_type="Interface", subnet_ids=("public",), security_group_ids=("sg-open",)),
        RouteTable(id="rtb-public", vpc_id="vpc-a", associations=("public",), routes=(Route(destination_cidr_block=anywhere, gateway_id="igw"),)),
        RouteTable(id="rtb-private", vpc_id="vpc-a", associations=("private",), routes=(
            Route(destination_cidr_block=anywhere, nat_gateway_id="nat"), Route(destination_cidr_block="10.1.0.0/16", vpc_peering_connection_id="pcx"))),
        RouteTable(id="rtb-far", vpc_id="vpc-b", associations=("far",), routes=(
            Route(destination_cidr_block="10.0.0.0/16", vpc_peering_connection_id="pcx"), Route(destination_cidr_block=anywhere, vpc_peering_connection_id="pcx"))),
        SecurityGroup(id="sg-open", vpc_id="vpc-a", security_group_ingress=everything),
        SecurityGroup(id="sg-front", vpc_id="vpc-a", security_group_ingress=open_port), SecurityGroup(id="sg-peer", vpc_id="vpc-b", security_group_ingress=open_port),
        Instance(id="attacker", subnet_id="private", security_group_ids=("sg-open",)),
        Instance(id="front", subnet_id="public", security_group_ids=("sg-front",), associate_public_ip_address=True),
        Instance(id="peer", subnet_id="far", security_group_ids=("sg-peer",)),
    )  # fmt: skip
    return Topology(name="malformed-at-gateways", resources=resources)


class Paths(Wire):
    """The running network, with its addresses."""

    def __init__(self, lab: Lab) -> None:
        super().__init__(lab, senders=HOSTS, hearers=HOSTS)
        resolved = resolve(topology())
        self.own = {name: addresses.private(resolved, name) for name in ("attacker", "front", "peer", *ENDPOINTS[1:])} | {user.node: str(user.address) for user in resolved.users}
        self.own["vpce-s3"] = str(next(service.addresses[0] for service in resolved.regions[0].aws_services if service.name == "s3"))
        self.public = {name: addresses.public(resolved, name) for name in ("front", "nat")}
        self.sources = {name: IPv4Address(address) for name, address in self.public.items()}

    def ways(self) -> list[tuple[str, str]]:
        """From whom to where: over the peering, the NAT gateway, the internet gateway in and out, to each endpoint."""
        return [
            ("attacker", self.own["peer"]), ("peer", self.own["outsider"]), ("attacker", self.own["outsider"]), ("front", self.own["outsider"]),
            ("stranger", self.public["front"]), ("stranger", self.public["nat"]), ("stranger", self.own["attacker"]), *(("attacker", self.own[endpoint]) for endpoint in ENDPOINTS),
        ]  # fmt: skip

    def leaks(self, listener: str, packet: bytes) -> bool:
        """Whether a packet should not have come to its hearer."""
        source, protocol = IPv4Address(packet[12:16]), packet[9]
        is_fragment = bool((packet[6] << 8 | packet[7]) & 0x3FFF)
        if listener in ("front", "peer"):
            is_answer = source == IPv4Address(self.own["outsider"])  # who sends nothing by itself
            return not is_answer and port_of(packet) != OPEN_PORT and not (protocol == UDP_NUMBER and is_fragment)
        is_error = protocol == ICMP_NUMBER and not is_fragment and packet[20] in ERRORS
        if listener in ("outsider", "stranger"):
            from_nat = source == self.sources["nat"] and protocol in (TCP_NUMBER, UDP_NUMBER, ICMP_NUMBER) and (protocol == UDP_NUMBER or not is_fragment)
            return source.is_private and source not in USERS if is_error else not from_nat and source != self.sources["front"]
        return not is_error and source not in {IPv4Address(self.own[name]) for name in ("peer", "outsider", *ENDPOINTS)}  # its groups are open: only nobody's packets are too many

    def leaked(self) -> list[tuple[str, str]]:
        """Who has heard what it should not have."""
        return [(name, packet.hex()) for name, packet in self.heard() if self.leaks(name, packet)]

    def works(self) -> None:
        """Every way is open for what is honest: peering, NAT gateway, internet gateway both ways."""
        for source, destination, hearer in (
            ("attacker", self.own["peer"], "peer"), ("attacker", self.own["outsider"], "outsider"), ("front", self.own["outsider"], "outsider"), ("stranger", self.public["front"], "front"),
        ):  # fmt: skip
            self.send(IP(src=self.own[source], dst=destination) / UDP(sport=random.randrange(20000, 60000), dport=OPEN_PORT) / WORD, node=source)
            assert hearer in {name for name, _ in self.heard()}, (source, destination)


@pytest.fixture(scope="module")
def paths(lab_sandbox: None) -> Iterator[Paths]:
    assert sandbox.inside()
    with Lab(bare_plan(resolve(topology()))) as lab:
        found = Paths(lab)
        try:
            yield found
        finally:
            found.close()


@pytest.fixture(autouse=True)
def still_works(paths: Paths) -> Iterator[None]:
    """Whatever was sent, honest packets pass afterwards."""
    paths.heard()
    yield
    paths.heard()
    paths.works()


def datagram(source: str, destination: str, port: int, length: int = 64, **fields: object) -> Packet:
    return IP(src=source, dst=destination, id=random.randrange(1, 65536), **fields) / UDP(sport=40001, dport=port) / (WORD * (length // len(WORD)))


def test_wrong_headers(paths: Paths) -> None:
    for source, destination in paths.ways():
        for field, value in (("len", 10), ("len", 65535), ("ihl", 4), ("ihl", 15), ("version", 6), ("chksum", 1), ("ttl", 0), ("ttl", 1), ("proto", 255), ("proto", 0)):
            for port in (CLOSED_PORT, OPEN_PORT):
                broken = datagram(paths.own[source], destination, port)
                setattr(broken, field, value)
                paths.send(broken, node=source)
        paths.send(IP(src=paths.own[source], dst=destination) / UDP(sport=1, dport=CLOSED_PORT, len=4) / WORD, bytes(datagram(paths.own[source], destination, CLOSED_PORT))[:19], node=source)
        paths.send(IP(src=paths.own[source], dst=destination, options=[IPOption_LSRR(routers=[paths.own["peer"]])]) / UDP(dport=CLOSED_PORT) / WORD, node=source)
    assert paths.leaked() == []


def test_fragments_in_every_order(paths: Paths) -> None:
    """Whole ones that are refused, pieces of what never becomes whole, pieces that overlap, more than fit into a packet."""
    for source, destination in paths.ways():
        own = paths.own[source]
        pieces = fragment(datagram(own, destination, CLOSED_PORT, 2000), fragsize=600)
        paths.send(*pieces, *reversed(fragment(datagram(own, destination, CLOSED_PORT, 2000), fragsize=600)), *pieces[1:], node=source)
        paths.send(*fragment(IP(src=own, dst=destination, id=77) / TCP(dport=HTTPS, flags="S") / (WORD * 400), fragsize=600), node=source)
        paths.send(*fragment(IP(src=own, dst=destination, id=78) / ICMP() / (WORD * 400), fragsize=600), node=source)
        paths.send(IP(src=own, dst=destination, id=79, proto=1, frag=8189) / Raw(WORD * 100), IP(src=own, dst=destination, id=80, proto=17, flags="MF") / Raw(WORD), node=source)
        first, again = (bytes(datagram(own, destination, port)[UDP])[:24] for port in (OPEN_PORT, CLOSED_PORT))
        paths.send(*(IP(src=own, dst=destination, id=81, proto=17, flags="MF") / Raw(part) for part in (first, again)), IP(src=own, dst=destination, id=81, proto=17, frag=3) / Raw(WORD * 4), node=source)
    assert paths.leaked() == []


def test_oversized_packets(paths: Paths) -> None:
    for source, destination in paths.ways():
        for length in (1472, 1473, 8472, 8473, 8973):
            for flags in ("DF", 0):
                paths.send(datagram(paths.own[source], destination, CLOSED_PORT, length, flags=flags), node=source)
    assert paths.leaked() == []


def test_forged_sources(paths: Paths) -> None:
    """Of a neighbour, of the gateway itself, of the internet, of nobody: none passes the interface of an instance; nor does the internet speak for the inside."""
    forged = (*paths.own.values(), *paths.public.values(), "10.0.0.1", "10.1.0.1", "0.0.0.0", "127.0.0.1", "255.255.255.255", "224.0.0.5", "169.254.169.254", "192.0.2.9")
    for source, destination in paths.ways():
        if source != "stranger":
            paths.send(*(datagram(claimed, destination, OPEN_PORT) for claimed in forged if claimed != paths.own[source]), node=source)
    assert paths.heard() == []
    for claimed in (paths.own["attacker"], paths.own["front"], paths.own["peer"], "10.0.0.1", "127.0.0.1", "0.0.0.0", "224.0.0.5"):
        for destination in (paths.public["nat"], paths.own["attacker"], paths.own["peer"], paths.own["front"]):
            paths.send(datagram(claimed, destination, OPEN_PORT), node="stranger")
    assert paths.heard() == []


def test_errors_about_flows_that_do_not_exist(paths: Paths) -> None:
    """A gateway translates an error only with the flow that it is about: of none, nothing goes on."""
    for source, destination in paths.ways():
        quoted = IP(src=destination, dst=paths.own[source]) / UDP(sport=OPEN_PORT, dport=40001) / WORD
        inner = IP(src=paths.own["attacker"], dst=paths.own["outsider"]) / UDP(sport=OPEN_PORT, dport=40001) / WORD
        for icmp_type, code in ((3, 1), (3, 4), (4, 0), (5, 1), (11, 0), (12, 0)):
            paths.send(*(IP(src=paths.own[source], dst=destination) / ICMP(type=icmp_type, code=code) / about for about in (quoted, inner)), node=source)
    assert paths.leaked() == []


@pytest.mark.parametrize("flags", ["", "SA", "A", "R", "FPU", "SFRPAUEC"])
def test_no_combination_of_flags_passes(paths: Paths, flags: str) -> None:
    for source, destination in paths.ways():
        paths.send(IP(src=paths.own[source], dst=destination) / TCP(sport=OPEN_PORT, dport=OPEN_PORT, flags=flags) / WORD, node=source)
    assert paths.leaked() == []


@settings(deadline=None, max_examples=4, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 1 << 32))
def test_random_nonsense(paths: Paths, seed: int) -> None:
    chance = random.Random(seed)
    random.seed(seed)  # scapy's fuzz draws from here
    for source, destination in paths.ways():
        for _ in range(15):
            layers = chance.choice((fuzz(UDP()), fuzz(TCP()), fuzz(ICMP()), Raw(chance.randbytes(chance.randrange(60)))))
            head = IP(src=paths.own[source], dst=destination, proto=chance.randrange(256), flags=chance.choice((0, "MF", "DF")), frag=chance.choice((0, 0, 1, 185)))
            paths.send(head / layers / Raw(WORD), node=source)
    assert paths.leaked() == []
