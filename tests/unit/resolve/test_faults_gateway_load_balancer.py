"""Faults of gateway balancers, their target groups, services and endpoints, and of routes to these: each names the resource and a remedy."""

from dataclasses import replace

import pytest

from testbed.model import Forward, LoadBalancer, ModelError, Route, RouteTable, TargetGroup, VpcEndpoint, VpcEndpointService
from testbed.model.instance import GeneveAppliance
from testbed.resolve import resolve
from topologies.gwlb_inspection import gwlb_inspection

BASE = gwlb_inspection()
SERVICE = "com.amazonaws.vpce.eu-west-1.inspection"


def changed(resource_id, **fields):
    return replace(next(resource for resource in BASE.resources if resource.id == resource_id), **fields)


def problems(*added):
    gone = {resource.id for resource in added}
    with pytest.raises(ModelError) as error:
        resolve(replace(BASE, resources=(*(resource for resource in BASE.resources if resource.id not in gone), *added)))
    assert all(fault.remedy for fault in error.value.faults)
    return str(error.value)


def test_the_topology_has_none():
    resolve(BASE)


@pytest.mark.parametrize(
    ("resource_id", "fields", "problem"),
    [
        ("gwlb", {"security_groups": ("sg-fw",)}, "a gateway load balancer has no security groups"),
        ("tg-fw", {"port": 80}, "port 80 with GENEVE"),
        ("tg-fw", {"target_type": "alb"}, "target_type 'alb'"),
        ("tg-fw", {"target_failover_on_unhealthy": "rebalance"}, "target failover differs"),
        ("tg-fw", {"stickiness_enabled": True, "stickiness_type": "source_ip"}, "stickiness_type 'source_ip'"),
        ("tg-fw", {"health_check_interval_seconds": 5}, "the health check's timeout is not shorter than its interval"),
        ("gwlb-all", {"port": 80}, "port 80 on the gateway load balancer gwlb"),
        ("gwlb-all", {"protocol": "TCP"}, "protocol TCP"),
        ("vpce-a", {"subnet_ids": ()}, "a Gateway Load Balancer endpoint without a subnet"),
        ("vpce-a", {"subnet_ids": ("gwlbe-a", "gwlbe-b")}, "a Gateway Load Balancer endpoint with 2 subnets"),
        ("vpce-a", {"security_group_ids": ("sg-web",)}, "have no security_group_ids"),
        ("vpce-a", {"service_name": "com.amazonaws.eu-west-1.s3"}, "has no Gateway Load Balancer endpoints"),
        ("vpce-a", {"vpc_endpoint_type": "Interface"}, "a Interface endpoint for inspection"),
        ("vpce-a", {"policy_document": "{}"}, "does not support endpoint policies"),
        ("inspection", {"gateway_load_balancer_arns": ()}, "an endpoint service without a load balancer"),
        ("inspection", {"private_dns_name": "x.example.com"}, "private_dns_name with Gateway Load Balancers"),
        ("inspection", {"network_load_balancer_arns": ("gwlb",), "gateway_load_balancer_arns": ()}, "gwlb is no Network Load Balancer"),
        ("fw-a", {"user_data": GeneveAppliance(signatures=("",))}, "an empty signature"),
        ("rtb-app-a", {"routes": (Route(destination_cidr_block="0.0.0.0/0", vpc_endpoint_id="vpce-x"),)}, "vpc_endpoint_id 'vpce-x' does not exist"),
        ("rtb-gwlbe", {"routes": (Route(destination_cidr_block="0.0.0.0/0", vpc_endpoint_id="vpce-a"),)}, "would get its own packets back"),
    ],
)
def test_each_mistake_is_told(resource_id, fields, problem):
    assert problem in problems(changed(resource_id, **fields))


def test_geneve_is_a_gateway_balancers_alone():
    told = problems(LoadBalancer(id="gwlb", type="network", scheme="internal", subnets=("security-a",)))
    assert "protocol GENEVE on the network load balancer gwlb" in told
    assert "gwlb is no Gateway Load Balancer" in told


def test_a_gateway_balancer_takes_no_other_group():
    group = TargetGroup(id="tg-tcp", vpc_id="vpc-security", protocol="TCP", port=80)
    assert "protocol TCP behind the gateway load balancer gwlb" in problems(group, changed("gwlb-all", default_actions=(Forward(target_group_arn="tg-tcp"),)))


def test_routes_lead_to_no_other_kind_of_endpoint_and_to_none_of_another_vpc():
    interface = VpcEndpoint(id="vpce-i", vpc_id="vpc-app", vpc_endpoint_type="Interface", service_name="com.amazonaws.eu-west-1.sqs", subnet_ids=("gwlbe-a",))
    table = RouteTable(id="rtb-x", vpc_id="vpc-app", routes=(Route(destination_cidr_block="0.0.0.0/0", vpc_endpoint_id="vpce-i"),))
    assert "target vpce-i is no Gateway Load Balancer endpoint" in problems(interface, table)
    elsewhere = RouteTable(id="rtb-y", vpc_id="vpc-security", routes=(Route(destination_cidr_block="0.0.0.0/0", vpc_endpoint_id="vpce-a"),))
    assert "target vpce-a is in vpc-app, not in vpc-security" in problems(elsewhere)


def test_a_service_has_balancers_of_one_kind():
    assert "of both kinds" in problems(VpcEndpointService(id="inspection", gateway_load_balancer_arns=("gwlb",), network_load_balancer_arns=("gwlb",)))
