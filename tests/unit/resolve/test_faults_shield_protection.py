"""What Shield Advanced does not take."""

from dataclasses import replace

import pytest

from testbed.model import ElasticIp, HostedZone, ModelError, ShieldProtection, WebServer
from testbed.resolve import resolve
from topologies.load_balancers import load_balancers
from topologies.shield import shield


def told(topology, *added):
    with pytest.raises(ModelError) as error:
        resolve(replace(topology, resources=(*topology.resources, *added)))
    return {(fault.resource, fault.problem): fault.remedy for fault in error.value.faults}


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"resource_arn": "cdn-shop"}, "cdn-shop is already protected by protect-cdn"),
        ({"resource_arn": "cdn-shp"}, "resource_arn 'cdn-shp' does not exist"),
        ({"resource_arn": "web"}, "web is nothing that Shield Advanced protects"),
        ({"resource_arn": "vpc-shop"}, "vpc-shop is nothing that Shield Advanced protects"),
        ({"resource_arn": "zone-shop", "application_layer_automatic_response": "Block"}, "application-layer mitigation of zone-shop, which does not speak HTTP"),
        ({"resource_arn": "zone-shop", "application_layer_automatic_response": "block"}, "application_layer_automatic_response 'block' is not one of the allowed values"),
        ({"resource_arn": "zone-shop", "health_based_detection": True}, "application-layer mitigation of zone-shop, which does not speak HTTP"),
    ],
)
def test_a_fault_is_told(fields, problem):
    assert ("protect-more", problem) in told(shield(), ShieldProtection(id="protect-more", **fields))


def test_a_network_balancer_is_protected_by_its_addresses():
    faults = told(load_balancers(), ShieldProtection(id="protect-nlb", resource_arn="nlb-static"))
    assert faults["protect-nlb", "nlb-static is a network load balancer, which Shield Advanced does not take"] == "protect the Elastic IP addresses of its subnet mappings"


def test_what_it_takes_has_no_fault():
    more = (ShieldProtection(id="protect-zone", resource_arn="zone-shop"), ElasticIp(id="eip-spare", region="eu-west-1"), ShieldProtection(id="protect-spare", resource_arn="eip-spare"))
    topology = shield()
    resolved = resolve(replace(topology, resources=(*topology.resources, *more)))
    assert resolved.topology.of(HostedZone)


def test_a_server_without_capacity_is_none():
    (fault,) = WebServer(requests_per_second=0).faults("web")
    assert "requests_per_second 0 is out of bounds" in fault.problem
