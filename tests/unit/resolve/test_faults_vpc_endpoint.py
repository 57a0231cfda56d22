"""Faults of endpoints, endpoint services and network balancers: each names the resource and a remedy."""

from dataclasses import replace

import pytest

from testbed.model import Bucket, Forward, Listener, LoadBalancer, ModelError, Subnet, TargetGroup, Topology, VpcEndpoint
from testbed.resolve import resolve
from topologies.private_access import private_access

BASE = private_access()
S3 = "com.amazonaws.eu-west-1.s3"
SQS = "com.amazonaws.eu-west-1.sqs"


def with_(*added, without=()):
    gone = {resource.id for resource in added} | set(without)
    return replace(BASE, resources=(*(resource for resource in BASE.resources if resource.id not in gone), *added))


def problems(topology: Topology) -> str:
    with pytest.raises(ModelError) as error:
        resolve(topology)
    assert all(fault.remedy for fault in error.value.faults)
    return str(error.value)


def test_the_topology_has_none():
    resolve(BASE)


def interface(**changed):
    return VpcEndpoint(**{"id": "vpce-x", "vpc_id": "vpc-app", "service_name": SQS, "vpc_endpoint_type": "Interface", "subnet_ids": ("endpoints-a",)} | changed)


@pytest.mark.parametrize(
    ("added", "problem"),
    [
        (VpcEndpoint(id="vpce-x", vpc_id="vpc-app", service_name=SQS), "has no gateway endpoints"),
        (VpcEndpoint(id="vpce-x", vpc_id="vpc-app", service_name="s3"), "names no service"),
        (VpcEndpoint(id="vpce-x", vpc_id="vpc-app", service_name="com.amazonaws.eu-central-1.s3"), "is a service of eu-central-1"),
        (VpcEndpoint(id="vpce-x", vpc_id="vpc-app", service_name=S3, route_table_ids=("rtb-private",)), "leads to com.amazonaws.eu-west-1.s3 by vpce-s3 already"),
        (VpcEndpoint(id="vpce-x", vpc_id="vpc-app", service_name=S3, route_table_ids=("rtb-peer",)), "route table rtb-peer is of vpc-peer"),
        (VpcEndpoint(id="vpce-x", vpc_id="vpc-app", service_name=S3, subnet_ids=("private-a",)), "Gateway endpoints have no subnet_ids"),
        (VpcEndpoint(id="vpce-x", vpc_id="vpc-app", service_name=S3, policy_document="{"), "is not JSON"),
        (VpcEndpoint(id="vpce-x", vpc_id="vpc-app", service_name=S3, policy_document="{}"), "has no Statement"),
        (interface(service_name="com.amazonaws.eu-west-1.ec2"), "is not modelled"),
        (interface(subnet_ids=()), "without a subnet"),
        (interface(subnet_ids=("endpoints-a", "private-a")), "2 subnets in eu-west-1a"),
        (interface(subnet_ids=("peer-a",)), "subnet peer-a is in vpc-peer"),
        (interface(security_group_ids=("sg-orders",)), "security group sg-orders is of vpc-orders"),
        (interface(private_dns_enabled=True), "has private DNS for com.amazonaws.eu-west-1.sqs"),
        (interface(vpc_id="vpc-peer", subnet_ids=("peer-a",), private_dns_enabled=True), "lacks enable_dns_support or enable_dns_hostnames"),
        (interface(service_name="com.amazonaws.vpce.eu-west-1.vpce-svc-nobody"), "'vpce-svc-nobody', which does not exist"),
        (interface(service_name="com.amazonaws.vpce.eu-west-1.vpce-svc-orders", subnet_ids=("endpoints-b",)), "is not in eu-west-1b"),
        (interface(service_name="com.amazonaws.vpce.eu-west-1.vpce-svc-orders", policy_document='{"Statement": {"Effect": "Allow"}}'), "does not support endpoint policies"),
        (Bucket(id="Reports", region="eu-west-1"), "is none that S3 takes"),
        (Bucket(id="reports-2", region="eu-west-1", bucket_name="reports"), "2 buckets have this name"),
        (LoadBalancer(id="nlb-orders", type="application", scheme="internal", subnets=("orders-a",)), "nlb-orders is no Network Load Balancer"),
        (Listener(id="listener-orders", load_balancer_arn="nlb-orders", port=443, protocol="HTTP", default_actions=(Forward(target_group_arn="tg-orders"),)), "protocol HTTP on the network load balancer"),
        (TargetGroup(id="tg-orders", vpc_id="vpc-orders", port=1, protocol="HTTP", targets=("orders",)), "protocol HTTP behind the network load balancer"),
    ],
)  # fmt: skip
def test_a_fault_is_named(added, problem):
    assert problem in problems(with_(added))


def test_aws_keeps_a_prefix_list_for_each_gateway_service():
    resolved = resolve(BASE)
    (region,) = resolved.regions
    (table,) = (table for table in resolved.route_tables if table.id == "rtb-private")
    (route,) = (route for route in table.routes if route.prefix_list is not None)
    assert (route.prefix_list, route.target) == ("pl-s3-eu-west-1", "vpce-s3")
    assert set(region.aws_services[2].addresses) == set(route.destination)


def test_a_region_that_nothing_uses_runs_no_services():
    plain = with_(without=[r.id for r in BASE.resources if isinstance(r, (Bucket, VpcEndpoint))] + ["rtb-peer", "sg-app", "app"])
    assert resolve(plain).regions[0].aws_services == ()
    assert any(isinstance(resource, Subnet) for resource in plain.resources)


def test_what_aws_keeps_is_not_kept_twice_when_a_resolved_topology_changes():
    topology = resolve(BASE).topology
    assert resolve(topology).topology.resources == topology.resources
