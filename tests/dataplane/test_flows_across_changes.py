"""Flows that a change of rules meets, and flows that cross a VPC twice: kernel and oracle, held against each other."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from testbed.compile import compile_plan
from testbed.engine import sandbox
from testbed.engine.lab import Lab
from testbed.model import Instance, Protocol, Resource, Route, RouteTable, SecurityGroup, SecurityGroupRule, Subnet, Topology, Vpc
from testbed.oracle import Memory, Oracle, Outcome, Probe
from testbed.resolve import Resolved, resolve
from tests.dataplane.probing import Seen, distinct, send
from tests.dataplane.test_oracle_against_kernel import HOSTS, disagreements
from tests.strategies import SERVICE_PORTS, other_rules, probes, vpcs_with_an_appliance

EXAMPLES = 10
PATIENCE_S = 0.25
ANYWHERE, BLOCK = "0.0.0.0/0", "10.6.0.0/16"
HOSTS_AT = {"a": "10.6.0.10", "b": "10.6.0.11", "c": "10.6.1.10", "d": "10.6.1.11", "box": "10.6.2.10"}


@pytest.fixture(autouse=True)
def inside_a_sandbox(lab_sandbox: None) -> None:
    assert sandbox.inside()


@pytest.mark.packets
@settings(deadline=None, max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_random_vpcs_with_an_appliance_behave_as_documented(data: st.DataObject) -> None:
    topology = data.draw(vpcs_with_an_appliance())
    asked = data.draw(st.lists(probes(topology), min_size=10, max_size=25))
    assert disagreements(resolve(topology), asked) == []


@st.composite
def meeting(draw: st.DrawFn) -> tuple[Topology, Topology]:
    """Four hosts and an appliance between their subnets, and the same with some rules taken away. Rules speak of everybody, of one host, of a group."""
    groups = [f"sg-{number}" for number in range(4)]

    def rules(outward: bool) -> tuple[SecurityGroupRule, ...]:
        far_sides = [{"cidr_ip": ANYWHERE}, {"cidr_ip": ANYWHERE}, {"cidr_ip": BLOCK}, *({"cidr_ip": f"{address}/32"} for address in HOSTS_AT.values()), *({"security_group_id": group} for group in groups)]
        return tuple(
            SecurityGroupRule(ip_protocol=protocol, from_port=first, to_port=last, **draw(st.sampled_from(far_sides)))
            for protocol, first, last in draw(st.lists(st.sampled_from((("udp", 22, 22), ("udp", 0, 65535), ("udp", 80, 443), ("icmp", 8, -1), ("-1", None, None))), min_size=1, max_size=3))
        ) + ((SecurityGroupRule(ip_protocol="-1", cidr_ip=ANYWHERE),) if outward and draw(st.booleans()) else ())

    egress = {group: draw(st.one_of(st.none(), st.just(rules(outward=True)))) for group in groups}
    held = {group: SecurityGroup(id=group, vpc_id="vpc", security_group_ingress=rules(outward=False), security_group_egress=egress[group]) for group in groups}
    detour = draw(st.booleans())
    network: tuple[Resource, ...] = (
        Vpc(id="vpc", region="eu-west-1", cidr_block=BLOCK),
        *(Subnet(id=f"subnet-{n}", vpc_id="vpc", cidr_block=f"10.6.{n}.0/24", availability_zone="eu-west-1a") for n in range(3)),
        *(RouteTable(id=f"rtb-{n}", vpc_id="vpc", associations=(f"subnet-{n}",), routes=(Route(destination_cidr_block=f"10.6.{1 - n}.0/24", instance_id="box"),)) for n in range(2) if detour),
        *(
            Instance(id=name, subnet_id=f"subnet-{int(address.split('.')[2])}", private_ip_address=address, security_group_ids=(draw(st.sampled_from(groups)),), source_dest_check=name != "box")
            for name, address in HOSTS_AT.items()
        ),
    )
    before = Topology(name="flows", resources=(*network, *held.values()))
    return before, draw(other_rules(before))


def asked_of_all() -> tuple[Probe, ...]:
    """Every host asks every other one on two UDP ports, and pings it."""
    pairs = [(source, IPv4Address(address)) for source in HOSTS_AT for name, address in HOSTS_AT.items() if name != source]
    datagrams = [Probe(source=source, destination=address, protocol=Protocol.UDP, destination_port=port) for source, address in pairs for port in (22, 443)]
    return distinct([*datagrams, *(Probe(source=source, destination=address, protocol=Protocol.ICMP, icmp_type=8, icmp_code=0) for source, address in pairs)])


def fates(before: Resolved, after: Resolved, patience_s: float = PATIENCE_S) -> tuple[list[str], int]:
    """What differs between oracle and kernel of flows that begin before a change and go on after it; and how many live by memory alone."""
    first, second = Oracle(before), Oracle(after)
    asked = asked_of_all()
    plans = [replace(compile_plan(resolved), services=()) for resolved in (before, after)]
    hosts = [node for node in plans[0].nodes if node.kind in HOSTS]
    with Lab(plans[0]) as lab:
        send(lab, hosts, asked, SERVICE_PORTS, patience_s=patience_s)
        lab.apply(plans[1])
        seen = send(lab, hosts, asked, SERVICE_PORTS, patience_s=patience_s * 2)
    wrong, remembered = [], 0
    for probe, saw in zip(asked, seen, strict=True):
        memory = Memory()
        if first.walk(probe, memory).outcome is not Outcome.DELIVERED:
            continue  # what was dropped on its way is forgotten sooner here than on AWS: see `compile.fabric`
        walk = second.walk(probe, memory)
        remembered += walk.outcome is Outcome.DELIVERED and second.walk(probe).outcome is Outcome.DROPPED
        says = Seen(arrived=walk.request.outcome is Outcome.DELIVERED, replied=walk.reply is not None and walk.reply.outcome is Outcome.DELIVERED)
        if says != saw:
            wrong.append(f"{probe}\n    oracle {says} because of {walk.origin} ({walk.leg})\n    kernel {saw}")
    return wrong, remembered


@pytest.mark.packets
@settings(deadline=None, max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
@given(topologies=meeting())
def test_flows_fare_as_documented_when_rules_change_under_them(topologies: tuple[Topology, Topology]) -> None:
    """UDP and pings: a TCP probe's answer is a reset, after which there is no flow. A difference is looked at again with more patience, as `differences` does."""
    before, after = map(resolve, topologies)
    assert not fates(before, after)[0] or fates(before, after, PATIENCE_S * 8)[0] == []
