"""The neutral plan of a lab: what the engine makes true, without a word of AWS in it."""

from testbed.plan.errors import PlanError
from testbed.plan.network import (
    MAIN_TABLE,
    Certificate,
    Interface,
    Link,
    Neighbour,
    Node,
    NodeKind,
    Plan,
    PolicyRule,
    Route,
    RouteType,
    ServiceSpec,
    Wire,
)
from testbed.plan.nftables import NftChain, NftMap, NftRule, NftSet, NftTable, Ruleset, render

__all__ = [
    "MAIN_TABLE", "Certificate", "Interface", "Link", "Neighbour", "NftChain", "NftMap", "NftRule", "NftSet", "NftTable", "Node", "NodeKind",
    "Plan", "PlanError", "PolicyRule", "Route", "RouteType", "Ruleset", "ServiceSpec", "Wire", "render",
]
