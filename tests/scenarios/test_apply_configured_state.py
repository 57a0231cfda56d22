"""Configured state depends on the topology alone: a lab that was changed holds what a lab that was started so holds, node by node, whatever came before."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from testbed.compile import compile_plan
from testbed.engine.lab import Lab
from testbed.model import Instance, Internet, InternetGateway, Route, RouteTable, SecurityGroupRule, Subnet, Topology, User, Vpc
from testbed.plan import Plan
from testbed.resolve import resolve
from tests.scenarios.configured_state import State, configured_state, differences
from tests.scenarios.shop import resource, with_resources
from topologies.web_app import web_app

pytestmark = [pytest.mark.packets, pytest.mark.usefixtures("lab_sandbox")]

BASE = web_app()


def changed(*resources: object, without: tuple[str, ...] = ()) -> Topology:
    return with_resources(BASE, *resources, without=without)


def of(resource_id: str, **fields: object) -> object:
    return resource(BASE, resource_id, **fields)


TOPOLOGIES: dict[str, Topology] = {
    "as it is": BASE,
    "a third instance": changed(Instance(id="web-c", subnet_id="private-a", security_group_ids=("sg-web",)), Instance(id="a-first", subnet_id="private-b")),
    "one instance, elsewhere, and no ACL": changed(
        of("tg-web", targets=("web-a",)), of("web-a", subnet_id="private-b", private_ip_address="10.0.11.77"), without=("web-b", "acl-database")
    ),
    "other groups, and the ACL on other subnets": changed(
        of("sg-db", security_group_ingress=()),
        of("sg-web", security_group_ingress=(SecurityGroupRule(ip_protocol="icmp", from_port=8, to_port=-1, cidr_ip="10.0.0.0/16"), SecurityGroupRule(ip_protocol="-1", security_group_id="sg-db"))),
        of("alb-shop", security_groups=("sg-alb", "sg-web")),
        of("acl-database", associations=("private-a", "public-b")),
    ),
    "one NAT gateway with a chosen address": changed(
        RouteTable(id="rtb-private-b", vpc_id="vpc-shop", associations=("private-b", "database-b"), routes=(Route(destination_cidr_block="0.0.0.0/0", nat_gateway_id="nat-a"),)),
        of("eip-nat-a", public_ip="198.19.12.77"),
        without=("nat-b", "eip-nat-b"),
    ),
    "Tokyo and a second VPC": changed(
        Internet(edge_locations=("LHR", "NRT")),
        User(id="client-tokyo", city="Tokyo"),
        Vpc(id="vpc-other", region="eu-west-1", cidr_block="10.0.0.0/16"),
        InternetGateway(id="igw-other", vpc_id="vpc-other"),
        Subnet(id="other", vpc_id="vpc-other", cidr_block="10.0.0.0/24", availability_zone="eu-west-1b", map_public_ip_on_launch=True),
        Instance(id="guest", subnet_id="other"),
    ),
    "another zone's database, ten times as fast": replace(changed(of("shop-db", availability_zone="eu-west-1b")), time_scale=10.0),
}


def network(topology: Topology) -> Plan:
    """The plan without its daemons: what the kernel is told."""
    return replace(compile_plan(resolve(topology)), services=(), name="configured-state")


@pytest.fixture(scope="module")
def fresh() -> Callable[[str], State]:
    """The state of a lab that was started with a topology."""
    known: dict[str, State] = {}

    def started(name: str) -> State:
        if name not in known:
            with Lab(network(TOPOLOGIES[name])) as lab:
                known[name] = configured_state(lab)
        return known[name]

    return started


NAMES = tuple(TOPOLOGIES)


@pytest.mark.parametrize(("before", "after"), list(zip(NAMES, (*NAMES[1:], NAMES[0]), strict=True)))
def test_a_change_leaves_what_a_fresh_start_would(fresh, before, after):
    with Lab(network(TOPOLOGIES[before])) as lab:
        lab.apply(network(TOPOLOGIES[after]))
        assert differences(configured_state(lab), fresh(after)) == []


def test_a_lab_that_has_been_other_things_is_again_what_it_was(fresh):
    with Lab(network(BASE)) as lab:
        for name in (NAMES[2], NAMES[5], NAMES[0]):
            lab.apply(network(TOPOLOGIES[name]))
        assert differences(configured_state(lab), fresh(NAMES[0])) == []


def test_the_comparison_sees_a_single_rule_route_or_address():
    with Lab(network(BASE)) as lab:
        state = configured_state(lab)
        for command in ("ip route add blackhole 192.0.2.77", "ip addr add 192.0.2.78 dev lo", "nft add chain ip fabric left_over", "sysctl -q -w net.ipv4.conf.lo.forwarding=0"):
            done = lab.popen("vpc-shop", ("sh", "-c", command))
            assert done.wait() == 0
        told = differences(state, configured_state(lab))
    assert {line.split(":")[0] for line in told} == {"vpc-shop routes", "vpc-shop addresses", "vpc-shop ruleset", "vpc-shop sysctls"}
