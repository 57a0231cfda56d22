"""Pattern 4 whole: an office, Direct Connect and a VPN, two Regions (topologies/hybrid.py); what each of the two ways is for, and what people believe of them (facts: sections 7, 8 and 15)."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import Dot1Q

from testbed.model import (
    CustomerDeviceSession,
    CustomerGateway,
    DirectConnectGateway,
    DirectConnectGatewayAssociation,
    OnPremisesHost,
    OnPremisesSite,
    PublicVirtualInterface,
    SecurityGroup,
    SecurityGroupRule,
    Topology,
    TransitGatewayRoute,
    TransitGatewayRouteTable,
    TransitVirtualInterface,
    VpnConnection,
    VpnGateway,
    VpnGatewayRoutePropagation,
)
from testbed.model.values import Protocol
from testbed.observe.probe import Answer
from testbed.oracle import Outcome, Probe
from testbed.resolve import resolve
from tests.scenarios.converging import BIRDC, converge, session
from tests.scenarios.failing import FIBRE, OFFICE, on_primary, soon
from topologies.hybrid import hybrid
from topologies.private_access import private_access

SECRET = b"the fibre is not encrypted"
SILENCE_S = 0.4
NAT_T = 4500
HTTPS = 443
ENDPOINTS = ("198.19.12.124", "198.19.12.217")
PINGS = 80

pytestmark = [pytest.mark.packets, pytest.mark.topology.with_args(hybrid), pytest.mark.skipif(BIRDC is None, reason="needs the program bird")]


def changed(name: str, kind: type, **fields: object) -> Topology:
    """The hybrid network with other fields of its resources of one kind."""
    return replace(hybrid(), name=name, resources=tuple(replace(each, **fields) if isinstance(each, kind) else each for each in hybrid().resources))


@pytest.fixture(autouse=True)
def converged(lab: Any) -> Iterator[None]:
    converge(lab)
    yield
    lab.heal()


def answers(lab: Any, source: str, destination: str) -> bool:
    return bool(lab[source].ping(destination, timeout_s=SILENCE_S).passed)


def said(lab: Any, host: str = "app") -> Any:
    """What the fibre and the office's LAN show of a datagram that bears the secret."""
    with lab.capture("dxcon-hq/fibre", "router-hq/l-pc", filter="") as capture, lab["pc"].socket(kind=2) as sock:
        sock.sendto(SECRET, (str(lab[host].address), 4000))
        assert soon(lambda: len({packet.sniffed_on for packet in capture.packets}) > 1, 3.0)
        time.sleep(SILENCE_S)
    return capture


def by(capture: Any, kind: int) -> set[str]:
    """Where echo requests (8) or replies (0) were seen."""
    return {packet.sniffed_on for packet in capture.packets if ICMP in packet and packet[ICMP].type == kind}


def test_explain_names_every_hop_over_the_fibre_and_between_the_regions(lab):
    assert soon(lambda: on_primary(lab))
    found = lab.explain("pc", "reports", protocol="icmp")
    assert found.passed and found.agrees, found.oracle
    way = ["router-hq", "dxgw-london", "tgw-ireland", "tgw-frankfurt", "vpc-frankfurt"]
    assert [hop.node for hop in found.hops if hop.leg == "request"] == way
    assert [hop.node for hop in found.hops if hop.leg == "reply"] == way[::-1]
    back = next(hop for hop in found.hops if (hop.node, hop.leg) == ("tgw-ireland", "reply"))
    assert back.said == ("tgw-rtb-ireland 192.168.0.0/24 -> dxga-ireland (BGP)",)


def test_explain_names_every_hop_over_the_tunnels(lab):
    lab.fail(FIBRE, "cut")
    assert soon(lambda: not on_primary(lab) and answers(lab, "pc", "app"))
    found = lab.explain("pc", "app", protocol="icmp")
    assert found.passed and found.agrees, found.oracle
    asked = [hop.node for hop in found.hops if hop.leg == "request"]
    assert asked[0] == "router-hq" and re.fullmatch("vpn-hq-tunnel-[12]", asked[1]) and asked[2:] == ["tgw-ireland", "vpc-ireland"]


def test_a_way_there_is_not_a_way_back(lab):
    """The fibre is told of Ireland only, and there are no tunnels: Frankfurt's packets arrive, the office's answers do not leave. The hub is made anew for it, with all its wires."""
    kept = tuple(each for each in changed("hybrid", DirectConnectGatewayAssociation, allowed_prefixes=("10.1.0.0/16",)).resources if not isinstance(each, VpnConnection))
    lab.change(replace(hybrid(), resources=kept))
    try:
        converge(lab)
        assert soon(lambda: answers(lab, "app", "pc"))
        found = lab.explain("reports", "pc", protocol="icmp")
        assert not found.passed and found.arrived and found.agrees, found.oracle
        assert "router-hq: private addresses do not leave by the internet" in found.cause
        asked = lab.explain("pc", "reports", protocol="icmp")
        assert not asked.passed and not asked.arrived and asked.agrees, asked.oracle
    finally:
        lab.change(hybrid())


def test_trap_20_direct_connect_is_encrypted(lab):
    """Belief: a line of one's own is encrypted. Truth: whoever taps the fibre reads it (row 20); see the next test for what to do."""
    assert soon(lambda: on_primary(lab))
    seen = [packet for packet in said(lab).packets if packet.sniffed_on == "dxcon-hq/fibre" and SECRET in bytes(packet)]
    assert seen and all(packet[Dot1Q].vlan == 200 for packet in seen)


def test_exam_consistent_latency_to_on_premises_is_direct_connect(lab):
    """Belief: a VPN over a good line is as steady as a fibre. Truth: the internet's way varies by other people's traffic, the fibre's does not.

    How far the median is above the fastest: what else this machine does makes some slow, and none fast.
    """

    def spread_ms() -> float:
        out = lab["pc"].run("ping", "-c", str(PINGS), "-i", "0.01", "10.1.0.10").out
        trips = [float(trip) for trip in re.findall(r"time=([0-9.]+) ms", out)]
        return statistics.median(trips) - min(trips)

    assert soon(lambda: on_primary(lab) and answers(lab, "pc", "app"))
    by_fibre = spread_ms()
    lab.fail(FIBRE, "cut")
    assert soon(lambda: not on_primary(lab) and answers(lab, "pc", "app"))
    assert by_fibre < spread_ms()


def with_a_vpn_on_top() -> Topology:
    """The same fibre with a public virtual interface alone: the tunnels' way to AWS's endpoints, whose addresses are public."""
    kept = (each for each in hybrid().resources if not isinstance(each, (TransitVirtualInterface, DirectConnectGateway, DirectConnectGatewayAssociation)))
    return replace(hybrid(), name="with_a_vpn_on_top", resources=(*kept, PublicVirtualInterface(id="dxvif-public", connection_id=FIBRE, vlan=300, asn=65000)))


@pytest.mark.topology.with_args(with_a_vpn_on_top)
class TestVpnOverDirectConnect:
    def test_exam_encryption_over_direct_connect_is_a_vpn_on_top(self, lab):
        """Belief: who wants a private line encrypted must give it up for a VPN. Truth: the VPN goes over a public virtual interface, and the fibre shows ESP."""
        assert soon(lambda: answers(lab, "pc", "app"))
        packets = said(lab).packets
        assert any(packet.sniffed_on == "router-hq/l-pc" and SECRET in bytes(packet) for packet in packets), "the LAN shows it"
        fibre = [packet for packet in packets if packet.sniffed_on == "dxcon-hq/fibre"]
        assert not any(SECRET in bytes(packet) for packet in fibre)
        tunnelled = [packet for packet in fibre if UDP in packet and NAT_T in (packet[UDP].sport, packet[UDP].dport)]
        assert tunnelled and all(packet[Dot1Q].vlan == 300 and (packet[IP].dst in ENDPOINTS or packet[IP].src in ENDPOINTS) for packet in tunnelled)

    def test_aws_tells_of_its_addresses_and_takes_the_sites_own(self, lab):
        at_site, at_aws = session(lab, "router-hq", "dxvif-public"), session(lab, "dxvif-public-london", "dxvif-public")
        assert (at_site.neighbour_asn, at_site.bfd, at_site.received, at_aws.received) == (7224, "Up", 2, 1)
        assert "198.19.12.0/24" in lab["router-hq"].run("ip", "route").out

    def test_what_bears_another_source_than_the_site_announces_is_dropped(self, lab):
        with lab.capture("city-dublin", filter="icmp") as capture:
            assert not lab["router-hq"].run("ping", "-c1", "-W1", ENDPOINTS[0]).ok, "from its own end of the VLAN, which it does not announce"
            assert lab["router-hq"].run("ping", "-c1", "-W1", "-I", "198.18.14.254", ENDPOINTS[0]).ok
        assert {packet[IP].src for packet in capture.packets if ICMP in packet and packet[ICMP].type == 8} == {"198.18.14.254"}

    def test_it_leads_to_nobody_elses_addresses(self, lab):
        router = lab["router-hq"]
        assert router.run("ip", "route", "add", "198.18.3.0/24", "via", str(session(lab, "router-hq", "dxvif-public").neighbour)).ok
        try:
            assert not router.run("ping", "-c1", "-W1", "-I", "198.18.14.254", "198.18.3.1").ok
        finally:
            router.run("ip", "route", "del", "198.18.3.0/24")

    def test_without_the_fibre_the_tunnels_take_the_internet(self, lab):
        lab.fail(FIBRE, "cut")
        assert soon(lambda: "dxcon-hq" not in lab["router-hq"].run("ip", "route", "get", ENDPOINTS[0]).out)
        with lab.capture("city-dublin/paris") as capture:
            assert soon(lambda: answers(lab, "pc", "app"))
        assert any(UDP in packet and NAT_T in (packet[UDP].sport, packet[UDP].dport) for packet in capture.packets)


def with_a_wide_primary() -> Topology:
    return changed("with_a_wide_primary", TransitVirtualInterface, customer_device=CustomerDeviceSession(prefixes=("192.168.0.0/16",)))


@pytest.mark.topology.with_args(with_a_wide_primary)
def test_trap_21_a_vpn_backup_stays_quiet(lab):
    """Belief: AWS uses the backup only while the fibre is down. Truth: the longest prefix wins first: /24 by the tunnels beats /16 by the fibre (row 21), and the answers come another way."""
    assert soon(lambda: "192.168.0.0/16" in lab["tgw-ireland"].run("ip", "route", "show", "table", "10001").out)
    with lab.capture("tgw-ireland", filter="icmp") as capture:
        assert soon(lambda: answers(lab, "app", "pc"))
    assert all("t-vpn-hq" in where for where in by(capture, 8) if "a-attach" not in where), by(capture, 8)
    assert "tgw-ireland/a-dxga-ireland" in by(capture, 0), "the office's metric prefers the fibre"


def with_a_static_vpn() -> Topology:
    """tgw-ireland's table has a static route to the office by the VPN."""
    static = changed("with_a_static_vpn", VpnConnection, static_routes_only=True, customer_routes=("10.0.0.0/8",)).resources
    own = TransitGatewayRoute(destination_cidr_block=OFFICE, attachment_id="vpn-hq")
    return replace(hybrid(), name="with_a_static_vpn", resources=tuple(
        replace(each, routes=(*each.routes, own)) if isinstance(each, TransitGatewayRouteTable) and each.id == "tgw-rtb-ireland" else each for each in static
    ))  # fmt: skip


@pytest.mark.topology.with_args(with_a_static_vpn)
def test_a_static_route_to_the_vpn_beats_what_direct_connect_propagates(lab):
    """A transit gateway prefers Direct Connect to a VPN that speaks BGP; a static route comes before both ("How AWS Transit Gateway works": route evaluation order)."""
    with lab.capture("tgw-ireland", filter="icmp") as capture:
        assert soon(lambda: answers(lab, "app", "pc"))
    assert all("t-vpn-hq" in where for where in by(capture, 8) if "a-attach" not in where)
    assert "tgw-ireland/a-dxga-ireland" in by(capture, 0)
    found = lab.explain("app", "pc", protocol="icmp")
    assert found.passed and found.agrees
    assert next(hop for hop in found.hops if hop.node == "tgw-ireland").said == (f"tgw-rtb-ireland {OFFICE} -> vpn-hq",)


def s3_address() -> str:
    region = resolve(private_access()).regions[0]
    return str(next(service for service in region.aws_services if service.name == "s3").addresses[0])


def with_an_office() -> Topology:
    """Private access with an office behind a VPN; its router sends S3's address into the tunnels, too."""
    resources = tuple(
        replace(each, security_group_ingress=(*each.security_group_ingress, SecurityGroupRule(ip_protocol="tcp", from_port=HTTPS, to_port=HTTPS, cidr_ip=OFFICE)))
        if isinstance(each, SecurityGroup) and each.id == "sg-endpoints" else each
        for each in private_access().resources
    )  # fmt: skip
    office = (
        OnPremisesSite(id="hq", city="Paris", cidr_block=OFFICE, hosts=(OnPremisesHost(id="pc"),)),
        CustomerGateway(id="cgw-hq", site_id="hq"),
        VpnGateway(id="vgw", vpc_id="vpc-app"),
        VpnGatewayRoutePropagation(id="propagation", vpn_gateway_id="vgw", route_table_ids=("rtb-private",)),
        VpnConnection(id="vpn-hq", customer_gateway_id="cgw-hq", vpn_gateway_id="vgw", static_routes_only=True, static_routes=(OFFICE,), customer_routes=("10.0.0.0/16", f"{s3_address()}/32")),
    )
    return replace(private_access(), name="with_an_office", time_scale=10, resources=(*resources, *office))


@pytest.mark.topology.with_args(with_an_office)
def test_trap_24_a_gateway_endpoint_serves_on_premises_too(lab):
    """Belief: the office reaches S3 by my gateway endpoint, if it sends S3's addresses over the VPN. Truth: what comes from a virtual private gateway meets no route table (row 24); an interface endpoint serves it."""
    sqs = lab["vpce-sqs-a"].address
    assert soon(lambda: lab["pc"].tcp(sqs, HTTPS).answer is Answer.ANSWERED)
    with lab.capture("vgw", "vpce-s3", filter=f"host {s3_address()}") as capture:
        assert lab["pc"].tcp(s3_address(), HTTPS, timeout_s=SILENCE_S).answer is Answer.SILENT
    assert capture.packets and not any("vgw/vpc" in packet.sniffed_on or "vpce-s3" in packet.sniffed_on for packet in capture.packets)
    walk = lab.oracle.walk(Probe(source="pc", destination=IPv4Address(s3_address()), protocol=Protocol.TCP, destination_port=HTTPS))
    assert walk.outcome is Outcome.DROPPED

