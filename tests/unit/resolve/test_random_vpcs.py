"""The random VPCs of `tests.strategies`, on which kernel and oracle are compared."""

from hypothesis import HealthCheck, given, settings

from testbed.resolve import resolve
from tests.strategies import vpcs


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(vpcs())
def test_a_random_vpc_has_no_fault(topology):
    assert resolve(topology).topology is topology
