"""The hybrid network as a plan: what the backup needs of the primary, and who is told what."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from testbed.compile import compile_plan
from testbed.model import Internet
from testbed.model.errors import ModelError
from testbed.resolve import resolve
from topologies.hybrid import hybrid

PLAN = compile_plan(resolve(hybrid()))


def neighbours(node: str) -> dict[str, dict[str, object]]:
    config = json.loads(next(service.config for service in PLAN.services if service.name == f"{node}.bgp"))
    return {neighbour["name"]: neighbour for neighbour in config["neighbours"]}


def wires(topology) -> dict[str, float]:
    return {link.origin: link.wire.jitter_ms for link in compile_plan(resolve(topology)).links if link.wire is not None}


def test_the_internets_delay_varies_and_the_fibres_does_not():
    jitter = wires(hybrid())
    assert (jitter["Dublin - Paris"], jitter["dxcon-hq"], jitter["dxga-ireland"]) == (3, 0, 0)


def test_jitter_is_never_more_than_the_way_takes():
    topology = hybrid()
    wild = replace(topology, resources=(*(each for each in topology.resources if not isinstance(each, Internet)), Internet(jitter_ms=500)))
    assert 0 < wires(wild)["Dublin - Paris"] < 10


@pytest.mark.parametrize("jitter_ms", [-1, 5000])
def test_a_jitter_that_is_none_is_a_mistake(jitter_ms):
    with pytest.raises(ModelError, match="jitter_ms"):
        resolve(replace(hybrid(), resources=(*(each for each in hybrid().resources if not isinstance(each, Internet)), Internet(jitter_ms=jitter_ms))))


def test_a_transit_gateway_is_not_told_of_the_prefixes_that_it_allows():
    assert neighbours("dxgw-london")["tgw-ireland"]["advertise"] == {"prefixes": None, "learned": True, "originated": False, "med": None, "prepend": 0, "communities": []}


def test_a_dead_router_at_the_location_is_noticed_at_both_its_sides():
    assert neighbours("tgw-ireland")["dxgw-london"]["bfd"] and neighbours("router-hq")["dxvif-hq"]["bfd"]
    rules = [rule.statement for table in PLAN.node("tgw-ireland").ruleset.tables for chain in table.chains for rule in chain.rules]
    assert any("udp dport 3784 accept" in rule for rule in rules)


def test_segments_are_clamped_on_the_fibre_as_in_the_tunnels():
    chains = {chain.name: chain for table in PLAN.node("router-hq").ruleset.tables for chain in table.chains}
    for chain, device in (("clamp_fibres", "dxcon-hq.200"), ("clamp", "ipsec*")):
        assert all("size set 1360" in rule.statement and device in rule.statement for rule in chains[chain].rules), chain
