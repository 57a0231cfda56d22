"""Connect attachments: GRE and BGP between a transit gateway and appliances, over a VPC and over Direct Connect (facts: section 6.4)."""

import os
import signal
from dataclasses import replace

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import GRE
from scapy.packet import Raw

from testbed.model import Protocol, SdWanAppliance
from testbed.observe.probe import Answer
from testbed.oracle import Probe
from tests.scenarios.connects import over_direct_connect
from tests.scenarios.converging import converge, sessions
from tests.scenarios.failing import soon
from tests.scenarios.sending import send_raw
from tests.scenarios.shop import resource, with_resources
from topologies.sd_wan import BRANCH

pytestmark = pytest.mark.packets

SILENCE_S = 0.3
OUTER_A, TGW_A = "10.9.1.10", "172.31.255.1"
BRANCH_HOST, APP = "10.50.0.10", "10.1.1.10"


def answered(lab, source, destination):
    return lab[source].ping(destination, timeout_s=SILENCE_S).answer is Answer.ANSWERED


def hops_to_branch(lab):
    """The devices of the route to the branch, of what comes from outside VPCs."""
    return {device for device in ("c-peer-a", "c-peer-b") if f"dev {device}" in lab["tgw"].run("ip", "route", "show", BRANCH, "table", "10001").out}


def names_up(lab, node):
    return {session.name for session in sessions(lab, node) if session.state == "Established"}


def speaks(lab, node):
    """Whether a node's BIRD answers: one that has just been healed is still being started."""
    try:
        return bool(sessions(lab, node))
    except OSError:
        return False


@pytest.mark.topology("sd_wan")
class TestSdWan:
    """topologies/sd_wan.py."""

    @pytest.fixture(autouse=True)
    def converged(self, lab):
        converge(lab)
        assert soon(lambda: hops_to_branch(lab) == {"c-peer-a", "c-peer-b"})

    def test_two_sessions_for_each_peer_and_one_path_for_both(self, lab):
        assert names_up(lab, "tgw") == {"peer-a-1", "peer-a-2", "peer-b-1", "peer-b-2"}
        route = lab["tgw"].run("ip", "route", "show", BRANCH, "table", "10001").out
        assert route.count("nexthop") == 2, "peers share the load, the two sessions of one peer do not"

    def test_packets_and_the_model_agree_both_ways(self, lab):
        for source, destination in (("app", "branch"), ("branch", "app")):
            found = lab.explain(source, destination, protocol="icmp")
            assert found.passed and found.agrees, found.oracle
            assert "tgw" in {hop.node for hop in found.hops}

    def test_the_transport_sees_gre_alone(self, lab):
        with lab.capture("tgw") as capture:
            assert answered(lab, "branch", APP)
        on_transport = [packet for packet in capture.packets if packet.sniffed_on.startswith("tgw/a-attach-") and "app" not in packet.sniffed_on]
        assert any(packet[IP].proto == 47 and packet[GRE].proto == 0x0800 and ICMP in packet for packet in on_transport)
        assert {packet[IP].proto for packet in on_transport} == {47}

    def test_flows_are_spread_over_the_peers(self, lab):
        with lab.capture("tgw", filter="proto 47") as capture:
            for port in range(40):
                lab["app"].udp(BRANCH_HOST, 7000 + port, timeout_s=0.001)
        assert {packet[IP].dst for packet in capture.packets if UDP in packet} == {OUTER_A, "10.9.2.10"}

    def test_8476_bytes_fit_and_one_more_does_not(self, lab):
        def fits(length):
            return lab["app"].run("ping", "-c1", "-W1", "-M", "do", "-s", str(length - 28), BRANCH_HOST).ok

        assert fits(8476)
        assert not fits(8477)

    def test_malformed_gre_is_dropped_and_counted_and_the_tunnel_goes_on(self, lab):
        inner = IP(src=BRANCH_HOST, dst=APP) / ICMP() / Raw(b"LEAK")
        wrong = (
            GRE(version=1) / inner, GRE(key_present=1, key=7) / inner, GRE(seqnum_present=1, sequence_number=7) / inner, GRE(routing_present=1) / inner, GRE(chksum_present=1, chksum=0xBEEF) / inner,
            GRE(proto=0x86DD) / Raw(bytes(inner)), Raw(b"\0\0\x08"), GRE(proto=0x0800) / Raw(bytes(inner)[:21]), GRE(proto=0x0800) / Raw(b"\x60" + bytes(inner)[1:]), GRE(proto=0x0800) / Raw(os.urandom(64)), Raw(b""),
        )  # fmt: skip
        with lab.capture("app", filter="icmp") as capture:
            for carried in wrong:
                send_raw(lab, "sdwan-a", IP(src=OUTER_A, dst=TGW_A, proto=47) / carried)
            send_raw(lab, "sdwan-a", IP(src="10.9.1.99", dst=TGW_A, proto=47) / GRE() / inner)  # a right packet from nobody's address
            send_raw(lab, "sdwan-a", IP(src=OUTER_A, dst="172.31.255.2", proto=47) / GRE() / inner)  # to the other peer's
            send_raw(lab, "sdwan-a", IP(src=OUTER_A, dst=TGW_A, proto=47) / GRE() / IP(src=BRANCH_HOST, dst=APP) / ICMP() / Raw(b"RIGHT"))
            assert soon(lambda: any(b"RIGHT" in bytes(packet) for packet in capture.packets))
        assert not any(b"LEAK" in bytes(packet) for packet in capture.packets)
        log = lab.log_directory / "peer-a.gre.jsonl"
        reasons = ("version not 0", "has a key", "has a sequence number", "reserved bits", "wrong checksum", "other than IPv4", "shorter than a GRE header", "no IPv4 packet inside")
        assert soon(lambda: all(reason in log.read_text() for reason in reasons)), log.read_text()[-600:]
        assert answered(lab, "branch", APP)

    def test_a_killed_tunnel_end_comes_back_and_its_sessions_with_it(self, lab):
        before = next(service for service in lab.ps() if service.name == "peer-b.gre")
        os.kill(before.pid, signal.SIGKILL)
        assert soon(lambda: next(each for each in lab.ps() if each.name == "peer-b.gre").pid not in (before.pid, None))
        converge(lab)
        assert soon(lambda: hops_to_branch(lab) == {"c-peer-a", "c-peer-b"})
        assert answered(lab, "app", BRANCH_HOST)

    def test_a_dead_appliance_takes_its_peer_with_it_and_the_other_carries_all(self, lab):
        lab.fail("sdwan-b", "cut")
        try:
            assert soon(lambda: hops_to_branch(lab) == {"c-peer-a"}), "the hold timer has passed"
            assert all(answered(lab, "app", BRANCH_HOST) for _ in range(3))
        finally:
            lab.heal()
            assert soon(lambda: speaks(lab, "sdwan-b"))
            converge(lab)

    def test_an_appliance_with_another_asn_has_no_sessions_and_the_model_knows(self, lab):
        before = lab.topology
        lab.change(with_resources(before, *(resource(before, f"sdwan-{zone}", user_data=SdWanAppliance(prefixes=(BRANCH,), bgp_asn=65099)) for zone in "ab")))
        try:
            assert soon(lambda: hops_to_branch(lab) == set() and not names_up(lab, "tgw"))
            assert soon(lambda: any("Bad peer AS" in session.cause for session in sessions(lab, "sdwan-a"))), sessions(lab, "sdwan-a")
            assert not answered(lab, "app", BRANCH_HOST)
            assert lab.oracle.walk(Probe(source="app", destination=lab["branch"].address, protocol=Protocol.ICMP)).origin == f"tgw-rtb: no route to {BRANCH_HOST}"
        finally:
            lab.change(before)

    def test_too_many_prefixes_take_a_peers_sessions_down_and_the_other_peer_serves(self, lab):
        before = lab.topology
        many = SdWanAppliance(prefixes=(BRANCH, *(f"10.{100 + number // 256}.{number % 256}.0/24" for number in range(1000))))
        lab.change(with_resources(before, resource(before, "sdwan-b", user_data=many)))
        try:
            assert soon(lambda: names_up(lab, "tgw") == {"peer-a-1", "peer-a-2"} and hops_to_branch(lab) == {"c-peer-a"})
            assert soon(lambda: any("limit" in session.cause for session in sessions(lab, "tgw"))), sessions(lab, "tgw")
            assert answered(lab, "app", BRANCH_HOST)
            assert "peer-a to 10.50.0.0/24" in str(lab.oracle.walk(Probe(source="app", destination=lab["branch"].address, protocol=Protocol.ICMP)).request)
        finally:
            lab.change(before)

    def test_over_ibgp_nothing_is_installed_that_an_appliance_originates(self, lab):
        before = lab.topology
        lab.change(with_resources(before, *(replace(resource(before, f"peer-{zone}"), bgp_asn=None) for zone in "ab")))
        try:
            assert soon(lambda: names_up(lab, "tgw") == {"peer-a-1", "peer-a-2", "peer-b-1", "peer-b-2"})
            assert soon(lambda: hops_to_branch(lab) == set())
            assert not answered(lab, "app", BRANCH_HOST)
        finally:
            lab.change(before)


@pytest.mark.topology.with_args(over_direct_connect)
def test_a_sites_router_has_its_tunnel_through_the_fibre(lab):
    converge(lab)
    assert soon(lambda: answered(lab, "pc", APP))
    with lab.capture("dxgw-london") as capture:
        assert answered(lab, "app", "192.168.0.10")
    assert any(packet[IP].proto == 47 and ICMP in packet for packet in capture.packets if IP in packet)
    assert not any(packet[IP].proto == 1 for packet in capture.packets if IP in packet)
    for source, destination in (("pc", "app"), ("app", "pc")):
        found = lab.explain(source, destination, protocol="icmp")
        assert found.passed and found.agrees, found.oracle


