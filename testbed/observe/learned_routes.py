"""Routes that BGP has put into the kernels of a running lab, as routes of its plan: no plan has them, since they come and go by themselves.

Each is named as static ones are: the table that the kernel's rules lead to, the destination, and what the device is for (an attachment, a gateway, a virtual interface, a tunnel).
Source: ip-route(8); BIRD's routes have the protocol number 12 (rtnetlink(7), RTPROT_BIRD).
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import replace
from ipaddress import IPv4Network
from typing import Any

from testbed.observe.lab_view import LabView
from testbed.plan import MAIN_TABLE, Node, Plan, Route

SPEAKER = "bgp"
BIRD = "12"
TIMEOUT_S = 5.0


def with_learned_routes(lab: LabView) -> Plan:
    """The plan in force with what its BGP speakers have learned by now."""
    plan = lab.plan
    speaking = {service.node for service in plan.services if service.kind == SPEAKER}
    asked = {name: lab.popen(name, ["ip", "-j", "-N", "-4", "route", "show", "table", "all", "proto", BIRD], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) for name in sorted(speaking)}
    told = {name: json.loads(program.communicate(timeout=TIMEOUT_S)[0] or b"[]") for name, program in asked.items()}
    return replace(plan, nodes=tuple(replace(node, routes=(*node.routes, *learned_routes(node, plan, told[node.name]))) if told.get(node.name) else node for node in plan.nodes))


def learned_routes(node: Node, plan: Plan, told: list[Mapping[str, Any]]) -> Iterator[Route]:
    """The routes of `node` of which ``ip -j route`` has told; of several next hops the first stands for all."""
    origins = {end.name: end.origin for link in plan.links for end in (link.a, link.b) if end.node == node.name}
    origins |= {tun.name: tun.origin for tun in node.tuns}
    for each in told:
        hop = each.get("nexthops", [each])[0]
        destination = IPv4Network("0.0.0.0/0" if each["dst"] == "default" else each["dst"])
        table = int(each.get("table", MAIN_TABLE))
        named = next((rule.origin for rule in node.rules if rule.table == table), node.name)
        yield Route(
            destination=destination, table=table, device=hop.get("dev"), metric=int(each.get("metric", 0)),
            origin=f"{named} {destination} -> {origins.get(hop.get('dev', ''), hop.get('dev', ''))} (BGP)",
        )  # fmt: skip
