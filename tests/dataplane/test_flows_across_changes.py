"""Flows that a change of rules meets, and flows that cross a VPC twice: kernel and oracle, held against each other."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from testbed.compile import compile_plan
from testbed.engine import sandbox
from testbed.engine.lab import Lab
from testbed.model import Protocol
from testbed.oracle import Memory, Oracle, Outcome
from testbed.resolve import resolve
from tests.dataplane.probing import Seen, distinct, send
from tests.dataplane.test_oracle_against_kernel import HOSTS, disagreements
from tests.strategies import SERVICE_PORTS, other_rules, probes, vpcs, vpcs_with_an_appliance

EXAMPLES = 40
PATIENCE_S = 0.25


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


@pytest.mark.packets
@settings(deadline=None, max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_flows_fare_as_documented_when_rules_change_under_them(data: st.DataObject) -> None:
    """UDP and pings: a TCP probe's answer is a reset, after which there is no flow. What was dropped on its way is left out: see `compile.fabric`."""
    before = data.draw(st.one_of(vpcs(), vpcs_with_an_appliance()))
    after = data.draw(other_rules(before))
    asked = distinct([probe for probe in data.draw(st.lists(probes(before), min_size=15, max_size=25)) if probe.protocol is not Protocol.TCP])
    old, new = resolve(before), resolve(after)
    first, second = Oracle(old), Oracle(new)
    plan = replace(compile_plan(old), services=(), name="flows")
    hosts = [node for node in plan.nodes if node.kind in HOSTS]
    with Lab(plan) as lab:
        send(lab, hosts, asked, SERVICE_PORTS, patience_s=PATIENCE_S)
        lab.apply(replace(compile_plan(new), services=(), name="flows"))
        seen = send(lab, hosts, asked, SERVICE_PORTS, patience_s=PATIENCE_S * 2)
    wrong = []
    for probe, saw in zip(asked, seen, strict=True):
        memory = Memory()
        if first.walk(probe, memory).request.outcome is not Outcome.DELIVERED:
            continue
        walk = second.walk(probe, memory)
        says = Seen(arrived=walk.request.outcome is Outcome.DELIVERED, replied=walk.reply is not None and walk.reply.outcome is Outcome.DELIVERED)
        if says != saw:
            wrong.append(f"{probe}\n    oracle {says} because of {walk.origin} ({walk.leg})\n    kernel {saw}")
    assert wrong == []
