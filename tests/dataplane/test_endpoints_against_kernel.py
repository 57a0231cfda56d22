"""The two independent truths about private ways: gateway endpoints, interface endpoints, PrivateLink and its balancer, with NAT and peering beside them."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from testbed.resolve import resolve
from tests.dataplane.test_oracle_against_kernel import PROBES_PER_VPC, disagreements, inside_a_sandbox  # noqa: F401
from tests.strategies_endpoints import private_accesses, probes


@pytest.mark.packets
@settings(deadline=None, max_examples=settings.default.max_examples // 4, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_random_private_accesses_behave_as_documented(data: st.DataObject) -> None:
    topology = data.draw(private_accesses())
    asked = data.draw(st.lists(probes(topology), min_size=10, max_size=PROBES_PER_VPC))
    assert disagreements(resolve(topology), asked) == []
