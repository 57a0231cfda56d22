"""What AWS refuses of accelerators, their listeners and endpoint groups, and which endpoints see the client."""

from dataclasses import replace

import pytest

from testbed.model import AcceleratorListener, ElasticIp, EndpointConfiguration, EndpointGroup, Internet, LoadBalancer, ModelError, PortRange
from testbed.resolve import resolve
from testbed.resolve.accelerators import preserves_client
from testbed.resolve.references import References
from tests.scenarios.accelerated import accelerated

TOPOLOGY = accelerated()
LISTENER = next(each for each in TOPOLOGY.resources if each.id == "listener-http")
GROUP = next(each for each in TOPOLOGY.resources if each.id == "group-http-eu")
NLB = LoadBalancer(id="nlb-eu", type="network", subnets=("public-eu",))
ALB = LoadBalancer(id="alb-eu", subnets=("public-eu", "public-eu-b"), security_groups=("sg-eu",))


def told(*added, without=(), **changes):
    """The faults of the topology with these resources added, others (by id) changed, and some left out."""
    kept = (each for each in TOPOLOGY.resources if each.id not in without)
    resources = tuple(replace(each, **changes[each.id.replace("-", "_")]) if each.id.replace("-", "_") in changes else each for each in kept)
    with pytest.raises(ModelError) as error:
        resolve(replace(TOPOLOGY, resources=(*resources, *added)))
    return [(fault.resource, fault.problem) for fault in error.value.faults]


def endpoints(*configurations):
    return {"group_http_eu": {"endpoint_configurations": configurations}}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"listener_http": {"protocol": "SCTP"}}, "protocol 'SCTP' is not one of the allowed values"),
        ({"listener_http": {"client_affinity": "COOKIE"}}, "client_affinity 'COOKIE' is not one of the allowed values"),
        ({"listener_http": {"port_ranges": ()}}, "0 port ranges"),
        ({"listener_http": {"port_ranges": (PortRange(first=90, last=80),)}}, "port range 90-80"),
        ({"listener_http": {"port_ranges": (PortRange(first=0, last=80),)}}, "port range 0-80"),
        ({"listener_http": {"port_ranges": (PortRange(first=400, last=500),)}}, "TCP ports 443-443 overlap with 400-500 of listener-http"),
        ({"listener_http": {"accelerator_arn": "none"}}, "accelerator_arn 'none' does not exist"),
        ({"group_http_eu": {"listener_arn": "ga"}}, "listener_arn 'ga' is not a listener of an accelerator"),
        ({"group_http_eu": {"traffic_dial_percentage": 101}}, "traffic_dial_percentage 101 is out of bounds"),
        ({"group_http_eu": {"threshold_count": 0}}, "threshold_count 0 is out of bounds"),
        ({"group_http_eu": {"health_check_interval_seconds": 20}}, "health_check_interval_seconds 20"),
        ({"group_http_eu": {"health_check_path": "health"}}, "health_check_path 'health' does not begin with a slash"),
        ({"group_http_eu": {"endpoint_group_region": "us-east-1"}}, "listener-http already has the endpoint group group-http-eu in us-east-1"),
        (endpoints(EndpointConfiguration(endpoint_id="web-eu", weight=256)), "weight 256 is out of bounds"),
        (endpoints(EndpointConfiguration(endpoint_id="web-eu"), EndpointConfiguration(endpoint_id="web-eu")), "endpoint web-eu is given twice"),
        (endpoints(EndpointConfiguration(endpoint_id="web-us")), "the endpoint is in us-east-1, its group in eu-west-1"),
        (endpoints(EndpointConfiguration(endpoint_id="user-london")), "endpoint_id 'user-london' is neither a load balancer, nor an instance, nor an Elastic IP address"),
        (endpoints(EndpointConfiguration(endpoint_id="web-eu", client_ip_preservation_enabled=False)), "client IP preservation cannot be off with an instance"),
        (endpoints(EndpointConfiguration(endpoint_id="eip-eu", client_ip_preservation_enabled=True)), "an Elastic IP address cannot have client IP preservation"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_in_awss_words(changes, problem):
    assert problem in [each for _, each in told(**changes)]


@pytest.mark.parametrize(
    ("added", "group", "problem"),
    [
        ((ElasticIp(id="eip-idle", region="eu-west-1"),), EndpointConfiguration(endpoint_id="eip-idle"), "the Elastic IP address is associated with nothing"),
        ((NLB,), EndpointConfiguration(endpoint_id="nlb-eu", client_ip_preservation_enabled=True), "client IP preservation with a network load balancer without security groups"),
        ((replace(NLB, scheme="internal"),), EndpointConfiguration(endpoint_id="nlb-eu"), "an internal load balancer without client IP preservation cannot be reached"),
        ((replace(NLB, type="gateway"),), EndpointConfiguration(endpoint_id="nlb-eu"), "a gateway load balancer cannot be an endpoint"),
    ],
)
def test_an_endpoint_that_cannot_be_one(added, group, problem):
    assert (f"group-http-eu {group.endpoint_id}", problem) in told(*added, **endpoints(group))


def test_an_application_balancer_takes_no_udp():
    assert ("group-game-eu alb-eu", "an application load balancer behind a UDP listener") in told(ALB, group_game_eu={"endpoint_configurations": (EndpointConfiguration(endpoint_id="alb-eu"),)})


def test_a_vpc_without_an_internet_gateway_takes_no_clients():
    found = told(without=("igw-us",))
    assert ("group-http-us web-us", "client IP preservation, but vpc-us has no internet gateway") in found


def test_an_accelerator_wants_an_edge_location():
    internet = next(each for each in TOPOLOGY.resources if isinstance(each, Internet))
    assert ("ga", "no edge location announces its addresses") in told(replace(internet, edge_locations=()), without=("internet",))


@pytest.mark.parametrize("detour", [0.5, 6])
def test_a_public_path_is_no_shorter_than_lights_and_not_absurdly_long(detour):
    assert ("internet", f"detour {detour:g}") in told(internet={"detour": detour})


@pytest.mark.parametrize(
    ("target", "asked", "kept"),
    [
        ("web-eu", None, True), ("eip-eu", None, False), ("alb", None, True), ("alb", False, False), ("alb-internal", False, True), ("nlb", None, False), ("nlb-grouped", None, True),
        ("nlb-grouped", False, False),
    ],
)  # fmt: skip
def test_whose_address_an_endpoint_sees(target, asked, kept):
    balancers = (
        replace(ALB, id="alb"), replace(ALB, id="alb-internal", scheme="internal"), replace(NLB, id="nlb"), replace(NLB, id="nlb-grouped", security_groups=("sg-eu",)),
    )  # fmt: skip
    references = References(replace(TOPOLOGY, resources=(*TOPOLOGY.resources, *balancers)))
    assert preserves_client(EndpointConfiguration(endpoint_id=target, client_ip_preservation_enabled=asked), references) is kept


def test_addresses_stay_when_other_accelerators_come():
    before = resolve(TOPOLOGY).accelerators[0]
    more = (replace(next(each for each in TOPOLOGY.resources if each.id == "ga"), id=f"other-{number}") for number in range(5))
    after = resolve(replace(TOPOLOGY, resources=(*TOPOLOGY.resources, *more))).accelerators
    assert before in after
    assert len({address for accelerator in after for address in accelerator.addresses}) == 12


def test_the_same_private_address_in_two_vpcs_is_told_apart_on_awss_network():
    ways = {way.endpoint: way for way in resolve(TOPOLOGY).accelerated_ways if way.group.startswith("group-http")}
    assert ways["web-eu"].address == ways["web-us"].address
    assert ways["web-eu"].inside != ways["web-us"].inside


def test_a_listener_and_a_group_are_what_they_say():
    assert isinstance(LISTENER, AcceleratorListener)
    assert isinstance(GROUP, EndpointGroup)
    assert (GROUP.checks_for_s, replace(GROUP, health_check_protocol="HTTP").checks_for_s) == (10, 6)
