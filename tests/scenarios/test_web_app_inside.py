"""The VPC's router as its guests see it: no hop, jumbo frames inside and 1500 bytes towards the internet, names for whoever asks.

sg-web lets ICMP in here, without which an instance hears neither echo replies nor a router's complaints; and two more instances stand in private-a.
"""

import re

import pytest

from testbed.model import Instance, SecurityGroup, SecurityGroupRule, Topology
from testbed.observe.probe import Answer
from tests.scenarios.shop import POSTGRESQL, resource, ttls, with_resources
from topologies.web_app import web_app

SILENCE_S = 0.3
INTERNET_MTU_BYTES, VPC_MTU_BYTES = 1500, 9001
IP_AND_ICMP_BYTES = 28
FIRST_TTL = 64


def shop_with_visitors() -> Topology:
    """The web application, with an instance whose group has no rule at all, one that holds the default group only, and with ICMP for the web's own instances."""
    topology = web_app()
    (from_balancer,) = resource(topology, "sg-web").security_group_ingress
    return with_resources(
        topology,
        resource(topology, "sg-web", security_group_ingress=(from_balancer, SecurityGroupRule(ip_protocol="icmp", from_port=-1, to_port=-1, cidr_ip="0.0.0.0/0"))),
        SecurityGroup(id="sg-sealed", vpc_id="vpc-shop", security_group_egress=()),
        Instance(id="sealed", subnet_id="private-a", security_group_ids=("sg-sealed",)),
        Instance(id="stranger", subnet_id="private-a"),
    )


pytestmark = [pytest.mark.packets, pytest.mark.topology.with_args(shop_with_visitors)]


def ping(lab, source, destination, packet_bytes):
    """One echo request of a size, not to be fragmented; what ping says."""
    done = lab[source].run("ping", "-c1", "-W1", "-M", "do", "-s", str(packet_bytes - IP_AND_ICMP_BYTES), str(lab[destination].address))
    return done.out + done.err


def test_traceroute_shows_the_nat_gateway_and_neither_the_vpcs_router_nor_the_internet_gateway(lab):
    out = lab["web-a"].run("traceroute", "-n", "-I", "-q1", "-w1", "-m8", str(lab["client"].address)).out
    hops = re.findall(r"^ *\d+ +([\d.*]+)", out, flags=re.MULTILINE)
    dublin = next(city for city in lab.resolved.cities if city.city.name == "Dublin")
    assert hops[:2] == [str(lab["nat-a"].address), str(dublin.router)]
    assert hops[-1] == str(lab["client"].address)
    assert len(hops) == 4, "Dublin and London are the internet's own"


def test_the_fabric_does_not_count_as_a_hop(lab):
    with lab.capture("web-a", "shop-db", filter=f"tcp port {POSTGRESQL}") as capture:
        assert lab["web-a"].tcp("shop-db", POSTGRESQL).answer is Answer.ANSWERED
    source = lab["web-a"].address
    assert ttls(capture.packets, "web-a/eth0", source) == ttls(capture.packets, "shop-db/eth0", source) == {FIRST_TTL}


def test_neither_does_the_internet_gateway(lab):
    with lab.capture("alb-shop-a", "alb-shop-b", filter=f"tcp port 443 and host {lab['client'].address}") as capture:
        lab["client"].curl("https://origin.shop.example.com/status")
    assert {packet["IP"].ttl for packet in capture.packets if packet["IP"].src == str(lab["client"].address)} == {FIRST_TTL - 2}, "London and Dublin"


def test_a_jumbo_frame_passes_inside_the_vpc_and_one_byte_more_does_not(lab):
    with lab.capture("web-b", filter="icmp") as capture:
        assert "1 received" in ping(lab, "web-a", "web-b", VPC_MTU_BYTES)
    assert [packet["IP"].len for packet in capture.packets] == [VPC_MTU_BYTES, VPC_MTU_BYTES]
    assert f"message too long, mtu={VPC_MTU_BYTES}" in ping(lab, "web-a", "web-b", VPC_MTU_BYTES + 1)


def test_towards_the_internet_the_router_says_that_1500_bytes_are_the_most(lab):
    assert "1 received" in ping(lab, "web-a", "client", INTERNET_MTU_BYTES)
    with lab.capture("nat-a", filter="icmp[icmptype] == icmp-unreach") as capture:
        assert f"Frag needed and DF set (mtu = {INTERNET_MTU_BYTES})" in ping(lab, "web-a", "client", 4000)
    assert {packet["IP"].src for packet in capture.packets} == {"10.0.0.1"}, "the .1 of the NAT gateway's subnet"


def test_without_a_rule_for_icmp_that_word_is_lost(lab):
    with lab.capture("stranger", filter="icmp") as capture:
        assert "Frag needed" not in ping(lab, "stranger", "client", 4000)
    assert [packet["ICMP"].type for packet in capture.packets] == [8], "only its own echo request"


def test_a_resolver_answers_an_instance_whose_groups_have_no_rule_at_all(lab):
    sealed = lab["sealed"]
    assert sealed.tcp("web-a", 80, timeout_s=SILENCE_S).answer is Answer.SILENT
    assert sealed.tcp("client", 443, timeout_s=SILENCE_S).answer is Answer.SILENT
    for resolver in ("10.0.0.2", "169.254.169.253"):
        assert sealed.dig("shop.example.com", server=resolver) == (str(lab["edge-lhr"].address),)
    (database,) = lab.resolved.databases
    assert sealed.dig(database.endpoint) == (str(lab["shop-db"].address),), "inside the VPC the name is the private address"


def test_whoever_does_not_hold_the_named_group_stays_outside_even_in_the_same_subnet(lab):
    assert lab["web-a"].tcp("shop-db", POSTGRESQL).answer is Answer.ANSWERED
    with lab.capture("shop-db", filter=f"host {lab['stranger'].address}") as capture:
        assert lab["stranger"].tcp("shop-db", POSTGRESQL, timeout_s=SILENCE_S).answer is Answer.SILENT
    assert capture.packets == []


def test_neighbours_in_one_subnet_meet_their_groups_too(lab):
    assert lab["stranger"].ping("web-a").answer is Answer.ANSWERED, "sg-web lets ICMP in"
    assert lab["web-a"].ping("stranger", timeout_s=SILENCE_S).answer is Answer.SILENT, "the default group lets in its own members only"
