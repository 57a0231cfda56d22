"""The two independent truths, held against each other: every probe must fare in the kernel as the oracle says."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from testbed.compile import compile_plan
from testbed.engine import sandbox
from testbed.engine.lab import Lab
from testbed.model import LoadBalancer, Protocol, VpcEndpoint
from testbed.model.load_balancer import NETWORK
from testbed.oracle import Oracle, Outcome, Probe, Stage
from testbed.plan import NodeKind, Plan
from testbed.resolve import Resolved, resolve
from tests.dataplane.probing import Seen, distinct, send
from tests.strategies import SERVICE_PORTS, probes, vpcs
from topologies.web_app import web_app

HOSTS = (NodeKind.INSTANCE, NodeKind.USER, NodeKind.LOAD_BALANCER, NodeKind.DATABASE, NodeKind.SERVICES_PLANE)
PROBES_PER_VPC = 25
ATTEMPTS = 3
PATIENCE_S = 0.2


def disagreements(resolved: Resolved, asked: Sequence[Probe], compiled_from: Resolved | None = None) -> list[str]:
    """Run the network, without its services, and say where kernel and oracle differ."""
    with Lab(bare_plan(compiled_from or resolved)) as lab:
        return differences(lab, resolved, asked)


def bare_plan(resolved: Resolved) -> Plan:
    """The network without its services."""
    return replace(compile_plan(resolved), services=(), name="dataplane")


def differences(lab: Lab, resolved: Resolved, asked: Sequence[Probe], first_attempt: int = 0) -> list[str]:
    """Where the running network and the oracle differ.

    A probe that differs is sent again as another flow, with more patience: a busy machine loses time, a wrong rule does not.
    """
    oracle = Oracle(resolved)
    endpoints = aws_endpoints(resolved)
    passed_through = {balancer.id for balancer in resolved.topology.of(LoadBalancer) if balancer.type == NETWORK}
    hosts = [node for node in lab.plan.nodes if (node.kind in HOSTS or node.origin in endpoints) and node.origin not in passed_through]
    for attempt in range(ATTEMPTS):
        asked = distinct(asked, first_attempt + attempt)
        seen = send(lab, hosts, asked, SERVICE_PORTS, patience_s=PATIENCE_S * 4**attempt)
        found = {probe: difference for probe, saw in zip(asked, seen, strict=True) if (difference := _difference(oracle, probe, saw, endpoints))}
        asked = tuple(found)
        if not asked:
            break
    return list(found.values())


def aws_endpoints(resolved: Resolved) -> set[str]:
    """The endpoints of AWS's own services: they end a flow as a host does, a provider's leads on to its balancer's target."""
    return {endpoint.id for endpoint in resolved.topology.of(VpcEndpoint) if endpoint.aws_service is not None}


def _difference(oracle: Oracle, probe: Probe, saw: Seen, endpoints: set[str]) -> str | None:
    walk = oracle.walk(probe)
    end = walk.request.hops[-1]
    refused_there = end.stage is Stage.VPC_ENDPOINT and end.where in endpoints  # what an endpoint does not answer has still come to it
    says = Seen(arrived=walk.request.outcome is Outcome.DELIVERED or refused_there, replied=walk.reply is not None and walk.reply.outcome is Outcome.DELIVERED)
    if says == saw:
        return None
    return f"{probe}\n    oracle {says} because of {walk.origin} ({walk.leg})\n    kernel {saw}"


@pytest.fixture(autouse=True)
def inside_a_sandbox(lab_sandbox: None) -> None:
    """Every test here sends packets."""
    assert sandbox.inside()


@pytest.mark.packets
def test_web_app_behaves_as_documented_between_all_its_hosts() -> None:
    topology = web_app()
    resolved = resolve(topology)
    hosts = {interface.node: interface for interface in resolved.interfaces if interface.owner_kind.value != "nat-gateway"}
    users = {user.node: user.address for user in resolved.users}
    targets = [i.address for i in hosts.values()] + [i.public_address for i in resolved.interfaces if i.public_address] + list(users.values())
    asked = [
        Probe(source=source, destination=target, protocol=protocol, destination_port=port, source_port=0, icmp_type=8 if protocol is Protocol.ICMP else None, icmp_code=0 if protocol is Protocol.ICMP else None)
        for source, target in itertools.product([*hosts, *users], targets)
        if target not in (users.get(source), hosts[source].address if source in hosts else None, hosts[source].public_address if source in hosts else None)
        for protocol, port in ((Protocol.TCP, 80), (Protocol.TCP, 443), (Protocol.TCP, 5432), (Protocol.UDP, 443), (Protocol.ICMP, None))
    ]
    assert len(asked) > 400
    assert disagreements(resolved, asked) == []


@pytest.mark.packets
@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_random_vpcs_behave_as_documented(data: st.DataObject) -> None:
    topology = data.draw(vpcs())
    asked = data.draw(st.lists(probes(topology), min_size=5, max_size=PROBES_PER_VPC))
    assert disagreements(resolve(topology), asked) == []


@pytest.mark.packets
def test_a_fault_seeded_into_resolve_is_caught() -> None:
    """The kernel follows resolve's memberships, the oracle finds its own: sg-web without members must make them disagree about the database."""
    topology = web_app()
    resolved = resolve(topology)
    faulty = replace(resolved, members=tuple((group, () if group == "sg-web" else addresses) for group, addresses in resolved.members))
    database = next(interface.address for interface in resolved.interfaces if interface.owner == "shop-db")
    asked = [Probe(source="web-a", destination=database, protocol=Protocol.TCP, destination_port=5432, source_port=0)]
    assert disagreements(resolved, asked) == []
    assert len(disagreements(resolved, asked, compiled_from=faulty)) == 1
