"""The oracle on Network Load Balancers: whose address a target sees, which targets a node has, whom groups let in, and how replies return."""

from dataclasses import replace

import pytest

from testbed.model import Protocol
from testbed.oracle import Oracle, Outcome, Probe, Stage
from testbed.resolve import resolve
from tests.scenarios.balanced import HTTP, balanced
from topologies.load_balancers import load_balancers

TOPOLOGY = balanced()
RESOLVED = resolve(TOPOLOGY)
ADDRESS = {interface.node: interface.address for interface in RESOLVED.interfaces}
PUBLIC = {interface.node: interface.public_address for interface in RESOLVED.interfaces}


def walk(source, node, port=HTTP, protocol=Protocol.TCP, topology=TOPOLOGY):
    return Oracle(resolve(topology)).walk(Probe(source=source, destination=ADDRESS[node], protocol=protocol, destination_port=port))


def changed(name, **fields):
    return replace(TOPOLOGY, resources=tuple(replace(each, **fields) if each.id == name else each for each in TOPOLOGY.resources))


def seen(found):
    """The packet that the balancer sends on."""
    return next(hop.translated for hop in found.request.hops if hop.stage is Stage.LOAD_BALANCER)


@pytest.mark.parametrize(("node", "source"), [("nlb-kept-a", "inside"), ("nlb-hidden-a", "nlb-hidden-a"), ("nlb-grouped-a", "inside")])
def test_whose_address_a_target_sees(node, source):
    found = walk("inside", node)
    assert found.outcome is Outcome.DELIVERED, found.origin
    assert seen(found).source == ADDRESS[source]


def test_udp_always_keeps_the_client():
    assert seen(walk("inside", "nlb-kept-a", 53, Protocol.UDP)).source == ADDRESS["inside"]


@pytest.mark.parametrize(("preserved", "source"), [(True, "inside"), (False, "nlb-kept-a")])
def test_a_group_may_say_so(preserved, source):
    assert seen(walk("inside", "nlb-kept-a", topology=changed("tg-kept", preserve_client_ip_enabled=preserved))).source == ADDRESS[source]


def test_the_reply_returns_through_the_balancer():
    found = walk("inside", "nlb-kept-b")
    assert found.reply is not None
    assert [hop.where for hop in found.reply.hops if hop.stage is Stage.LOAD_BALANCER] == ["nlb-kept-b"]
    assert found.reply.hops[-1].packet.source == ADDRESS["nlb-kept-b"]


def test_a_client_of_the_internet_is_answered_though_the_target_has_no_way_there():
    found = Oracle(RESOLVED).walk(Probe(source="client", destination=PUBLIC["nlb-kept-a"], protocol=Protocol.TCP, destination_port=HTTP))
    assert found.outcome is Outcome.DELIVERED, found.origin


def test_a_target_that_calls_itself_is_not_reached_with_its_address_kept():
    assert "own address" in walk("t-a", "nlb-one-a").origin
    assert walk("t-a", "nlb-one-a", topology=changed("tg-one", preserve_client_ip_enabled=False)).outcome is Outcome.DELIVERED


@pytest.mark.parametrize(("across", "outcome"), [(None, Outcome.DROPPED), (False, Outcome.DROPPED), (True, Outcome.DELIVERED)])
def test_a_node_has_the_targets_of_its_zone_or_all(across, outcome):
    topology = changed("tg-kept", targets=("t-a",), load_balancing_cross_zone_enabled=across)
    assert walk("inside", "nlb-kept-b", topology=topology).outcome is outcome


def test_a_target_refers_to_the_balancers_group_not_to_its_clients():
    assert walk("inside", "nlb-grouped-a").outcome is Outcome.DELIVERED
    refused = walk("inside", "nlb-grouped-a", HTTP + 1)
    assert refused.origin == "sg-nlb#ingress no rule"
    opened = changed("sg-nlb", security_group_ingress=(replace(next(g for g in TOPOLOGY.resources if g.id == "sg-nlb").security_group_ingress[0], to_port=HTTP + 1),))
    assert walk("inside", "nlb-grouped-a", HTTP + 1, topology=opened).origin == "sg-closed#ingress no rule"


@pytest.mark.parametrize(("port", "protocol"), [(22, Protocol.TCP), (HTTP, Protocol.UDP), (None, Protocol.ICMP)])
def test_what_is_for_no_listener_is_dropped(port, protocol):
    assert walk("inside", "nlb-kept-a", port, protocol).origin == "nlb-kept has no listener or no target for it"


def test_an_application_balancer_as_target_sees_the_client():
    resolved = resolve(load_balancers())
    (node,) = (interface for interface in resolved.interfaces if interface.node == "nlb-front-a")
    found = Oracle(resolved).walk(Probe(source="user-paris", destination=node.public_address, protocol=Protocol.TCP, destination_port=HTTP))
    assert found.outcome is Outcome.DELIVERED, found.origin
    assert seen(found).source == next(user.address for user in resolved.users)
    assert seen(found).destination == next(interface.address for interface in resolved.interfaces if interface.node == "alb-paths-a")
