"""What a name given to `testbed fail` means, and in which words it fails."""

from __future__ import annotations

from dataclasses import replace

import pytest

from testbed.cli.breakable import chosen
from testbed.cli.exits import BadSource
from testbed.cli.fail import _mode
from testbed.engine.errors import RealiseError
from testbed.engine.failure import affected, names, zones
from testbed.plan import Interface, Link, Node, NodeKind, Plan, ServiceSpec
from testbed.plan.network import Vlan

FIBRE = Link(a=Interface(node="router-dc", name="dx", mac="02:00:00:00:00:01"), b=Interface(node="tgw", name="fibre", mac="02:00:00:00:00:02"), origin="dx-1")
VIF = Link(
    a=Interface(node="router-dc", name="vif", mac="02:00:00:00:00:03"), b=Interface(node="tgw", name="vif", mac="02:00:00:00:00:04"), vlan=Vlan(tag=7, trunk=FIBRE.key), origin="vif-1"
)
LAN = Link(a=Interface(node="host", name="eth0", mac="02:00:00:00:00:05"), b=Interface(node="router-dc", name="lan", mac="02:00:00:00:00:06"))
PLAN = Plan(
    name="small",
    nodes=tuple(Node(name=name, kind=NodeKind.INSTANCE) for name in ("host", "router-dc", "tgw")),
    links=(LAN, FIBRE, VIF),
    services=(ServiceSpec(name="router-dc.bgp", kind="bgp", node="router-dc", config="{}"),),
)


@pytest.mark.parametrize("what", ["dx-1", "router-dc/dx", "tgw/fibre"])
def test_what_a_trunk_suffers_its_vlans_suffer(what):
    assert affected(PLAN, what) == ((FIBRE, VIF), ())


def test_two_nodes_name_all_that_is_between_them_either_way():
    assert affected(PLAN, "tgw--router-dc") == affected(PLAN, "router-dc--tgw") == ((FIBRE, VIF), ())


def test_a_node_fails_with_its_links_and_services():
    assert affected(PLAN, "router-dc") == ((LAN, FIBRE, VIF), ("router-dc.bgp",))


def test_a_zone_fails_with_all_its_nodes_and_what_joins_them_to_others():
    in_zones = replace(PLAN, nodes=tuple(replace(node, zone={"host": "z-a", "tgw": "z-b"}.get(node.name, "")) for node in PLAN.nodes))
    assert zones(in_zones) == ("z-a", "z-b") and {"z-a", "z-b"} <= set(names(in_zones))
    assert affected(in_zones, "z-a") == ((LAN,), ())
    assert affected(in_zones, "z-b") == ((FIBRE, VIF), ())
    assert chosen(in_zones, ("az", "z-a")) == chosen(in_zones, ("z-a",)) == "z-a"
    with pytest.raises(BadSource, match="z-c is no Availability Zone of small"):
        chosen(in_zones, ("az", "z-c"))


def test_a_service_fails_alone():
    assert affected(PLAN, "router-dc.bgp") == ((), ("router-dc.bgp",))


def test_a_wrong_name_is_told_the_nearest_ones():
    with pytest.raises(RealiseError, match="router-dc"):
        affected(PLAN, "router-cd")
    assert "vif-1" in names(PLAN)


@pytest.mark.parametrize(
    ("text", "mode"),
    [("cut", ("cut", {})), ("blackhole", ("blackhole", {})), ("loss 5%", ("loss", {"loss": 5.0})), ("delay 80ms jitter 2.5ms", ("delay", {"delay": 80.0, "jitter": 2.5}))],
)
def test_ways_to_fail(text, mode):
    assert _mode(text) == mode


@pytest.mark.parametrize("text", ["", "loss", "loss 5", "loss 5ms", "loss 500%", "delay 80%", "jitter 5ms", "delay 5ms loss 5%", "flood"])
def test_what_is_no_way_to_fail(text):
    with pytest.raises(BadSource):
        _mode(text)
