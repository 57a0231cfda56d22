"""The neutral plan of a lab: what the engine makes true, without a word of AWS in it."""

from testbed.plan.diff import Change, Delta, EndedFlows, LinkChange, NodeChange, diff
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
    Tun,
    Vlan,
    Wire,
)
from testbed.plan.nftables import NftChain, NftMap, NftRule, NftSet, NftTable, NftTimeout, Ruleset, render
from testbed.plan.outline import NOTHING_IS_READ, must_be_read, outline
from testbed.plan.portions import change_commands, ruleset_commands
from testbed.plan.table_changes import ElementsChange, TableChange, render_change, table_change

__all__ = [
    "MAIN_TABLE", "NOTHING_IS_READ", "Certificate", "Change", "Delta", "ElementsChange", "EndedFlows", "Interface", "Link", "LinkChange", "Neighbour", "NftChain", "NftMap", "NftRule", "NftSet",
    "NftTable", "NftTimeout", "Node", "NodeChange", "NodeKind", "Plan", "PlanError", "PolicyRule", "Route", "RouteType", "Ruleset", "ServiceSpec",
    "TableChange", "Tun", "Vlan", "Wire", "change_commands", "diff", "must_be_read", "outline", "render", "render_change", "ruleset_commands", "table_change",
]
