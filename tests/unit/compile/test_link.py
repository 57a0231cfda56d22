"""Joining fragments: in any order the same plan, and no contradiction passes."""

import random
from ipaddress import ip_network

import pytest

from testbed.compile.fragment import Fragment, NodePart
from testbed.compile.link import link
from testbed.plan import Interface, Link, NftChain, NftMap, NftRule, NftTable, Node, NodeKind, PlanError, Route, RouteType, ServiceSpec

NODE = NodePart(name="n", identity=Node(name="n", kind=NodeKind.FABRIC))
EVERYTHING = ip_network("0.0.0.0/0")


def part(**fields) -> Fragment:
    return Fragment(nodes=(NodePart(name="n", **fields),))


def table(*chains: NftChain, maps: tuple[NftMap, ...] = ()) -> tuple[NftTable, ...]:
    return (NftTable(name="t", maps=maps, chains=chains),)


def verdict_map(*elements: tuple[str, str]) -> NftMap:
    return NftMap(name="m", type="ifname", value_type="verdict", elements=elements)


PARTS = [
    Fragment(nodes=(NODE,)),
    part(routes=(Route(destination=EVERYTHING, type=RouteType.BLACKHOLE),)),
    part(routes=(Route(destination=ip_network("10.0.0.0/8"), type=RouteType.THROW, table=10001),)),
    part(tables=table(NftChain(name="a"), maps=(verdict_map(("x", "goto a")),))),
    part(tables=table(NftChain(name="b"), maps=(verdict_map(("y", "goto b")),))),
]


def test_the_order_of_fragments_carries_no_meaning():
    expected = link("lab", PARTS)
    for seed in range(10):
        shuffled = list(PARTS)
        random.Random(seed).shuffle(shuffled)
        assert link("lab", shuffled) == expected


def test_elements_of_one_map_add_up_over_fragments():
    (nft_table,) = link("lab", PARTS).node("n").ruleset.tables
    assert nft_table.maps[0].elements == (("x", "goto a"), ("y", "goto b"))


def test_what_two_fragments_say_alike_is_said_once():
    assert link("lab", [*PARTS, PARTS[3]]) == link("lab", PARTS)


@pytest.mark.parametrize(
    ("contradiction", "message"),
    [
        (part(routes=(Route(destination=EVERYTHING, type=RouteType.UNREACHABLE),)), "asked for twice"),
        (part(tables=table(NftChain(name="a", rules=(NftRule(statement="accept"),)))), "asked for twice"),
        (part(tables=table(maps=(verdict_map(("x", "goto b")),))), "asked for twice"),
        (part(tables=table(maps=(verdict_map(("z", "goto nowhere")),))), "leads to goto nowhere"),
        (part(tables=table(NftChain(name="c", rules=(NftRule(statement="iifname x jump nowhere"),)))), "leads nowhere"),
        (part(routes=(Route(destination=ip_network("10.1.0.0/16"), device="eth9"),)), "leaves by eth9"),
        (Fragment(nodes=(NodePart(name="ghost"),)), "nothing makes it"),
        (Fragment(links=(Link(a=Interface(node="n", name="a", mac="02:00:00:00:00:01"), b=Interface(node="z", name="b", mac="02:00:00:00:00:02")),)), "ends at z"),
        (Fragment(services=(ServiceSpec(name="s", kind="dns", node="n", config="{}", after=("t",)),)), "waits for"),
        (Fragment(services=(ServiceSpec(name="s", kind="dns", node="z", config="{}"),)), "runs on z"),
    ],
)
def test_a_contradiction_is_an_error_of_ours_that_names_it(contradiction, message):
    with pytest.raises(PlanError, match=message):
        link("lab", [*PARTS, contradiction])
