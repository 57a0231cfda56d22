"""The oracle on Global Accelerator: which Region, which endpoint, whose address it sees, and how replies return."""

from dataclasses import replace

import pytest

from testbed.model import EndpointConfiguration, Internet, Protocol, Route, SecurityGroupRule
from testbed.oracle import Oracle, Outcome, Probe, Stage
from testbed.oracle.memory import Memory
from testbed.resolve import resolve
from tests.scenarios.accelerated import GAME, HIDDEN, HTTP, accelerated
from topologies.global_accelerator import global_accelerator

TOPOLOGY = accelerated()
RESOLVED = resolve(TOPOLOGY)
STATIC = RESOLVED.accelerators[0].addresses
USERS = {user.node: user.address for user in RESOLVED.users}


def changed(topology=TOPOLOGY, **changes):
    resources = tuple(replace(each, **changes[each.id.replace("-", "_")]) if each.id.replace("-", "_") in changes else each for each in topology.resources)
    return replace(topology, resources=resources)


def probe(source, port=HTTP, protocol=Protocol.TCP, address=STATIC[0]):
    return Probe(source=source, destination=address, protocol=protocol, destination_port=port)


def walk(source, port=HTTP, protocol=Protocol.TCP, topology=TOPOLOGY, address=STATIC[0]):
    return Oracle(resolve(topology)).walk(probe(source, port, protocol, address))


def chosen(found):
    return next(hop.origin for hop in found.request.hops if hop.stage is Stage.GLOBAL_ACCELERATOR)


@pytest.mark.parametrize("address", STATIC)
@pytest.mark.parametrize(("user", "place"), [("user-london", "eu"), ("user-newyork", "us"), ("user-tokyo", "eu")])
def test_a_user_gets_the_region_nearest_to_its_edge(user, place, address):
    for port, protocol, name in ((HTTP, Protocol.TCP, "http"), (GAME, Protocol.UDP, "game")):
        found = walk(user, port, protocol, address=address)
        assert found.outcome is Outcome.DELIVERED, found.origin
        assert chosen(found) == f"listener-{name} -> group-{name}-{place}"


def test_the_region_nearest_to_the_edge_is_not_always_the_users():
    """With one edge location in Singapore, London's users enter there, and get what is near to that."""
    far = changed(internet={"edge_locations": ("SIN",)}, group_http_us={"endpoint_group_region": "us-east-1"})
    assert isinstance(next(each for each in far.resources if each.id == "internet"), Internet)
    assert chosen(walk("user-newyork", topology=far)) == "listener-http -> group-http-eu"


def test_a_dial_of_zero_and_weights_of_zero_leave_it_to_the_next_region():
    assert chosen(walk("user-london", topology=changed(group_http_eu={"traffic_dial_percentage": 0}))) == "listener-http -> group-http-us"
    weightless = (EndpointConfiguration(endpoint_id="web-eu", weight=0),)
    assert chosen(walk("user-london", topology=changed(group_http_eu={"endpoint_configurations": weightless}))) == "listener-http -> group-http-us"


def test_the_endpoint_sees_the_client_and_its_reply_returns_though_no_route_leads_there():
    found = walk("user-tokyo")
    inside = next(hop.translated for hop in found.request.hops if hop.stage is Stage.GLOBAL_ACCELERATOR)
    assert inside.source == USERS["user-tokyo"]
    assert found.reply.hops[-1].packet.source == STATIC[0]
    assert not [hop for hop in found.reply.hops if hop.stage in (Stage.ROUTE, Stage.INTERNET_GATEWAY)]


def test_an_elastic_ip_sees_global_accelerator():
    found = walk("user-tokyo", HIDDEN)
    assert found.outcome is Outcome.DELIVERED, found.origin
    outside = next(hop.translated for hop in found.request.hops if hop.stage is Stage.GLOBAL_ACCELERATOR)
    assert outside.source == next(exit.address for exit in RESOLVED.accelerator_exits if exit.address is not None)
    assert [hop.where for hop in found.request.hops if hop.stage is Stage.INTERNET_GATEWAY] == ["igw-eu"]


def test_what_accelerator_has_not_asked_for_it_does_not_take():
    own = next(exit.address for exit in RESOLVED.accelerator_exits if exit.address is not None)
    found = walk("user-tokyo", 80, address=own)
    assert (found.outcome, found.request.hops[-1].stage) == (Outcome.DROPPED, Stage.GLOBAL_ACCELERATOR)


@pytest.mark.parametrize(("port", "protocol"), [(22, Protocol.TCP), (HTTP, Protocol.UDP), (None, Protocol.ICMP)])
def test_a_static_address_answers_its_listeners_ports_alone(port, protocol):
    found = walk("user-london", port, protocol)
    assert (found.outcome, found.origin) == (Outcome.DROPPED, "ga: no listener")
    assert Oracle(RESOLVED).advise(found).remedy.startswith("add a listener")


def test_groups_judge_the_clients_address():
    only = SecurityGroupRule(ip_protocol="-1", cidr_ip=f"{USERS['user-london']}/32")
    closed = changed(sg_us={"security_group_ingress": (only,)})
    assert walk("user-newyork", topology=closed).origin == "sg-us#ingress no rule"
    own = Oracle(RESOLVED).advise(walk("user-newyork", topology=closed)).remedy
    assert f"{USERS['user-newyork']}/32" in own


def test_its_flows_are_tracked_whatever_the_rules_say():
    """A rule that is taken away ends an untracked flow at once; by Global Accelerator the flow goes on."""
    memory = Memory()
    before, after = Oracle(RESOLVED), Oracle(resolve(changed(sg_us={"security_group_ingress": ()})))
    assert before.walk(probe("user-newyork"), memory).outcome is Outcome.DELIVERED
    assert after.walk(probe("user-newyork"), memory).outcome is Outcome.DELIVERED
    assert after.walk(probe("user-newyork")).outcome is Outcome.DROPPED


def test_a_disabled_accelerator_accepts_nothing():
    assert walk("user-london", topology=changed(ga={"enabled": False})).origin == f"internet: nobody has {STATIC[0]}"


def test_an_instance_reaches_it_over_its_internet_gateway_only():
    assert walk("hidden-eu").outcome is Outcome.DELIVERED
    assert walk("web-eu").request.hops[-1].stage is Stage.ROUTE
    routed = changed(rtb_private_eu={"routes": (Route(destination_cidr_block="0.0.0.0/0", gateway_id="igw-eu"),)})
    assert walk("web-eu", topology=routed).request.hops[-1].stage is Stage.INTERNET_GATEWAY, "it has no public address"


@pytest.mark.parametrize(("asked", "sees"), [(None, "the user"), (False, "Global Accelerator")])
def test_a_balancer_behind_it_sees_the_client_unless_told_not_to(asked, sees):
    topology = changed(global_accelerator(), shop_eu={"endpoint_configurations": (EndpointConfiguration(endpoint_id="alb-eu", client_ip_preservation_enabled=asked),)})
    resolved = resolve(topology)
    found = Oracle(resolved).walk(probe("user-london", address=resolved.accelerators[0].addresses[0]))
    assert found.outcome is Outcome.DELIVERED, found.origin
    arrived = next(hop.packet.source for hop in found.request.hops if hop.where == "eni-alb-eu-a")
    assert (arrived == next(user.address for user in resolved.users if user.node == "user-london")) is (sees == "the user")
