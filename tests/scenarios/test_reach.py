"""The reach matrix, held against packets."""


import pytest

from tests.scenarios.small_vpc import small_vpc

pytestmark = [pytest.mark.packets, pytest.mark.topology.with_args(small_vpc)]


@pytest.mark.parametrize(("protocol", "port"), [("tcp", 80), ("tcp", 443), ("icmp", 0)])
def test_the_matrix_is_what_packets_find(lab, protocol, port):
    matrix = lab.reach(protocol=protocol, port=port)
    assert lab.reach_differences(matrix) == ()


def test_a_seeded_difference_is_found(lab):
    """The matrix of another port is wrong about some pairs, and packets say so."""
    from dataclasses import replace

    matrix = replace(lab.reach(port=80), port=22)
    assert ("web-1", "app-1") in {(difference.source, difference.destination) for difference in lab.reach_differences(matrix)} or not matrix.fate("web-1", "app-1").passes
