"""A lab with more VPCs than a byte can count, and subnets that fill them."""

from __future__ import annotations

from testbed.compile import compile_plan
from testbed.resolve import resolve
from tests.benchmarks.tgw import topology


def test_every_interface_has_a_mac_address_of_its_own():
    macs = [interface.mac for interface in resolve(topology(600)).interfaces]
    assert len(set(macs)) == len(macs) == 600
    assert all(int(mac[:2], 16) & 3 == 2 for mac in macs)


def test_a_subnet_may_fill_its_vpc_and_every_vpc_has_its_link_to_the_transit_gateway():
    plan = compile_plan(resolve(topology(300)))
    assert sum("tgw" in (link.a.node, link.b.node) for link in plan.links) == 300
