"""What AWS refuses of a Network Load Balancer and its target groups."""

from dataclasses import replace

import pytest

from testbed.model import ElasticIp, Listener, LoadBalancer, ModelError, SubnetMapping, TargetGroup
from testbed.resolve import resolve
from tests.scenarios.balanced import VPC, balanced
from tests.scenarios.relayed import relayed
from topologies.load_balancers import load_balancers


def told(*added, topology=None, **changes):
    """The faults of the topology with these resources added, and others (by id) changed."""
    before = topology or balanced()
    resources = tuple(replace(each, **changes[each.id]) if each.id in changes else each for each in before.resources)
    with pytest.raises(ModelError) as error:
        resolve(replace(before, resources=(*resources, *added)))
    return [(fault.resource, fault.problem) for fault in error.value.faults]


def changed(name, **fields):
    return told(**{name: fields})


@pytest.mark.parametrize(
    ("name", "fields", "problem"),
    [
        ("tg-dns", {"preserve_client_ip_enabled": False}, "client IP preservation cannot be off with TCP_UDP"),
        ("tg-dns", {"proxy_protocol_v2_enabled": True}, "PROXY protocol version 2 with TCP_UDP"),
        ("nlb-kept-80", {"certificates": ("shop.example.com",)}, "a TCP listener with certificates"),
        ("nlb-kept-80", {"alpn_policy": "HTTP2Only"}, "an ALPN policy on TCP"),
        ("nlb-kept-80", {"protocol": "TLS"}, "a TLS listener without a certificate"),
        ("nlb-kept-80", {"protocol": "TLS", "tcp_idle_timeout_seconds": 60}, "an idle timeout of its own on a TLS listener"),
        ("tg-kept", {"protocol": "TLS"}, "protocol TLS behind a listener for TCP"),
        ("tg-kept", {"protocol": "UDP"}, "protocol UDP behind a listener for TCP"),
        ("tg-kept", {"protocol": "HTTP"}, "protocol HTTP behind the network load balancer nlb-kept"),
        ("tg-kept", {"stickiness_enabled": True}, "stickiness_type 'lb_cookie' is not one of the allowed values"),
        ("tg-kept", {"health_check_protocol": "UDP"}, "health_check_protocol 'UDP' is not one of the allowed values"),
        ("tg-hidden", {"targets": ("8.8.8.8",)}, "target 8.8.8.8 is a public address"),
        ("tg-hidden", {"targets": ("t-a",)}, "target t-a is no IP address"),
        ("tg-one", {"target_type": "alb", "targets": ("nlb-kept",)}, "target nlb-kept is no application load balancer"),
        ("tg-one", {"target_health_state_unhealthy_draining_interval_seconds": 10}, "an unhealthy draining interval with connection termination"),
        ("nlb-kept-80", {"tcp_idle_timeout_seconds": 30}, "tcp_idle_timeout_seconds 30 is out of bounds"),
        ("nlb-kept", {"scheme": "internal"}, "the Elastic IP address eip-a on an internal load balancer"),
        ("nlb-kept", {"subnets": ("front-a",)}, "subnets and subnet_mappings"),
        ("nlb-kept", {"type": "application"}, "an application load balancer has no static addresses"),
        ("nlb-hidden", {"subnets": (), "subnet_mappings": (SubnetMapping(subnet_id="front-a", private_ipv4_address="10.9.0.4"),)}, "is outside"),
    ],
)
def test_a_fault_is_told(name, fields, problem):
    found = changed(name, **fields)
    assert any(problem in said for _, said in found), found


def test_an_application_balancer_is_a_target_by_one_of_its_listeners():
    found = told(topology=load_balancers(), **{"tg-front": {"port": 81}})
    assert found == [("tg-front", "alb-paths has no listener on port 81")]


def test_one_elastic_ip_serves_one_node():
    again = LoadBalancer(id="nlb-x", type="network", subnet_mappings=(SubnetMapping(subnet_id="front-a", allocation_id="eip-a"),))
    assert told(again) == [("nlb-x", "allocation_id eip-a is already associated with nlb-kept")]


def test_an_allocation_must_exist():
    again = LoadBalancer(id="nlb-x", type="network", subnet_mappings=(SubnetMapping(subnet_id="front-a", allocation_id="eip-x"),))
    assert any(resource == "nlb-x" for resource, _ in told(again))


def test_a_listener_needs_the_groups_protocol():
    listener = Listener(id="l-x", load_balancer_arn="nlb-one", port=99, protocol="HTTP", default_actions=balanced().of(Listener)[0].default_actions)
    assert any(resource == "l-x" for resource, _ in told(listener))


def test_elastic_ips_and_private_addresses_are_the_nodes():
    before = balanced()
    fixed = tuple(replace(each, subnets=(), subnet_mappings=(SubnetMapping(subnet_id="front-a", private_ipv4_address="10.0.1.50"),)) if each.id == "nlb-one" else each for each in before.resources)
    resolved = resolve(replace(before, resources=fixed))
    assert {i.node: str(i.address) for i in resolved.interfaces_of("nlb-one")} == {"nlb-one-a": "10.0.1.50"}
    assert {i.node: i.public_origin for i in resolved.interfaces_of("nlb-kept")} == {"nlb-kept-a": "eip-a", "nlb-kept-b": "eip-b"}
    assert [each.id for each in before.of(ElasticIp)] == ["eip-a", "eip-b"]
    assert all(group.vpc_id == VPC for group in before.of(TargetGroup))


def test_stickiness_is_not_for_tls_on_both_sides_and_an_alb_is_behind_tcp():
    topology = relayed()
    sticky = told(topology=topology, **{"tg-tls-tls": {"stickiness_enabled": True, "stickiness_type": "source_ip"}})
    assert ("tg-tls-tls", "stickiness with TLS on both sides of nlb-relay") in sticky
    assert ("tg-tls", "an application load balancer behind a TLS listener") in told(topology=topology, **{"tg-tls": {"target_type": "alb"}})
