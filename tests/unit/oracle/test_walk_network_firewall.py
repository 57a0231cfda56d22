"""The oracle's walk through network firewalls and Linux firewalls: which hops it has, what decides, and what is only asked."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from testbed.model import IpForwarding, Protocol
from testbed.oracle import Oracle, Probe, Stage
from testbed.resolve import resolve
from topologies.inspection_vpc import asymmetric, inspection_vpc, network_firewall

SERVER, CLIENT = IPv4Address("10.2.1.10"), IPv4Address("10.1.1.10")


def walk(topology, port, source="client", destination=SERVER, protocol=Protocol.TCP, **fields):
    return Oracle(resolve(topology)).walk(Probe(source=source, destination=destination, protocol=protocol, source_port=40000, destination_port=port, **fields))


def changed(topology, resource_id, **fields):
    return replace(topology, resources=tuple(replace(each, **fields) if each.id == resource_id else each for each in topology.resources))


def hops(path):
    return [hop.origin for hop in path.hops if hop.stage is Stage.NETWORK_FIREWALL]


def test_both_engines_are_asked_in_their_order():
    found = walk(network_firewall(), 80)
    assert hops(found.request) == ["policy stateless default aws:forward_to_sfe", "policy asks the firewall: rg-signatures, rg-domains"]
    assert found.outcome.value == "delivered"


@pytest.mark.parametrize(("port", "origin"), [(23, "rg-telnet#10"), (25, "rg-signatures#2")])
def test_what_decides_is_named_by_group_and_number(port, origin):
    assert walk(network_firewall(), port).origin == origin


def test_an_answer_meets_an_endpoint_that_has_not_seen_the_question():
    found = walk(network_firewall(appliance_mode=False), 80)
    assert (found.leg.value, found.origin) == ("reply", "policy stream exception policy: nfw-b has not seen the flow begin")
    ping = walk(network_firewall(appliance_mode=False), None, protocol=Protocol.ICMP)
    assert ping.outcome.value == "delivered", "a ping's answer needs no stream"


def test_the_advice_is_to_bring_both_ways_together():
    oracle = Oracle(resolve(network_firewall(appliance_mode=False)))
    found = oracle.walk(Probe(source="client", destination=SERVER, protocol=Protocol.TCP, source_port=40000, destination_port=80))
    assert "appliance_mode_support" in oracle.advise(found).remedy


def test_a_loop_of_its_own_subnet_ends():
    topology = network_firewall()
    table = next(each for each in topology.resources if each.id == "rtb-inspection-tgw-a")
    looping = changed(topology, "rtb-inspection-fw-a", routes=table.routes)
    assert "routes back to it" in walk(looping, 80).origin


def test_more_than_8500_bytes_vanish():
    assert walk(network_firewall(), 80, length_bytes=8600, dont_fragment=True).origin == "tgw-hub: larger than 8500 bytes, and not to be cut"


def test_linux_firewalls_know_only_what_they_have_seen():
    assert walk(inspection_vpc(), 80).outcome.value == "delivered"
    found = walk(asymmetric(), 80)
    assert (found.leg.value, found.deciding.hops[-1].where) == ("reply", "fw-b")
    assert walk(inspection_vpc(), 22).origin == "fw-a lets no such flow begin, and knows none that it belongs to"
    forwarding = asymmetric()
    for name in ("fw-a", "fw-b"):
        forwarding = changed(forwarding, name, user_data=IpForwarding())
    assert walk(forwarding, 80).outcome.value == "delivered", "what has no memory does not mind"


def test_reach_says_where_the_firewall_will_be_asked():
    matrix = Oracle(resolve(network_firewall())).reach("tcp", 80)
    assert matrix.names == ("client", "server")
    assert (matrix.fate("client", "server").passes, matrix.fate("client", "server").stage) == (True, "network-firewall")
    assert matrix.fate("server", "client").origin == "policy asks the firewall: rg-signatures, rg-domains" or matrix.fate("server", "client").stage == ""
