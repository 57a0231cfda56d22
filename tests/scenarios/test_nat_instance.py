"""Instances that forward for others: a NAT instance beside a NAT gateway's promises, and two appliances that a flow passes one after the other.

Trap 13 of tests/scenarios/README.md, "What people get wrong", and three rules of the fabric that are easily broken: whoever forwards is judged by its own groups,
inward and outward; a flow that crosses one VPC twice is judged at each crossing; the two ends of a flow do not vouch for what lies between.
"""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from scapy.layers.inet import ICMP, IP, TCP

from testbed.model import Flow, IpForwarding, Protocol, SecurityGroupRule
from testbed.observe.probe import Answer
from testbed.oracle import Oracle, Outcome, Probe
from tests.scenarios.sending import listening
from tests.scenarios.shop import public_address, resource, with_resources

pytestmark = [pytest.mark.packets, pytest.mark.topology("nat_instance")]

SILENCE_S = 0.3
SSH, HTTP = 22, 80


@pytest.fixture
def change(lab):
    """`lab.change`; whatever a test has changed is changed back at its end."""
    before = lab.topology
    yield lambda *changed: lab.change(with_resources(lab.topology, *changed))
    if lab.topology is not before:
        lab.change(before)


def group(lab, group_id, *ingress, egress=None):
    return resource(lab.topology, group_id, security_group_ingress=ingress, security_group_egress=egress)


def rule(protocol, port, **far_side):
    return SecurityGroupRule(ip_protocol=protocol, from_port=port, to_port=port, **far_side)


def test_a_nat_instance_lets_private_hosts_out_by_its_own_elastic_ip(lab):
    with listening(lab, "server", HTTP) as listener:
        assert lab["app"].tcp("server", HTTP).answer is Answer.ANSWERED
        connection, (address, _) = listener.accept()
        connection.close()
    assert IPv4Address(address) == public_address(lab, "nat-box")
    assert lab["app"].ping("server").answer is Answer.ANSWERED


def test_unlike_a_nat_gateway_it_has_security_groups_that_decide_what_enters_it(lab):
    with lab.capture("nat-box", "app", filter=f"tcp port {SSH}") as capture:
        assert lab["app"].tcp("server", SSH, timeout_s=SILENCE_S).answer is Answer.SILENT
    assert {packet.sniffed_on for packet in capture.packets} == {"app/eth0"}, "sg-nat lets HTTP and ping in: the packet never reaches the guest"


def test_its_security_groups_decide_what_leaves_it_too(lab, change):
    change(group(lab, "sg-nat", rule("tcp", HTTP, cidr_ip="10.0.1.0/24"), egress=(rule("icmp", -1, cidr_ip="0.0.0.0/0"),)))
    with lab.capture("nat-box", "igw-demo", filter=f"tcp port {HTTP}") as capture:
        assert lab["app"].tcp("server", HTTP, timeout_s=SILENCE_S).answer is Answer.SILENT
    assert {packet.sniffed_on for packet in capture.packets} == {"nat-box/eth0"}, "the guest translates and sends it; its own egress rules end it"


def test_unlike_a_nat_gateway_it_may_be_reached_from_inside(lab):
    assert lab["app"].ping("nat-box").answer is Answer.ANSWERED


def test_with_the_source_destination_check_on_it_forwards_nothing(lab, change):
    change(resource(lab.topology, "nat-box", source_dest_check=True))
    with lab.capture("nat-box", filter="icmp") as capture:
        assert lab["app"].ping("server", timeout_s=SILENCE_S).answer is Answer.SILENT
    assert capture.packets == []


def test_without_forwarding_in_its_guest_it_only_receives(lab, change):
    change(resource(lab.topology, "nat-box", user_data=IpForwarding()))
    with lab.capture("igw-demo", filter="icmp") as capture:
        assert lab["app"].ping("server", timeout_s=SILENCE_S).answer is Answer.SILENT
    assert {packet[IP].src for packet in capture.packets} == {str(lab["app"].address)}, "forwarded, not masqueraded: the internet gateway knows no public address for it"


def test_a_flow_that_crosses_one_vpc_twice_through_two_different_appliances_must_be_judged_by_both(lab, change):
    assert lab["tester"].ping("target").answer is Answer.ANSWERED
    with listening(lab, "target", HTTP), lab.capture("first", "second", filter=f"tcp port {HTTP}") as capture:
        assert lab["tester"].tcp("target", HTTP).answer is Answer.ANSWERED
    ways = [(packet.sniffed_on, str(packet[TCP].flags)) for packet in capture.packets]
    assert ways.count(("first/eth0", "S")) == ways.count(("second/eth0", "S")) == 2, "each sees the SYN come and go"
    assert ways.count(("first/eth0", "SA")) == ways.count(("second/eth0", "SA")) == 2
    with listening(lab, "target", SSH), lab.capture("first", "second", filter=f"tcp port {SSH}") as capture:
        assert lab["tester"].tcp("target", SSH, timeout_s=SILENCE_S).answer is Answer.SILENT
    assert {packet.sniffed_on for packet in capture.packets} == {"first/eth0"}, "sg-first admits SSH, sg-second does not, though the ends and sg-first do"
    change(group(lab, "sg-first", rule("icmp", -1, cidr_ip="10.0.2.0/24")), group(lab, "sg-second", rule("tcp", HTTP, cidr_ip="10.0.2.0/24")))
    with listening(lab, "target", HTTP), lab.capture("first", "second", filter=f"tcp port {HTTP}") as capture:
        assert lab["tester"].tcp("target", HTTP, timeout_s=SILENCE_S).answer is Answer.SILENT
    assert capture.packets == []


@pytest.mark.parametrize("which", ["sg-first", "sg-second"])
def test_egress_of_an_appliance_is_judged_though_the_same_flow_was_admitted_inward(lab, change, which):
    change(replace(resource(lab.topology, which), security_group_egress=(rule("udp", 53, cidr_ip="0.0.0.0/0"),)))
    node = which.removeprefix("sg-")
    with lab.capture(node, "target", filter="icmp") as capture:
        assert lab["tester"].ping("target", timeout_s=SILENCE_S).answer is Answer.SILENT
    assert [packet.sniffed_on for packet in capture.packets] == [f"{node}/eth0"] * 2, "in and out of the guest, and no further"


def test_a_connection_through_both_outlives_their_rules(lab, change):
    with listening(lab, "target", HTTP) as listener, lab["tester"].socket() as near:
        near.settimeout(1)
        near.connect((str(lab["target"].address), HTTP))
        far, _ = listener.accept()
        with far:
            change(group(lab, "sg-first"), group(lab, "sg-second"), group(lab, "sg-target"))
            near.sendall(b"still here")
            assert far.recv(100) == b"still here"
            assert lab["tester"].tcp("target", HTTP, timeout_s=SILENCE_S).answer is Answer.SILENT


def test_a_refusal_comes_back_through_both_to_a_client_whose_groups_let_nothing_in(lab, change):
    """A reset ends a flow: the appliances' ports and the fabric see it again when they know nothing of the flow any more."""
    change(group(lab, "sg-tester"), *(resource(lab.topology, which, security_group_egress=(rule("tcp", HTTP, cidr_ip="0.0.0.0/0"),)) for which in ("sg-first", "sg-second")))
    assert lab["tester"].tcp("target", HTTP).answer is Answer.REFUSED


@pytest.mark.parametrize(("flow", "which", "named"), [(Flow.INGRESS, "sg-target", "sg-tester"), (Flow.EGRESS, "sg-tester", "sg-target")])
def test_trap_13_a_reference_to_a_group_survives_a_firewall_on_the_way(lab, change, flow, which, named):
    """Belief: a rule that names a group matches its members' packets wherever they have passed.

    Truth: not behind a middlebox; a rule with the members' CIDR block does (row 13).
    """
    by_group, by_block = SecurityGroupRule(ip_protocol="-1", security_group_id=named), SecurityGroupRule(ip_protocol="-1", cidr_ip="10.0.2.0/23")
    field = f"security_group_{flow.value}"
    change(resource(lab.topology, which, **{field: (by_group,)}))
    with lab.capture("tester", "second", "target", filter="icmp") as capture:
        assert lab["tester"].ping("target", timeout_s=SILENCE_S).answer is Answer.SILENT
    passed = {packet.sniffed_on for packet in capture.packets}
    assert passed == ({"tester/eth0", "second/eth0"} if flow is Flow.INGRESS else {"tester/eth0"}), "dropped where the rule is asked"
    change(resource(lab.topology, which, **{field: (by_block,)}))
    with lab.capture("target", filter="icmp") as capture:
        assert lab["tester"].ping("target").answer is Answer.ANSWERED
    assert {packet[IP].src for packet in capture.packets if packet[ICMP].type == 8} == {str(lab["tester"].address)}, "the source is the member's own address, and yet the group did not match"


def test_the_oracle_says_the_same_of_every_pair(lab):
    hosts = ("app", "other", "tester", "target", "first", "second", "nat-box", "server")
    oracle = Oracle(lab.resolved)
    wrong = []
    for source in hosts:
        for destination in hosts:
            if source == destination or source == "server":
                continue
            says = oracle.walk(Probe(source=source, destination=lab[destination].address, protocol=Protocol.ICMP))
            heard = lab[source].ping(destination, timeout_s=SILENCE_S).answer is Answer.ANSWERED
            if heard != (says.outcome is Outcome.DELIVERED):
                wrong.append((source, destination, heard, says.origin, says.leg))
    assert wrong == []
