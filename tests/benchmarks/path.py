"""From instance to instance through the fabric: with security groups and network ACLs, against the same path without any filter.

One VPC, two instances in two subnets. Each subnet has an ACL of its own with `ACL_ENTRIES` entries a direction, and traffic crosses both; each interface
holds five groups with 10, 100 or 1,000 rules a direction in all, no more than AWS itself grants (200 rules in a group, five groups an interface;
"Amazon VPC quotas", documented). Beside it:

    no filters        the same plan without its `fabric` tables: links, routes and policy rules, and the router's restored TTL; no connection tracking.
                      This is what the goals are about.
    bare forwarding   without any ruleset: what the kernel does by itself, each packet one hop older. Told, so that nothing is hidden.

It is one lab, changed in place (`Lab.apply`) from filter to filter, so that all of them use the same interfaces and memory; every round measures each in
turn, in slices of a fraction of a second, a pause after the change: the kernel takes the former ruleset apart later, on the time of whoever runs, and with
1,000 rules that is felt for tens of milliseconds. A round's value is that of its best slice, since other load only ever makes it worse; told are the medians of the
rounds' ratios.
What bounds each measurement is told in `_traffic`.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RULES = (10, 100, 1000)
GROUPS = 5
ACL_ENTRIES = 10
VPC, SOURCE, SINK = "vpc-path", "source", "sink"
BLOCKS = {SOURCE: "10.0.1.0/24", SINK: "10.0.2.0/24"}
FILTERS = "fabric"
"""The table that filters; what else a namespace has is a router's work."""
PLAIN, BARE = "plain", "bare"
TURNS, SLICES = 6, 3
"""Turns of each path in a round, and slices of a turn; the best slice of all is the round's value."""
SETTLED_S = 0.1
"""From a change of filters to the first slice."""
WORDS = {
    "throughput": ("TCP throughput", "Gbit/s", 0.9),
    "packets": ("64-byte packets of an established flow", "packets/s", 0.8),
    "flows": ("new TCP flows", "flows/s", 0.55),
    "round_trip": ("round-trip time", "us", 1.15),
}
AT_MOST = ("round_trip",)
FLAT = 0.05
"""How much 1,000 rules may differ from 10."""

Values = dict[str, dict[str, list[float]]]
"""By what is measured and by path: a value for each round."""


def measure(rounds: int = 5) -> list[dict[str, Any]]:
    """Rows of {"name", "value", "unit", "against", "goal", "met"}; medians over `rounds`."""
    done = subprocess.run([sys.executable, "-m", "tests.benchmarks.path", str(rounds)], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return rows(json.loads(done.stdout.strip().splitlines()[-1]))


def rows(values: Values) -> list[dict[str, Any]]:
    """Each measurement against the path without filters, and 1,000 rules against 10."""
    return [row for what in WORDS for row in _rows(what, values[what])]


def _rows(what: str, values: dict[str, list[float]]) -> Iterator[dict[str, Any]]:
    words, unit, goal = WORDS[what]
    at_most = what in AT_MOST
    for rules in RULES:
        own, plain, bare = values[str(rules)], values[PLAIN], values[BARE]
        figures = f"{_figure(statistics.median(own))} to {_figure(statistics.median(plain))} {unit}"
        against = f"no filters, {figures}; {_ratio(own, bare):.2f} of bare forwarding"
        yield _row(f"{words}, {rules} rules", _ratio(own, plain), against, goal, at_most=at_most)
    many, few = values[str(RULES[-1])], values[str(RULES[0])]
    yield _row(f"{words}, flat", _ratio(many, few), f"{RULES[-1]} rules against {RULES[0]}", 1 + FLAT if at_most else 1 - FLAT, at_most=at_most)


def _row(name: str, value: float, against: str, goal: float, *, at_most: bool) -> dict[str, Any]:
    return {"name": name, "value": round(value, 3), "unit": "x", "against": against, "goal": goal, "met": value <= goal if at_most else value >= goal}


def _ratio(numbers: list[float], others: list[float]) -> float:
    """The median of the ratios, round by round."""
    return statistics.median(number / other for number, other in zip(numbers, others, strict=True))


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def topology(rules: int) -> Any:
    """Two instances in two subnets of one VPC, `rules` rules a direction on each interface."""
    from testbed.model import Instance, Quotas, Subnet, Topology, Vpc

    groups = _groups(rules)
    ids = tuple(group.id for group in groups)
    return Topology(
        name="path",
        quotas=Quotas(rules_per_security_group=1000 // GROUPS, security_groups_per_interface=GROUPS),
        resources=(
            Vpc(id=VPC, region="eu-west-1", cidr_block="10.0.0.0/16"),
            *(Subnet(id=f"subnet-{end}", vpc_id=VPC, cidr_block=block, availability_zone="eu-west-1a") for end, block in BLOCKS.items()),
            *(_acl(end) for end in BLOCKS),
            *groups,
            *(Instance(id=end, subnet_id=f"subnet-{end}", security_group_ids=ids) for end in BLOCKS),
        ),
    )


def _groups(rules: int) -> tuple[Any, ...]:
    """Groups full of other people's rules; the last rule of the last one is what lets the measured traffic through."""
    from testbed.model import SecurityGroup, SecurityGroupRule

    chance = random.Random(rules)
    all_rules = []
    for _ in range(rules - 1):
        block = IPv4Network((172 << 24 | chance.randrange(1 << 16) << 8, 24))
        port = chance.randrange(1, 60000)
        all_rules.append(SecurityGroupRule(ip_protocol=chance.choice(("tcp", "udp")), from_port=port, to_port=port + chance.choice((0, 0, 10, 1000)), cidr_ip=block))
    all_rules.append(SecurityGroupRule(ip_protocol="-1", cidr_ip="10.0.0.0/22"))
    share = rules // GROUPS
    return tuple(
        SecurityGroup(id=f"sg-{number}", vpc_id=VPC, security_group_ingress=part, security_group_egress=part)
        for number in range(GROUPS)
        for part in (tuple(all_rules[number * share : (number + 1) * share]),)
    )


def _acl(end: str) -> Any:
    """Denials of other networks first, then what the VPC's own hosts may do."""
    from testbed.model import Direction, NetworkAcl, NetworkAclEntry, PortRange, Protocol, Verdict

    allowed = ((100, Protocol.TCP, PortRange(first=1024, last=65535)), (110, Protocol.UDP, PortRange(first=1024, last=65535)), (120, Protocol.ICMP, None))
    entries = [
        entry
        for direction in Direction
        for entry in (
            *(
                NetworkAclEntry(rule_number=10 + number, direction=direction, rule_action=Verdict.DENY, cidr_block=f"203.0.{number}.0/24")
                for number in range(ACL_ENTRIES - len(allowed))
            ),
            *(
                NetworkAclEntry(rule_number=number, direction=direction, rule_action=Verdict.ALLOW, protocol=protocol, port_range=ports, cidr_block="10.0.0.0/16")
                for number, protocol, ports in allowed
            ),
        )
    ]
    return NetworkAcl(id=f"acl-{end}", vpc_id=VPC, entries=tuple(entries), associations=(f"subnet-{end}",))


def plans() -> dict[str, Any]:
    """The plan of each path, by name."""
    from testbed.compile import compile_plan
    from testbed.resolve import resolve

    filtered = {str(rules): replace(compile_plan(resolve(topology(rules))), services=()) for rules in RULES}
    whole = filtered[str(RULES[0])]
    bare = replace(whole, nodes=tuple(replace(node, ruleset=None) for node in whole.nodes))
    plain = replace(whole, nodes=tuple(replace(node, ruleset=_without_filters(node.ruleset)) for node in whole.nodes))
    return {BARE: bare, PLAIN: plain, **filtered}


def _without_filters(ruleset: Any) -> Any:
    return None if ruleset is None else replace(ruleset, tables=tuple(table for table in ruleset.tables if table.name != FILTERS))


def run(rounds: int) -> Values:
    """The best slice of each round, for everything."""
    from testbed.engine import sandbox
    from testbed.engine.lab import Lab
    from tests.benchmarks import _traffic

    paths = plans()
    sandbox.enter()
    measurements: dict[str, Callable[[Any], float]] = {
        "throughput": _traffic.throughput_gbit_s,
        "packets": _traffic.packets_per_s,
        "flows": _traffic.flows_per_s,
        "round_trip": _traffic.round_trip_us,
    }
    values: Values = {what: {name: [] for name in paths} for what in measurements}
    with Lab(paths[PLAIN]) as lab, _traffic.Way(lab, SOURCE, SINK) as way:
        for what, measured in measurements.items():
            measured(way)  # warm
            for _ in range(rounds):
                slices: dict[str, list[float]] = {name: [] for name in paths}
                for turn in range(TURNS):
                    for name in paths if turn % 2 else reversed(paths):
                        lab.apply(paths[name])
                        time.sleep(SETTLED_S)
                        slices[name] += [measured(way) for _ in range(SLICES)]
                for name, found in slices.items():
                    values[what][name].append(min(found) if what in AT_MOST else max(found))
    return values


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]))))
    sys.stdout.flush()
    os._exit(0)
