"""The two independent truths over transit gateways: attachments, zones, tables, propagation, groups beyond the hub, peerings."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from testbed.oracle import Oracle
from testbed.resolve import resolve
from tests.dataplane.test_oracle_against_kernel import PROBES_PER_VPC, disagreements, inside_a_sandbox  # noqa: F401
from tests.strategies_hubs import hubs, probes
from tests.strategies_networks import is_symmetric


@pytest.mark.packets
@settings(deadline=None, max_examples=settings.default.max_examples // 3, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_random_hubs_behave_as_documented(data: st.DataObject) -> None:
    topology = data.draw(hubs())
    resolved = resolve(topology)
    oracle = Oracle(resolved)
    asked = [probe for probe in data.draw(st.lists(probes(topology), min_size=5, max_size=PROBES_PER_VPC)) if is_symmetric(oracle.walk(probe))]
    assert disagreements(resolved, asked) == []
