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
from testbed.model import Protocol
from testbed.oracle import Oracle, Outcome, Probe
from testbed.plan import NodeKind
from testbed.resolve import Resolved, resolve
from tests.dataplane.probing import Seen, distinct, send
from tests.strategies import SERVICE_PORTS, probes, vpcs
from topologies.web_app import web_app

HOSTS = (NodeKind.INSTANCE, NodeKind.USER, NodeKind.LOAD_BALANCER, NodeKind.DATABASE)
PROBES_PER_VPC = 25
ATTEMPTS = 3
PATIENCE_S = 0.2


def disagreements(resolved: Resolved, asked: Sequence[Probe], compiled_from: Resolved | None = None) -> list[str]:
    """Run the network, without its services, and say where kernel and oracle differ.

    A probe that differs is sent again as another flow, with more patience: a busy machine loses time, a wrong rule does not.
    """
    oracle = Oracle(resolved)
    plan = replace(compile_plan(compiled_from or resolved), services=(), name="dataplane")
    hosts = [node for node in plan.nodes if node.kind in HOSTS]
    with Lab(plan) as lab:
        for attempt in range(ATTEMPTS):
            asked = distinct(asked, attempt)
            seen = send(lab, hosts, asked, SERVICE_PORTS, patience_s=PATIENCE_S * 4**attempt)
            differences = {probe: difference for probe, saw in zip(asked, seen, strict=True) if (difference := _difference(oracle, probe, saw))}
            asked = tuple(differences)
            if not asked:
                break
    return list(differences.values())


def _difference(oracle: Oracle, probe: Probe, saw: Seen) -> str | None:
    walk = oracle.walk(probe)
    says = Seen(arrived=walk.request.outcome is Outcome.DELIVERED, replied=walk.reply is not None and walk.reply.outcome is Outcome.DELIVERED)
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
