"""References that lead nowhere, or to a resource of another kind."""

import pytest

from testbed.model import Forward, NetworkInterface, Resource, Route, SecurityGroupRule, WebApplication
from testbed.model import ListenerRule as Rule

from .small import faults, small, topology

RULE = SecurityGroupRule(ip_protocol="tcp", security_group_id="gone")
DEFAULT = "0.0.0.0/0"


@pytest.mark.parametrize(
    ("spoiled", "resource", "problem"),
    [
        (small("sub-b", vpc_id="gone"), "sub-b", "vpc_id 'gone' does not exist"),
        (small("igw-1", vpc_id="gone"), "igw-1", "vpc_id 'gone' does not exist"),
        (small("nat-1", subnet_id="gone"), "nat-1", "subnet_id 'gone' does not exist"),
        (small("nat-1", allocation_id="gone"), "nat-1", "allocation_id 'gone' does not exist"),
        (small("eip-nat", instance_id="gone"), "eip-nat", "instance_id 'gone' does not exist"),
        (small("eip-nat", network_interface_id="gone"), "eip-nat", "network_interface_id 'gone' does not exist"),
        (small("rtb-2", vpc_id="gone"), "rtb-2", "vpc_id 'gone' does not exist"),
        (small("rtb-2", associations=("gone",)), "rtb-2", "association 'gone' does not exist"),
        (small("rtb-2", routes=(Route(destination_cidr_block=DEFAULT, gateway_id="gone"),)), "rtb-2 0.0.0.0/0", "gateway_id 'gone' does not exist"),
        (small("rtb-2", routes=(Route(destination_cidr_block=DEFAULT, gateway_id="nat-1"),)), "rtb-2 0.0.0.0/0", "gateway_id 'nat-1' is not an internet gateway"),
        (small("rtb-2", routes=(Route(destination_cidr_block=DEFAULT, nat_gateway_id="gone"),)), "rtb-2 0.0.0.0/0", "nat_gateway_id 'gone' does not exist"),
        (small("rtb-2", routes=(Route(destination_cidr_block=DEFAULT, network_interface_id="gone"),)), "rtb-2 0.0.0.0/0", "network_interface_id 'gone' does not exist"),
        (small("rtb-2", routes=(Route(destination_cidr_block=DEFAULT, instance_id="gone"),)), "rtb-2 0.0.0.0/0", "instance_id 'gone' does not exist"),
        (small("acl-1", vpc_id="gone"), "acl-1", "vpc_id 'gone' does not exist"),
        (small("acl-1", associations=("gone",)), "acl-1", "association 'gone' does not exist"),
        (small("sg-1", vpc_id="gone"), "sg-1", "vpc_id 'gone' does not exist"),
        (small("sg-1", security_group_ingress=(RULE,)), "sg-1#ingress[0]", "security_group_id 'gone' does not exist"),
        (small("sg-1", security_group_egress=(RULE,)), "sg-1#egress[0]", "security_group_id 'gone' does not exist"),
        (small("web", subnet_id="gone"), "web", "subnet_id 'gone' does not exist"),
        (small("web", security_group_ids=("gone",)), "web", "security_group_ids 'gone' does not exist"),
        (small("web", user_data=WebApplication(database_id="gone")), "web", "user_data database_id 'gone' does not exist"),
        (NetworkInterface(id="eni-x", subnet_id="gone"), "eni-x", "subnet_id 'gone' does not exist"),
        (NetworkInterface(id="eni-x", subnet_id="sub-a", instance_id="gone"), "eni-x", "instance_id 'gone' does not exist"),
        (NetworkInterface(id="eni-x", subnet_id="sub-a", group_set=("gone",)), "eni-x", "group_set 'gone' does not exist"),
        (small("db", db_subnet_group=("sub-a", "sub-b", "gone")), "db", "db_subnet_group 'gone' does not exist"),
        (small("db", vpc_security_groups=("gone",)), "db", "vpc_security_groups 'gone' does not exist"),
        (small("alb", subnets=("sub-a", "sub-b", "gone")), "alb", "subnets 'gone' does not exist"),
        (small("alb", security_groups=("gone",)), "alb", "security_groups 'gone' does not exist"),
        (small("listener", load_balancer_arn="gone"), "listener", "load_balancer_arn 'gone' does not exist"),
        (small("listener", default_actions=(Forward(target_group_arn="gone"),)), "listener", "target_group_arn 'gone' does not exist"),
        (small("listener", rules=(Rule(priority=5, path_pattern=("/a",), actions=(Forward(target_group_arn="gone"),)),)), "listener#5", "target_group_arn 'gone' does not exist"),
        (small("tg", vpc_id="gone"), "tg", "vpc_id 'gone' does not exist"),
        (small("tg", targets=("gone",)), "tg", "targets 'gone' does not exist"),
        (small("tg", targets=("alb",)), "tg", "targets 'alb' is not an instance"),
    ],
)
def test_a_reference_to_what_is_not_there_is_told(spoiled: Resource, resource: str, problem: str) -> None:
    assert (resource, problem) in [(fault.resource, fault.problem) for fault in faults(topology(spoiled))]


def test_the_most_alike_of_the_right_kind_is_suggested():
    (fault,) = faults(topology(small("web", security_group_ids=("sg1",))))
    assert fault.remedy == "did you mean sg-1?"


def test_what_is_not_there_is_asked_for_where_there_is_nothing_alike():
    spoiled = topology(small("web", user_data=WebApplication(database_id="db")), without=("db",))
    assert [(fault.resource, fault.remedy) for fault in faults(spoiled)] == [("web", "add a DB instance with this id")]

