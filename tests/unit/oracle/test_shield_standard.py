"""What Shield Standard refuses of single packets, by AWS's documents."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from testbed.model import Internet, Protocol
from testbed.oracle import Oracle, Outcome, Probe, Stage, Walk
from testbed.resolve import resolve
from topologies.shield import shield

EDGE, WEB, ROUTE_53 = IPv4Address("203.0.113.23"), IPv4Address("198.19.12.50"), IPv4Address("192.0.2.53")
TOPOLOGY = shield()
ORACLE = Oracle(resolve(TOPOLOGY))
WITHOUT = Oracle(resolve(replace(TOPOLOGY, resources=tuple(replace(each, shield_standard=False) if isinstance(each, Internet) else each for each in TOPOLOGY.resources))))


def sent(oracle: Oracle, destination: IPv4Address, source_port: int = 40000, claimed: str | None = None, protocol: Protocol = Protocol.UDP, source: str = "crowd") -> Walk:
    forged = None if claimed is None else IPv4Address(claimed)
    return oracle.walk(Probe(source=source, destination=destination, protocol=protocol, source_port=source_port, destination_port=80, claimed_source=forged))


@pytest.mark.parametrize("destination", [EDGE, WEB, ROUTE_53])
@pytest.mark.parametrize("claimed", ["10.1.2.3", "192.168.0.1", "127.0.0.1", "240.0.0.1"])
def test_a_source_that_nobody_has_is_refused_everywhere(destination: IPv4Address, claimed: str) -> None:
    (last,) = sent(ORACLE, destination, claimed=claimed).request.hops[-1:]
    assert last.stage is Stage.SHIELD
    assert last.origin.startswith("Shield Standard (packet validation")


@pytest.mark.parametrize("port", [53, 123, 11211])
def test_an_edge_location_takes_no_answers_that_it_has_not_asked_for(port: int) -> None:
    assert "UDP reflection" in sent(ORACLE, EDGE, source_port=port).origin
    assert sent(ORACLE, EDGE, source_port=40000).request.outcome is Outcome.DELIVERED
    assert sent(ORACLE, EDGE, source_port=port, source="resolver-london").request.outcome is Outcome.DELIVERED


@pytest.mark.parametrize("port", [53, 123, 40000])
def test_an_elastic_ip_may_have_business_with_such_ports(port: int) -> None:
    assert sent(ORACLE, WEB, source_port=port).request.outcome is Outcome.DELIVERED


def test_tcp_from_such_ports_is_no_reflection() -> None:
    assert sent(ORACLE, EDGE, source_port=53, protocol=Protocol.TCP).outcome is Outcome.DELIVERED


@pytest.mark.parametrize(("destination", "port", "claimed"), [(EDGE, 53, None), (EDGE, 40000, "10.1.2.3"), (WEB, 40000, "10.1.2.3")])
def test_a_teacher_may_switch_it_off(destination: IPv4Address, port: int, claimed: str | None) -> None:
    assert sent(WITHOUT, destination, source_port=port, claimed=claimed).request.outcome is Outcome.DELIVERED


def test_advice_says_who_it_was() -> None:
    advice = ORACLE.advise(sent(ORACLE, EDGE, claimed="10.1.2.3"))
    assert advice.cause.startswith("Shield Standard")
