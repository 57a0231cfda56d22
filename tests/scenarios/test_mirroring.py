"""Traffic mirroring: copies in VXLAN at the target, of what was really received and sent."""

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.vxlan import VXLAN

from testbed.model import (
    Direction,
    Instance,
    PortRange,
    Protocol,
    SecurityGroup,
    SecurityGroupRule,
    TrafficMirrorFilter,
    TrafficMirrorFilterRule,
    TrafficMirrorSession,
    TrafficMirrorTarget,
    Verdict,
)
from testbed.observe.probe import Answer
from tests.scenarios.small_vpc import VPC, small_vpc

VNI = 4711
SILENCE_S = 0.2
SOON_S = 2.0


def mirrored_vpc():
    def rule(number, direction, action=Verdict.ALLOW, **more):
        return TrafficMirrorFilterRule(rule_number=number, traffic_direction=direction, rule_action=action, **more)

    admits_copies = SecurityGroupRule(ip_protocol="udp", from_port=4789, to_port=4789, cidr_ip="10.9.0.0/16")
    return small_vpc(
        SecurityGroup(id="sg-monitor", vpc_id=VPC, security_group_ingress=(admits_copies,)),
        SecurityGroup(id="sg-closed", vpc_id=VPC),
        Instance(id="monitor-1", subnet_id="subnet-public", security_group_ids=("sg-monitor",)),
        Instance(id="closed-1", subnet_id="subnet-public", security_group_ids=("sg-closed",)),
        TrafficMirrorTarget(id="tmt-monitor", network_interface_id="eni-monitor-1"),
        TrafficMirrorTarget(id="tmt-closed", network_interface_id="eni-closed-1"),
        TrafficMirrorFilter(id="tmf-all", rules=(
            rule(10, Direction.OUTBOUND, Verdict.DENY, protocol=Protocol.TCP, destination_port_range=PortRange(first=8443, last=8443)),
            rule(100, Direction.OUTBOUND), rule(100, Direction.INBOUND),
        )),
        TrafficMirrorFilter(id="tmf-pings", rules=(rule(100, Direction.INBOUND, protocol=Protocol.ICMP),)),
        TrafficMirrorSession(id="tms-web", network_interface_id="eni-web-1", traffic_mirror_target_id="tmt-monitor", traffic_mirror_filter_id="tmf-all", virtual_network_id=VNI),
        TrafficMirrorSession(id="tms-bare", network_interface_id="eni-bare-1", traffic_mirror_target_id="tmt-monitor", traffic_mirror_filter_id="tmf-pings", packet_length=34),
        TrafficMirrorSession(id="tms-out", network_interface_id="eni-out-1", traffic_mirror_target_id="tmt-closed", traffic_mirror_filter_id="tmf-all"),
        name="mirrored",
    )


pytestmark = [pytest.mark.packets, pytest.mark.topology.with_args(mirrored_vpc)]


def copies(capture, count=1):
    capture.wait_for(count, SOON_S)
    return [VXLAN(bytes(packet[UDP].payload)) for packet in capture.packets if packet.haslayer(UDP)]


def test_what_an_interface_sends_and_receives_arrives_at_the_target_in_vxlan(lab):
    with lab.capture("monitor-1", filter="udp port 4789") as capture:
        assert lab["web-1"].tcp("out-1", 8080, timeout_s=SILENCE_S).answer is Answer.REFUSED
        found = copies(capture, 2)
    outer = capture.packets[0]
    assert (outer[IP].src, outer[IP].dst, outer[UDP].dport) == (str(lab["web-1"].address), str(lab["monitor-1"].address), 4789)
    assert {copy.vni for copy in found} == {VNI}
    assert [str(copy[TCP].flags) for copy in found] == ["S", "RA"]
    assert [(copy[IP].src, copy[IP].dst) for copy in found] == [(str(lab[a].address), str(lab[b].address)) for a, b in (("web-1", "out-1"), ("out-1", "web-1"))]


def test_packets_of_one_flow_have_one_outer_source_port(lab):
    with lab.capture("monitor-1", filter="udp port 4789") as capture, lab["web-1"].socket() as sock:
        sock.setblocking(False)
        sock.connect_ex((str(lab["app-1"].address), 8082))
        assert len(copies(capture, 2)) == 2, "the SYN, and its repetition after a second"
    assert len({packet[UDP].sport for packet in capture.packets}) == 1


def test_a_filters_lower_rule_may_leave_packets_out(lab):
    with lab.capture("monitor-1", filter="udp port 4789") as capture:
        lab["web-1"].tcp("out-1", 8443, timeout_s=SILENCE_S)
        found = copies(capture)
    assert [str(copy[TCP].flags) for copy in found] == ["RA"], "the answer is inbound: rule 10 is for outbound packets"


def test_a_session_may_copy_only_the_beginning_of_what_its_filter_takes(lab):
    with lab.capture("monitor-1", filter="udp port 4789") as capture:
        lab["out-1"].tcp("bare-1", 8083, timeout_s=SILENCE_S)
        assert lab["out-1"].ping("bare-1", timeout_s=SILENCE_S).answer is Answer.ANSWERED
        found = copies(capture)
    assert len(found) == 1
    assert len(bytes(found[0].payload)) == 34
    assert not found[0].haslayer(TCP) and found[0][IP].proto == 1 and not found[0].haslayer(ICMP)


def test_a_target_that_does_not_admit_udp_4789_gets_no_copies(lab):
    with lab.capture("closed-1", "out-1", filter="udp port 4789 or tcp port 8084") as capture:
        assert lab["out-1"].tcp("bare-1", 8084, timeout_s=SILENCE_S).answer is Answer.REFUSED
    assert not [packet for packet in capture.packets if packet.sniffed_on.startswith("closed-1/")]


def test_arp_and_time_are_not_mirrored(lab):
    with lab.capture("monitor-1", filter="udp port 4789") as capture:
        lab["web-1"].udp("169.254.169.123", 123, timeout_s=SILENCE_S)
        lab["web-1"].tcp("10.9.1.250", 80, timeout_s=SILENCE_S)
        lab["web-1"].tcp("out-1", 8085, timeout_s=SILENCE_S)
        found = copies(capture, 2)
    assert [copy[TCP].dport for copy in found if copy.haslayer(TCP)] and all(copy.haslayer(TCP) for copy in found)
