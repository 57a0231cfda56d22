"""The two independent truths over network firewalls: the oracle's own evaluation of rules, and what nftables and Suricata do with packets."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from testbed.compile import compile_plan
from testbed.engine.lab import Lab
from testbed.model import FirewallPolicy, RuleGroup
from testbed.oracle import Oracle, Probe
from testbed.resolve import resolve
from tests.dataplane.probing import Seen, distinct, send
from tests.dataplane.test_oracle_against_kernel import inside_a_sandbox  # noqa: F401
from tests.scenarios.firewalls import NEEDS_SURICATA
from tests.strategies_firewalls import HIGHEST, LOWEST, firewalls, probes

EXAMPLES = 4
PATIENCE_S = (0.25, 1.0)


@NEEDS_SURICATA
@pytest.mark.packets
@settings(deadline=None, max_examples=EXAMPLES, phases=(Phase.explicit, Phase.reuse, Phase.generate), suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_random_policies_are_carried_out_as_they_are_documented(data: st.DataObject) -> None:
    topology = data.draw(firewalls())
    resolved = resolve(topology)
    oracle, plan = Oracle(resolved), compile_plan(resolved)
    engines = tuple(service for service in plan.services if service.kind == "suricata")
    with Lab(replace(plan, services=engines, name="firewalls")) as lab:
        hosts = [node for node in lab.plan.nodes if node.name in ("near", "far")]
        asked = probes()
        for attempt, patience_s in enumerate(PATIENCE_S):
            asked = distinct(asked, attempt)
            seen = send(lab, hosts, asked, range(LOWEST, HIGHEST + 1), patience_s=patience_s)
            found = {probe: saw for probe, saw in zip(asked, seen, strict=True) if says(oracle, probe) != (saw.arrived, saw.replied)}
            asked = tuple(found)
            if not asked:
                break
    written = [*(rule for group in topology.of(RuleGroup) for rule in (*group.stateless_rules, *(rule.text() for rule in group.rules()))), *topology.of(FirewallPolicy)]
    assert [_difference(probe, oracle, saw) for probe, saw in found.items()] == [], written


def _difference(probe: Probe, oracle: Oracle, saw: Seen) -> str:
    walk = oracle.walk(probe)
    return f"{probe.source} {probe.protocol.name} {probe.destination_port}: {saw}, but {walk.leg.value} {walk.outcome.value} by {walk.origin}"


def says(oracle: Oracle, probe: Probe) -> tuple[bool, bool]:
    walk = oracle.walk(probe)
    return walk.request.outcome.value == "delivered", walk.reply is not None and walk.reply.outcome.value == "delivered"
