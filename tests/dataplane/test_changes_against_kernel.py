"""A running network that becomes another one, and another: after each change every probe fares as the oracle says of what it is then."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from testbed.engine.lab import Lab
from testbed.model import Topology
from testbed.oracle import Oracle, Probe
from testbed.resolve import resolve
from tests import strategies, strategies_endpoints, strategies_networks
from tests.dataplane.test_oracle_against_kernel import ATTEMPTS, bare_plan, differences, inside_a_sandbox  # noqa: F401
from tests.strategies_networks import is_symmetric

STAGES = 3
PROBES = 12
KINDS = (
    (strategies.vpcs, strategies.probes),
    (strategies.vpcs_with_an_appliance, strategies.probes),
    (strategies_networks.networks, strategies_networks.probes),
    (strategies_endpoints.private_accesses, strategies_endpoints.probes),
)


@pytest.mark.packets
@settings(deadline=None, max_examples=settings.default.max_examples // 10, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_random_networks_that_change_behave_as_what_they_are(data: st.DataObject) -> None:
    """Subnets, hosts, routes, groups, ACLs, gateways, peerings and endpoints come and go; one kind of network becomes another."""

    def draw() -> tuple[Topology, list[Probe]]:
        topologies, probes = data.draw(st.sampled_from(KINDS))
        topology = data.draw(topologies())
        return topology, data.draw(st.lists(probes(topology), min_size=5, max_size=PROBES))

    stages = [(resolve(topology), asked) for topology, asked in (draw() for _ in range(STAGES))]
    with Lab(bare_plan(stages[0][0])) as lab:
        for number, (resolved, asked) in enumerate(stages):
            lab.apply(bare_plan(resolved))
            oracle = Oracle(resolved)
            symmetric = [probe for probe in asked if is_symmetric(oracle.walk(probe))]
            assert differences(lab, resolved, symmetric, first_attempt=number * ATTEMPTS) == []
