"""VPC peering: what passes, and all that does not (facts: sections 2.3, 4.2 and 5; traps 4, 5 and 14 of README.md)."""

from dataclasses import replace

import pytest
from scapy.layers.inet import ICMP, IP

from testbed.model import (
    Instance,
    Internet,
    ModelError,
    Protocol,
    Route,
    RouteTable,
    SecurityGroup,
    SecurityGroupRule,
    Subnet,
    Topology,
    User,
    Vpc,
    VpcPeeringConnection,
)
from testbed.observe.probe import Answer
from testbed.oracle import Probe
from testbed.resolve import resolve
from testbed.resolve.names import private_host_name, public_host_name
from tests.scenarios.configured_state import configured_state, differences
from tests.scenarios.sending import send_raw
from topologies.peering import peering

SILENCE_S = 0.3
HTTP = 80
OPEN = (SecurityGroupRule(ip_protocol="-1", cidr_ip="0.0.0.0/0"),)


def pairs() -> Topology:
    """Two VPCs of one Region and one of another; two peers of vpc-hub own the same range."""
    ireland, london = "eu-west-1", "eu-west-2"

    def vpc(name: str, region: str, block: str, subnet: str, *routes: Route) -> tuple[object, ...]:
        return (
            Vpc(id=f"vpc-{name}", region=region, cidr_block=block, enable_dns_hostnames=True),
            Subnet(id=f"subnet-{name}", vpc_id=f"vpc-{name}", cidr_block=subnet, availability_zone=f"{region}a"),
            RouteTable(id=f"rtb-{name}", vpc_id=f"vpc-{name}", associations=(f"subnet-{name}",), routes=routes),
            SecurityGroup(id=f"sg-{name}", vpc_id=f"vpc-{name}", security_group_ingress=OPEN),
            Instance(id=name, subnet_id=f"subnet-{name}", private_ip_address=subnet.replace(".0/24", ".10"), security_group_ids=(f"sg-{name}",), associate_public_ip_address=True),
        )

    def over(destination: str, connection: str) -> Route:
        return Route(destination_cidr_block=destination, vpc_peering_connection_id=connection)

    return Topology(
        name="pairs",
        resources=(
            Internet(edge_locations=("LHR",)), User(id="client", city="London"),
            *vpc("hub", ireland, "10.0.0.0/16", "10.0.0.0/24", over("10.1.0.0/16", "pcx-hub-near"), over("10.2.0.0/16", "pcx-hub-far")),
            *vpc("near", ireland, "10.1.0.0/16", "10.1.0.0/24", over("10.0.0.0/16", "pcx-hub-near")),
            *vpc("same", ireland, "10.1.0.0/16", "10.1.0.0/24", over("10.0.0.0/16", "pcx-hub-same")),
            *vpc("far", london, "10.2.0.0/16", "10.2.0.0/24", over("10.0.0.0/16", "pcx-hub-far")),
            VpcPeeringConnection(id="pcx-hub-near", vpc_id="vpc-hub", peer_vpc_id="vpc-near", requester_allow_dns_resolution_from_remote_vpc=True),
            VpcPeeringConnection(id="pcx-hub-same", vpc_id="vpc-hub", peer_vpc_id="vpc-same"),
            VpcPeeringConnection(id="pcx-hub-far", vpc_id="vpc-hub", peer_vpc_id="vpc-far"),
        ),
    )  # fmt: skip


def agrees(lab, source, destination, answered):
    """The oracle says the same about a ping."""
    address = lab[destination].address if destination in lab.nodes else destination
    walk = lab.oracle.walk(Probe(source=source, destination=address, protocol=Protocol.ICMP))
    assert (walk.outcome.value == "delivered") is answered, walk.origin
    return walk


@pytest.mark.packets
@pytest.mark.topology("peering")
class TestPeering:
    """topologies/peering.py: A-B and A-C."""

    def test_peers_reach_each_other_without_a_hop_between(self, lab):
        with lab.capture("b", filter="icmp") as capture:
            assert lab["a"].ping("b").answer is Answer.ANSWERED
        assert {packet[IP].ttl for packet in capture.packets if packet[IP].dst == str(lab["b"].address)} == {64}
        agrees(lab, "a", "b", True)

    def test_trap_04_peering_is_transitive(self, lab):
        """Belief: B is peered with A, and A with C, so B reaches C if its route table says so.

        Truth: what comes over a peering reaches interfaces of that VPC and nothing else (row 4).
        """
        with lab.capture("vpc-a", "vpc-c", "c", filter=f"icmp and host {lab['c'].address}") as capture:
            assert lab["b"].ping("c", timeout_s=SILENCE_S).answer is Answer.SILENT
        assert {packet.sniffed_on for packet in capture.packets} == {"vpc-a/p-pcx-ab"}, "it reached A's side, and went nowhere from there"
        walk = agrees(lab, "b", "c", False)
        assert walk.origin.startswith("pcx-ab: leads to interfaces of vpc-a only")

    def test_trap_05_a_peer_may_use_my_internet_and_nat_gateway(self, lab):
        """Belief: with a default route to the peering, B goes out by A's gateways.

        Truth: there is no edge-to-edge routing (row 5).
        """
        with lab.capture("b", "igw-a", "nat-a", filter="icmp") as capture:
            assert lab["b"].ping("client", timeout_s=SILENCE_S).answer is Answer.SILENT
        assert [packet.sniffed_on for packet in capture.packets] == ["b/eth0"], "neither gateway of A sees it"
        agrees(lab, "b", "client", False)

    def test_nor_the_nat_gateway_by_its_address(self, lab):
        assert lab["b"].ping("nat-a", timeout_s=SILENCE_S).answer is Answer.SILENT

    def test_nor_the_peers_resolver(self, lab):
        name = private_host_name("eu-west-1", lab["a"].address)
        assert lab["a"].dig(name, server="10.0.0.2") == (str(lab["a"].address),)
        with lab.capture("vpc-a", filter="udp port 53") as capture:
            assert lab["b"].run("dig", "+tries=1", "+time=1", "@10.0.0.2", name).ok is False
        assert {packet.sniffed_on for packet in capture.packets} == {"vpc-a/p-pcx-ab"}, "asked, and not answered"

    def test_no_return_route_comes_by_itself(self, lab):
        with lab.capture("c-2", filter="icmp") as capture:
            assert lab["c-2"].ping("a", timeout_s=SILENCE_S).answer is Answer.SILENT
        assert [packet[ICMP].type for packet in capture.packets] == [8], "its own request, which met no route"
        agrees(lab, "c-2", "a", False)

    def test_trap_05_a_peer_never_meets_my_nat_gateway(self, lab):
        """Belief, after the one before: then nothing of A's NAT gateway passes the peering.

        Truth: a host of A reaches C by it, and the answer returns to sender without any route in C (row 5, control).
        """
        with lab.capture("c-2", filter="icmp") as capture:
            assert lab["a"].ping("c-2").answer is Answer.ANSWERED
        assert {packet[IP].src for packet in capture.packets if packet[ICMP].type == 8} == {str(lab["nat-a"].address)}
        agrees(lab, "a", "c-2", True)

    def test_a_connection_over_the_nat_gateway_returns_too(self, lab):
        assert lab["a"].tcp("c-2", HTTP).answer is Answer.REFUSED, "nobody listens: the reset came back"

    def test_a_rule_may_name_a_group_of_the_peer(self, lab):
        assert lab["b"].tcp("a", HTTP).answer is Answer.REFUSED, "b holds sg-b"
        assert lab["b-other"].tcp("a", HTTP, timeout_s=SILENCE_S).answer is Answer.SILENT, "b-other does not"

    def test_a_jumbo_frame_passes_within_the_region(self, lab):
        done = lab["a"].run("ping", "-c1", "-W1", "-M", "do", "-s", str(9001 - 28), str(lab["b"].address))
        assert done.ok, done

    def test_a_live_change_may_close_the_peering(self, lab):
        topology = peering()
        closed = tuple(replace(each, accepted=False) if each.id == "pcx-ab" else each for each in topology.resources)
        without_reference = tuple(replace(each, security_group_ingress=each.security_group_ingress[1:]) if each.id == "sg-a" else each for each in closed)
        before = configured_state(lab)
        lab.change(replace(topology, resources=without_reference))
        try:
            assert lab["a"].ping("b", timeout_s=SILENCE_S).answer is Answer.SILENT
            assert "(blackhole)" in agrees(lab, "a", "b", False).origin
        finally:
            lab.change(topology)
        assert lab["a"].ping("b").answer is Answer.ANSWERED
        assert differences(before, configured_state(lab)) == [], "accepted again, nothing tells that it was not"


@pytest.mark.packets
@pytest.mark.topology.with_args(pairs)
class TestPairs:
    """Another Region, and two peers with one range."""

    def test_another_region_is_farther_away(self, lab):
        near_ms, far_ms = (min(lab["hub"].ping(end).rtt_ms for _ in range(8)) for end in ("near", "far"))
        assert near_ms < 4 < far_ms, "464 km to London"

    def test_between_regions_8500_bytes_are_the_most(self, lab):
        assert lab["hub"].run("ping", "-c1", "-W1", "-M", "do", "-s", str(8500 - 28), str(lab["far"].address)).ok
        done = lab["hub"].run("ping", "-c1", "-W1", "-M", "do", "-s", "8600", str(lab["far"].address))
        assert "mtu = 8500" in f"{done.out}{done.err}", done

    def test_public_names_of_the_side_that_allows_it_lead_to_private_addresses(self, lab):
        addresses = {interface.node: (interface.address, interface.public_address) for interface in lab.resolved.interfaces}
        (hub, hub_public), (near, near_public) = addresses["hub"], addresses["near"]
        hub_name, near_name = public_host_name("eu-west-1", hub_public), public_host_name("eu-west-1", near_public)
        assert lab["hub"].dig(hub_name) == (str(hub),), "inside its own VPC"
        assert lab["near"].dig(hub_name) == (str(hub),), "the requester allows it"
        assert lab["hub"].dig(near_name) == (str(near_public),), "the accepter does not"
        assert lab["near"].dig(near_name) == (str(near),)
        assert lab["client"].dig(hub_name) == (str(hub_public),)

    def test_replies_follow_the_route_table_to_the_wrong_peer(self, lab):
        """No reverse-path check: both peers own 10.1.0.0/16, the hub's table names one (misconception 14: it is the peers that may overlap, never two that are peered)."""
        with lab.capture("same", "near", filter="icmp") as capture:
            assert lab["same"].ping("hub", timeout_s=SILENCE_S).answer is Answer.SILENT
        seen = {(packet.sniffed_on, packet[ICMP].type) for packet in capture.packets}
        assert seen == {("same/eth0", 8), ("near/eth0", 0)}, "the reply went to the one of the table"

    def test_a_source_of_nobodys_range_passes_no_source_check_of_its_own_interface(self, lab):
        with lab.capture("hub", filter="icmp") as capture:
            send_raw(lab, "near", IP(src="10.9.9.9", dst=str(lab["hub"].address)) / ICMP())
        assert capture.packets == []


def test_trap_14_overlapping_ranges_can_be_peered() -> None:
    """Belief: two VPCs with the same range can be peered if one is careful with routes.

    Truth: AWS refuses the peering; the way out is PrivateLink (row 14, and the test of the same number in test_private_access).
    """
    topology = pairs()
    spoiled = replace(topology, resources=(*topology.resources, VpcPeeringConnection(id="pcx-overlap", vpc_id="vpc-near", peer_vpc_id="vpc-same")))
    with pytest.raises(ModelError, match="overlapping CIDR range"):
        resolve(spoiled)
