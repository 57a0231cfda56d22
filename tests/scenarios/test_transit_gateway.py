"""Transit gateways: what passes, and what people get wrong about them (facts: section 6)."""

from dataclasses import replace

import pytest
from scapy.layers.inet import ICMP, IP, TCP

from testbed.model import Protocol, SecurityGroupRule
from testbed.observe.probe import Answer
from testbed.oracle import Probe
from testbed.oracle.transit_gateway_routes_in_force import transit_gateway_tables_in_force
from tests.scenarios.configured_state import configured_state, differences
from tests.scenarios.hubs import four_by_hub, four_by_peering, inspection, overlapping, two_regions
from tests.scenarios.sending import listening
from tests.scenarios.shop import resource, with_resources

pytestmark = pytest.mark.packets

SILENCE_S = 0.3
HTTP = 80
STATEFUL = (
    "table ip firewall { chain forward { type filter hook forward priority 0; policy drop; "
    "ct state established,related accept; tcp flags & (syn | ack) == syn accept; icmp type echo-request accept\n }\n }"
)


@pytest.fixture
def change(lab):
    """`lab.change` of single resources; whatever a test has changed is changed back at its end."""
    before = lab.topology
    yield lambda *changed: lab.change(with_resources(lab.topology, *changed))
    if lab.topology is not before:
        lab.change(before)


def walk(lab, source, destination):
    address = lab[destination].address
    return lab.oracle.walk(Probe(source=source, destination=address, protocol=Protocol.ICMP))


def meets(lab, source, destination):
    """Whether a ping is answered, in the lab and in the model alike."""
    answered = lab[source].ping(destination, timeout_s=SILENCE_S).answer is Answer.ANSWERED
    assert (walk(lab, source, destination).outcome.value == "delivered") is answered, walk(lab, source, destination).origin
    return answered


@pytest.mark.topology("tgw_hub")
class TestHubAndSpoke:
    """topologies/tgw_hub.py."""

    def test_spokes_share_services_and_not_each_other(self, lab):
        assert meets(lab, "web-a", "tools")
        assert meets(lab, "web-b", "files")
        assert not meets(lab, "web-a", "web-b")
        assert walk(lab, "web-a", "web-b").origin == "tgw-rtb-spokes 10.0.0.0/8 -> blackhole"

    def test_all_leave_by_one_nat_gateway(self, lab):
        with lab.capture("igw", filter="icmp") as capture:
            assert meets(lab, "web-a", "server")
            assert meets(lab, "db-b", "server")
        assert len({packet[IP].src for packet in capture.packets if packet.sniffed_on.startswith("igw/") and packet[ICMP].type == 8}) <= 2, "nat's private and public address"

    def test_without_the_blackhole_the_way_out_is_a_way_around(self, lab, change):
        table = resource(lab.topology, "tgw-rtb-spokes")
        change(replace(table, routes=table.routes[:1]))
        assert meets(lab, "web-a", "web-b"), "by attach-egress and its NAT gateway"

    def test_traffic_stays_in_the_zone_of_its_sender(self, lab):
        with lab.capture("tgw-hub", filter="icmp") as capture:
            assert meets(lab, "web-a1", "tools")
        ends = {(packet.sniffed_on, packet[ICMP].type) for packet in capture.packets}
        assert len(ends) == 4, "in zone b in and out, the reply in zone a"
        assert len({end for end, _ in ends}) == 4

    def test_trap_11_a_transit_gateway_reaches_every_zone(self, lab):
        """Belief: a VPC that is attached reaches the transit gateway from all its zones. Truth: only from those in which the attachment has a subnet (row 11)."""
        with lab.capture("tgw-hub", filter="icmp") as capture:
            assert not meets(lab, "web-a2", "tools")
        assert capture.packets == []
        assert walk(lab, "web-a2", "tools").origin == "tgw-hub: attach-a has no subnet in eu-central-1c"

    def test_it_is_no_hop(self, lab):
        with lab.capture("tools", filter="icmp") as capture:
            assert meets(lab, "web-a", "tools")
        assert {packet[IP].ttl for packet in capture.packets} == {64}

    def test_a_rule_may_name_a_group_beyond_it(self, lab):
        assert lab["web-a"].tcp("tools", HTTP).answer is Answer.REFUSED, "web-a holds sg-a: the reset came back"
        assert lab["web-b"].tcp("tools", HTTP, timeout_s=SILENCE_S).answer is Answer.SILENT

    def test_but_only_if_both_attachments_support_that(self, lab, change):
        change(resource(lab.topology, "attach-a", security_group_referencing_support=False))
        assert lab["web-a"].tcp("tools", HTTP, timeout_s=SILENCE_S).answer is Answer.SILENT

    def test_trap_12_a_group_is_known_across_a_transit_gateway_as_across_a_peering(self, lab, change):
        """Belief: a rule may name a group beyond a transit gateway, as beyond a peering. Truth: an inbound rule may, an outbound rule never matches (row 12)."""
        by_group = SecurityGroupRule(ip_protocol="-1", security_group_id="sg-shared")
        change(resource(lab.topology, "sg-a", security_group_egress=(by_group,)))
        assert lab["web-a"].tcp("tools", HTTP, timeout_s=SILENCE_S).answer is Answer.SILENT
        change(resource(lab.topology, "sg-a", security_group_egress=(replace(by_group, security_group_id=None, cidr_ip="10.0.0.0/16"),)))
        assert lab["web-a"].tcp("tools", HTTP).answer is Answer.REFUSED

    def test_8500_bytes_are_the_most_and_the_sender_is_told(self, lab, change):
        change(resource(lab.topology, "sg-a", security_group_ingress=(SecurityGroupRule(ip_protocol="icmp", cidr_ip="0.0.0.0/0"),)))
        assert lab["web-a"].run("ping", "-c1", "-W1", "-M", "do", "-s", str(8500 - 28), str(lab["tools"].address)).ok
        done = lab["web-a"].run("ping", "-c1", "-W1", "-M", "do", "-s", "8600", str(lab["tools"].address))
        assert "mtu = 8500" in f"{done.out}{done.err}", done
        lab["web-a"].run("ip", "route", "flush", "cache")

    def test_tcp_learns_the_size_from_its_handshake(self, lab):
        with listening(lab, "tools", HTTP), lab.capture("tools", filter="tcp") as capture:
            assert lab["web-a"].run("curl", "-s", "-m", "0.3", f"http://{lab['tools'].address}/") is not None
        sizes = {dict(packet[TCP].options).get("MSS") for packet in capture.packets if packet[TCP].flags == "S"}
        assert sizes == {8460}

    def test_a_live_change_is_seen_at_once_and_leaves_nothing(self, lab):
        before, topology = configured_state(lab), lab.topology
        table = resource(topology, "tgw-rtb-spokes")
        lab.change(with_resources(topology, replace(table, propagations=("attach-shared", "attach-a", "attach-b"))))
        try:
            assert meets(lab, "web-a", "web-b")
        finally:
            lab.change(topology)
        assert not meets(lab, "web-a", "web-b")
        assert differences(before, configured_state(lab)) == []


@pytest.mark.topology.with_args(four_by_hub)
def test_exam_many_vpcs_are_connected_centrally_by_a_transit_gateway(lab):
    """Belief: who connects many VPCs needs a peering for each pair. Truth: one attachment each to a transit gateway, which is transitive."""
    assert all(meets(lab, source, destination) for source in "wxyz" for destination in "wxyz" if source != destination)


@pytest.mark.topology.with_args(four_by_peering)
def test_exam_a_transit_gateway_is_transitive_and_peering_is_not(lab):
    """Belief: peerings joined end to end are a network. Truth: the same four VPCs, each peered with the next and with routes to all: neighbours meet, nobody else."""
    met = {source + destination for source in "wxyz" for destination in "wxyz" if source != destination and meets(lab, source, destination)}
    assert met == {"wx", "xw", "xy", "yx", "yz", "zy"}


@pytest.mark.topology.with_args(inspection)
class TestInspection:
    """A client in zone a, a server in zone b, a stateful firewall in each zone."""

    @pytest.fixture(autouse=True)
    def firewalls(self, lab):
        for firewall in ("fw-a", "fw-b"):
            assert lab[firewall].run("nft", STATEFUL).ok
        yield
        for firewall in ("fw-a", "fw-b"):
            assert lab[firewall].run("nft", "delete table ip firewall").ok

    def passed(self, lab):
        with lab.capture("fw-a", "fw-b", filter=f"tcp port {HTTP}") as capture:
            answer = lab["client"].tcp("server", HTTP, timeout_s=SILENCE_S).answer
        forth = {packet.sniffed_on.split("/")[0] for packet in capture.packets if packet[IP].dst == str(lab["server"].address)}
        back = {packet.sniffed_on.split("/")[0] for packet in capture.packets if packet[IP].src == str(lab["server"].address)}
        return answer, forth, back

    def test_trap_10_a_transit_gateway_keeps_both_directions_on_one_firewall(self, lab):
        """Belief: a stateful firewall in each zone sees whole flows. Truth: each direction stays in the zone that it comes from (row 10), unless appliance mode is on: see below."""
        answer, forth, back = self.passed(lab)
        assert (forth, back) == ({"fw-a"}, {"fw-b"})
        assert answer is Answer.SILENT, "fw-b has not seen the handshake begin"

    def test_with_appliance_mode_both_meet_one(self, lab, change):
        change(resource(lab.topology, "attach-inspect", appliance_mode_support=True))
        for _ in range(4):
            answer, forth, back = self.passed(lab)
            assert forth == back and len(forth) == 1
            assert answer is Answer.REFUSED, "nobody listens: the reset came back"

    def test_trap_12_a_group_is_known_behind_an_inspection_vpc(self, lab, change):
        """Belief: what supports references to groups does so whatever lies between. Truth: behind an inspection VPC the reference matches nothing, a CIDR block does (row 12)."""
        mode = resource(lab.topology, "attach-inspect", appliance_mode_support=True)
        change(mode, resource(lab.topology, "sg-server", security_group_ingress=(SecurityGroupRule(ip_protocol="-1", security_group_id="sg-client"),)))
        assert not meets(lab, "client", "server")
        change(resource(lab.topology, "sg-server", security_group_ingress=(SecurityGroupRule(ip_protocol="-1", cidr_ip="10.1.0.0/16"),)))
        assert meets(lab, "client", "server")


@pytest.mark.topology.with_args(two_regions)
def test_two_regions_meet_by_static_routes_as_far_apart_as_they_are(lab):
    assert meets(lab, "near", "far")
    assert lab["near"].ping("far").rtt_ms > 8
    with lab.capture("far", filter="icmp") as capture:
        lab["near"].ping("far")
    assert {packet[IP].ttl for packet in capture.packets} == {64}


@pytest.mark.topology.with_args(overlapping)
def test_trap_14_overlapping_ranges_cannot_be_attached(lab):
    """Belief: a transit gateway refuses a second VPC with the same range. Truth: it attaches it and does not propagate it (row 14); in a table of its own it is reached, and the two never meet."""
    (table,) = transit_gateway_tables_in_force("tgw-rtb-default-tgw-hub", lab.topology)
    assert table.not_propagated == (("attach-twin", "attach-first"),)
    assert [route.attachment for route in table.routes if str(route.destination) == "10.2.0.0/16"] == ["attach-first"]
    with lab.capture("first", "twin", filter="icmp") as capture:
        assert meets(lab, "asker", "first")
        assert meets(lab, "other", "twin")
    askers = {(packet.sniffed_on, packet[IP].src) for packet in capture.packets if packet[ICMP].type == 8}
    assert askers == {("first/eth0", str(lab["asker"].address)), ("twin/eth0", str(lab["other"].address))}
