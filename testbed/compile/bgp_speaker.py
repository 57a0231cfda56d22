"""The BGP speaker of a node: one BIRD for every session that ends there.

Router ids are made of the node's name: a neighbour that joins changes none, and two nodes share none but for a clash of hashes (BIRD would say so).
"""

from __future__ import annotations

from ipaddress import IPv4Address

from services.bgp.config import Config, Neighbour, Originated, Table
from services.common.config import encode
from testbed.plan import ServiceSpec
from testbed.resolve.interfaces import hashed

KIND = "bgp"
IDS = 2**32 - 1


def speaker(node: str, asn: int, *, tables: tuple[Table, ...], neighbours: tuple[Neighbour, ...], originated: tuple[Originated, ...] = (), origin: str) -> tuple[ServiceSpec, ...]:
    """The service of a node that speaks BGP; none if it has no neighbours."""
    if not neighbours:
        return ()
    ordered = tuple(sorted(neighbours, key=lambda neighbour: neighbour.name))
    config = Config(name=node, router_id=IPv4Address(1 + hashed(node) % IDS), asn=asn, tables=tables, neighbours=ordered, originated=originated)
    return (ServiceSpec(name=service_name(node), kind=KIND, node=node, config=encode(config), origin=origin),)


def service_name(node: str) -> str:
    """The service of a node's speaker."""
    return f"{node}.{KIND}"
