"""Direct Connect: fibres with VLANs, sessions over them, and which way packets take (facts: sections 1.4, 6.2 and 8; misconception 20)."""

import shutil
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import Dot1Q

from services.bgp.config import control_socket
from testbed.model import (
    CustomerDeviceSession,
    DirectConnectConnection,
    DirectConnectGateway,
    DirectConnectGatewayAssociation,
    DirectConnectLag,
    Instance,
    OnPremisesHost,
    OnPremisesSite,
    PrivateVirtualInterface,
    Protocol,
    Route,
    RouteTable,
    SecurityGroup,
    SecurityGroupRule,
    Subnet,
    Topology,
    TransitGateway,
    TransitGatewayVpcAttachment,
    TransitVirtualInterface,
    Vpc,
    VpnGateway,
    VpnGatewayRoutePropagation,
)
from testbed.model.virtual_interface import HIGH, LOW
from testbed.observe.bgp import Speaker, speaker
from testbed.observe.probe import Answer
from testbed.oracle import Probe

BIRDC = shutil.which("birdc", path="/usr/sbin:/usr/local/sbin:/sbin:/usr/bin:/usr/local/bin:/bin")
SILENCE_S = 0.4
SOON_S = 30.0
SECRET = b"the fibre is not encrypted"
FIRST = PrivateVirtualInterface(
    id="dxvif-1", connection_id="dxcon-1", vlan=101, asn=65000, direct_connect_gateway_id="dxgw-a", customer_device=CustomerDeviceSession(communities=(HIGH,), as_path_prepend=3)
)
SECOND = PrivateVirtualInterface(
    id="dxvif-2", connection_id="dxcon-2", vlan=101, asn=65000, direct_connect_gateway_id="dxgw-a", customer_device=CustomerDeviceSession(communities=(LOW,), metric=60)
)


def vpc(name: str, region: str, block: str, *routes: Route) -> tuple[object, ...]:
    subnet = block.replace(".0.0/16", ".0.0/24")
    return (
        Vpc(id=f"vpc-{name}", region=region, cidr_block=block),
        Subnet(id=f"subnet-{name}", vpc_id=f"vpc-{name}", cidr_block=subnet, availability_zone=f"{region}a"),
        RouteTable(id=f"rtb-{name}", vpc_id=f"vpc-{name}", associations=(f"subnet-{name}",), routes=routes),
        SecurityGroup(id=f"sg-{name}", vpc_id=f"vpc-{name}", security_group_ingress=(SecurityGroupRule(ip_protocol="-1", cidr_ip="0.0.0.0/0"),)),
        Instance(id=name, subnet_id=f"subnet-{name}", private_ip_address=subnet.replace(".0/24", ".10"), security_group_ids=(f"sg-{name}",)),
    )


def fibres(*virtual_interfaces: PrivateVirtualInterface) -> Topology:
    """A site with two fibres to a Direct Connect gateway of two VPCs, and a LAG of two more to one with a transit gateway."""
    return Topology(
        name="fibres",
        time_scale=10,
        resources=(
            *vpc("a", "eu-west-2", "10.0.0.0/16"),
            *vpc("b", "eu-central-1", "10.1.0.0/16"),
            *vpc("c", "eu-west-2", "10.2.0.0/16", Route(destination_cidr_block="192.168.0.0/16", transit_gateway_id="tgw-c")),
            *(VpnGateway(id=f"vgw-{name}", vpc_id=f"vpc-{name}") for name in "ab"),
            *(VpnGatewayRoutePropagation(id=f"propagation-{name}", vpn_gateway_id=f"vgw-{name}", route_table_ids=(f"rtb-{name}",)) for name in "ab"),
            OnPremisesSite(id="hq", city="Paris", cidr_block="192.168.0.0/24", hosts=(OnPremisesHost(id="pc"),)),
            DirectConnectConnection(id="dxcon-1", site_id="hq", location="Amsterdam", region="eu-west-2"),
            DirectConnectConnection(id="dxcon-2", site_id="hq", location="London", region="eu-west-2"),
            DirectConnectGateway(id="dxgw-a", amazon_side_asn=64600),
            *(DirectConnectGatewayAssociation(id=f"dxga-{name}", direct_connect_gateway_id="dxgw-a", associated_gateway_id=f"vgw-{name}") for name in "ab"),
            *virtual_interfaces,
            *(DirectConnectConnection(id=f"dxcon-{n}", site_id="hq", location="London", region="eu-west-2", lag_id="dxlag-t") for n in (3, 4)),
            DirectConnectLag(id="dxlag-t"),
            DirectConnectGateway(id="dxgw-t", amazon_side_asn=64601),
            TransitGateway(id="tgw-c", region="eu-west-2", amazon_side_asn=64700),
            TransitGatewayVpcAttachment(id="tgw-attach-c", transit_gateway_id="tgw-c", vpc_id="vpc-c", subnet_ids=("subnet-c",)),
            DirectConnectGatewayAssociation(id="dxga-t", direct_connect_gateway_id="dxgw-t", associated_gateway_id="tgw-c", allowed_prefixes=("10.2.0.0/15",)),
            TransitVirtualInterface(id="dxvif-t", connection_id="dxlag-t", vlan=300, asn=65000, direct_connect_gateway_id="dxgw-t", mtu=8500),
        ),
    )


def with_two_fibres() -> Topology:
    return fibres(FIRST, SECOND)


pytestmark = [pytest.mark.packets, pytest.mark.topology.with_args(with_two_fibres), pytest.mark.skipif(BIRDC is None, reason="needs the program bird")]


def soon(true: Callable[[], bool]) -> bool:
    give_up_at = time.monotonic() + SOON_S
    while not (found := true()) and time.monotonic() < give_up_at:
        time.sleep(0.1)
    return found


def bgp(lab, node: str) -> Speaker:
    return speaker(lab, node, BIRDC, control_socket(node))


def session(lab, node: str, name: str):
    return next(found for found in bgp(lab, node).sessions if found.name == name)


def routes(lab, node: str, destination: str, table: str = "main") -> str:
    return lab[node].run("ip", "route", "show", destination, "table", table).out


def answers(lab, source: str, destination: str) -> bool:
    return lab[source].ping(destination, timeout_s=SILENCE_S).answer is Answer.ANSWERED


@pytest.fixture(autouse=True)
def converged(lab):
    assert soon(lambda: all(found.state == "Established" for node in ("router-hq", "vgw-a", "vgw-b", "tgw-c", "vpc-a", "vpc-b") for found in bgp(lab, node).sessions)), bgp(lab, "router-hq")
    assert soon(lambda: all(found.bfd == "Up" for found in bgp(lab, "router-hq").sessions))
    assert soon(lambda: all(answers(lab, "pc", name) for name in "abc"))


def test_both_ends_see_the_session_and_bfd_up(lab):
    there, here = session(lab, "dxgw-a-amsterdam", "dxvif-1"), session(lab, "router-hq", "dxvif-1")
    assert (there.state, there.bfd, there.neighbour_asn) == ("Established", "Up", 65000)
    assert (here.state, here.bfd, here.neighbour_asn) == ("Established", "Up", 64600)


def test_the_fibre_shows_what_it_carries_in_its_vlan(lab):
    with lab.capture("dxcon-1/fibre", "router-hq/dxcon-1") as capture, lab["pc"].socket(kind=2) as sock:
        sock.sendto(SECRET, (str(lab["a"].address), 4000))
        capture.wait_for(2)
        time.sleep(SILENCE_S)
    seen = [packet for packet in capture.packets if packet.haslayer(UDP) and packet[UDP].dport == 4000]
    assert {packet.sniffed_on for packet in seen} == {"dxcon-1/fibre", "router-hq/dxcon-1"}
    assert all(packet[Dot1Q].vlan == 101 and bytes(packet[UDP].payload) == SECRET for packet in seen)


def test_local_preference_communities_come_before_the_as_path(lab):
    with lab.capture("router-hq", filter="icmp") as capture:
        assert answers(lab, "a", "pc")
    ways = {packet.sniffed_on for packet in capture.packets if packet[ICMP].type == 8 and packet[IP].src == str(lab["a"].address)}
    assert "router-hq/dxcon-1.101" in ways and "router-hq/dxcon-2.101" not in ways, "high, although its path is three longer"
    best, other = (found for found in bgp(lab, "vgw-a").routes if found.prefix == "192.168.0.0/24")
    assert (len(best.as_path), len(other.as_path)) == (4, 1)
    assert best.why == "local preference 300 before 100"


def test_a_gateway_of_vpcs_passes_nothing_from_one_to_the_other(lab):
    with lab.capture("vgw-b", filter="icmp") as capture:
        assert not answers(lab, "a", "b")
    assert capture.packets == []


def test_a_vpc_is_told_as_it_is_and_a_transit_gateway_word_for_word(lab):
    assert routes(lab, "router-hq", "10.0.0.0/16") and routes(lab, "router-hq", "10.1.0.0/16")
    assert routes(lab, "router-hq", "10.2.0.0/15") and not routes(lab, "router-hq", "10.2.0.0/16")


def test_the_fibres_of_a_lag_share_the_load_both_ways(lab):
    assert routes(lab, "router-hq", "10.2.0.0/15").count("nexthop") == 2
    assert routes(lab, "dxgw-t-london", "192.168.0.0/24").count("nexthop") == 2


def test_a_transit_virtual_interface_carries_8500_bytes_and_a_private_one_its_own_1500(lab):
    router = lab["router-hq"]
    assert router.run("ping", "-c1", "-W1", "-M", "do", "-s", str(8500 - 28), "-I", "192.168.0.1", str(lab["c"].address)).ok
    assert "message too long" in router.run("ping", "-c1", "-W1", "-M", "do", "-s", "1473", "-I", "192.168.0.1", str(lab["a"].address)).err.lower()


def test_a_killed_speaker_comes_back_and_its_sessions_with_it(lab):
    service = "dxgw-a-amsterdam.bgp"
    before = next(found for found in lab.ps() if found.name == service)
    lab["dxgw-a-amsterdam"].run("kill", "-9", str(before.pid))
    assert soon(lambda: next(found for found in lab.ps() if found.name == service).restarts > before.restarts)
    assert soon(lambda: session(lab, "router-hq", "dxvif-1").state == "Established")


def test_a_dead_fibre_is_noticed_by_bfd_and_the_other_takes_over_until_it_is_back(lab):
    lab["router-hq"].run("ip", "link", "set", "dev", "dxcon-1", "down")
    try:
        assert soon(lambda: session(lab, "dxgw-a-amsterdam", "dxvif-1").state != "Established")
        assert "BFD session down" in session(lab, "dxgw-a-amsterdam", "dxvif-1").cause
        assert soon(lambda: answers(lab, "pc", "a"))
        assert "dxcon-2.101" in routes(lab, "router-hq", "10.0.0.0/16")
    finally:
        lab["router-hq"].run("ip", "link", "set", "dev", "dxcon-1", "up")
    assert soon(lambda: "dxcon-1.101" in routes(lab, "router-hq", "10.0.0.0/16"))


def test_too_many_prefixes_take_the_session_down_and_the_other_one_serves(lab):
    lan, too_many = "192.168.0.0/24", tuple(f"172.20.{n}.0/24" for n in range(100))
    lab.change(fibres(replace(FIRST, customer_device=replace(FIRST.customer_device, prefixes=(lan, *too_many))), SECOND))
    try:
        assert soon(lambda: session(lab, "dxgw-a-amsterdam", "dxvif-1").state == "Down")
        assert "Route limit exceeded" in session(lab, "dxgw-a-amsterdam", "dxvif-1").cause
        assert "Maximum number of prefixes" in session(lab, "router-hq", "dxvif-1").cause
        assert soon(lambda: answers(lab, "a", "pc"))
    finally:
        lab.change(with_two_fibres())
    assert soon(lambda: session(lab, "router-hq", "dxvif-1").state == "Established"), "tried again once it was idle for a while"


def test_a_virtual_interface_comes_and_goes_while_the_fibre_lives(lab):
    lab.change(fibres(FIRST))
    try:
        assert soon(lambda: [found.name for found in bgp(lab, "router-hq").sessions if found.name.startswith("dxvif-") and "dxcon" not in found.name] == ["dxvif-1"])
        assert soon(lambda: session(lab, "router-hq", "dxvif-1").state == "Established"), "the process that holds the wires is another one: BFD may have noticed"
        assert soon(lambda: answers(lab, "pc", "a")), "by the one that stayed"
    finally:
        lab.change(with_two_fibres())
    assert soon(lambda: session(lab, "router-hq", "dxvif-2").state == "Established")


def test_a_wrong_key_keeps_the_session_down(lab):
    lab.change(fibres(FIRST, replace(SECOND, customer_device=replace(SECOND.customer_device, auth_key="not the key"))))
    try:
        assert soon(lambda: session(lab, "router-hq", "dxvif-2").state != "Established")
        assert answers(lab, "pc", "a"), "by the other one"
    finally:
        lab.change(with_two_fibres())


@pytest.mark.parametrize(
    ("source", "destination", "reaches"),
    [("pc", "a", True), ("a", "pc", True), ("pc", "b", True), ("pc", "c", True), ("c", "pc", True), ("a", "b", False), ("b", "a", False), ("a", "c", False)],
)
def test_the_oracle_agrees(lab, source, destination, reaches):
    probe = Probe(source=source, destination=lab[destination].address, protocol=Protocol.ICMP)
    walk = lab.oracle.walk(probe)
    assert (walk.outcome.value == "delivered") is reaches, walk.origin
    assert answers(lab, source, destination) is reaches
