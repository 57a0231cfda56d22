"""Sizes and fragments, oracle against kernel: everything at and around each MTU, over NAT gateways, the internet gateway and inside the VPC."""

from __future__ import annotations

import itertools

import pytest

from testbed.model import Protocol
from testbed.oracle import Probe
from testbed.resolve import resolve
from tests.dataplane.test_oracle_against_kernel import disagreements
from tests.strategies import SIZES, TCP_LENGTHS
from topologies.nat import nat


@pytest.fixture(autouse=True)
def inside_a_sandbox(lab_sandbox: None) -> None:
    """Every test here sends packets."""


@pytest.mark.packets
def test_packets_of_every_size_fare_as_documented() -> None:
    resolved = resolve(nat())
    private = {interface.node: interface.address for interface in resolved.interfaces}
    public = {interface.node: interface.public_address for interface in resolved.interfaces}
    server = next(user.address for user in resolved.users if user.node == "server")
    ways = (("app-1", server), ("web", server), ("hidden", server), ("no-address", server), ("app-1", private["web"]), ("server", public["web"]), ("app-2", public["web"]))
    asked = [
        Probe(source=source, destination=destination, protocol=protocol, length_bytes=TCP_LENGTHS[length] if protocol is Protocol.TCP else length, dont_fragment=dont_fragment,
              destination_port=None if protocol is Protocol.ICMP else 443, icmp_type=8 if protocol is Protocol.ICMP else None, icmp_code=0 if protocol is Protocol.ICMP else None)
        for (source, destination), protocol, (length, dont_fragment) in itertools.product(ways, (Protocol.TCP, Protocol.UDP, Protocol.ICMP), sorted(set(SIZES)))
        if destination is not None
    ]  # fmt: skip
    assert disagreements(resolved, asked) == []
