"""Configured state depends on the topology alone: a lab that was changed holds what a lab that was started so holds, node by node, whatever came before."""

import subprocess
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from testbed.compile import compile_plan
from testbed.engine.lab import Lab
from testbed.model import Instance, Internet, InternetGateway, Route, RouteTable, SecurityGroupRule, Subnet, Topology, User, Vpc
from testbed.plan import Plan
from testbed.resolve import resolve
from tests.scenarios.configured_state import State, configured_state, differences
from tests.scenarios.shop import resource, shop_of_two, with_resources
from tests.strategies import other_rules, vpcs, vpcs_with_an_appliance

pytestmark = [pytest.mark.packets, pytest.mark.usefixtures("lab_sandbox")]

BASE = shop_of_two()


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


@settings(max_examples=settings.default.max_examples // 10, deadline=None, phases=(Phase.reuse, Phase.generate), suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_random_changes_leave_what_a_fresh_start_would(data):
    """From one random VPC to others of the same names, and to one whose groups have other rules."""
    first, second = data.draw(vpcs_with_an_appliance()), data.draw(st.one_of(vpcs(), vpcs_with_an_appliance()))
    way = (first, data.draw(other_rules(first)), second, data.draw(other_rules(second)))
    with Lab(network(way[0])) as lab:
        for topology in way[1:]:
            lab.apply(network(topology))
        changed_state = configured_state(lab)
    with Lab(network(way[-1])) as lab:
        assert differences(changed_state, configured_state(lab)) == []


def test_a_change_of_one_rule_leaves_every_other_counter():
    with Lab(network(BASE)) as lab:
        count = "nft add rule ip fabric border counter comment left && nft insert rule ip fabric forward counter comment seen"
        assert lab.popen("vpc-shop", ("sh", "-c", count)).wait() == 0
        lab.apply(network(TOPOLOGIES["other groups, and the ACL on other subnets"]))
        ruleset = lab.popen("vpc-shop", ("nft", "list", "ruleset"), stdout=subprocess.PIPE).communicate()[0].decode()
    assert 'comment "left"' in ruleset and 'comment "seen"' in ruleset, "chains that a change does not concern were not loaded again"
