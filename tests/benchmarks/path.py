"""From instance to instance through the fabric: with security groups and network ACLs, against the same path without any filter.

One VPC, two instances in two subnets. Each subnet has an ACL of its own with `ACL_ENTRIES` entries a direction (traffic meets both, outward and inward);
each interface holds five groups with 10, 100 or 1,000 rules a direction in all: no more than AWS itself grants (200 rules in a group, five groups an
interface; "Amazon VPC quotas", documented). The peer without filters is the compiled plan with every ruleset taken away: the same links, routes and policy
rules, no connection tracking. All of them run side by side in one sandbox, and every round measures each in turn, in slices of a fraction of a
second; values are medians of the rounds' ratios, so that other load on the machine touches both sides alike.

What bounds each measurement (see `_traffic`): TCP, two processes that copy; packets/s, one core that does all the work of a packet from a raw socket
to the receiver's UDP; new flows/s, one core that connects and resets (the listener accepts on another); round trips, the kernel's answer to a ping, with no
process but the sender involved: whatever the filter costs is seen undiluted.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RULES = (10, 100, 1000)
GROUPS = 5
ACL_ENTRIES = 10
PLAIN = "plain"
GOALS = {"throughput": 0.9, "packets": 0.8, "flows": 0.55, "round_trip": 1.15}
WORDS = {
    "throughput": ("TCP throughput", "Gbit/s"),
    "packets": ("64-byte packets of an established flow", "packets/s"),
    "flows": ("new TCP flows", "flows/s"),
    "round_trip": ("round-trip time", "us"),
}
AT_MOST = ("round_trip",)
FLAT = 0.05
"""How much 1,000 rules may differ from 10."""


def measure(rounds: int = 5) -> list[dict[str, Any]]:
    """Rows of {"name", "value", "unit", "against", "goal", "met"}; medians over `rounds`."""
    done = subprocess.run([sys.executable, "-m", "tests.benchmarks.path", str(rounds)], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    values: dict[str, dict[str, list[float]]] = json.loads(done.stdout.strip().splitlines()[-1])
    return [row for what in WORDS for row in _rows(what, values[what])]


def _rows(what: str, values: dict[str, list[float]]) -> Iterator[dict[str, Any]]:
    words, unit = WORDS[what]
    plain = statistics.median(values[PLAIN])
    for rules in RULES:
        own = values[str(rules)]
        against = f"no filters ({_figure(plain)} {unit}; filtered {_figure(statistics.median(own))})"
        yield _row(f"{words}, {rules} rules", _ratio(own, values[PLAIN]), against, GOALS[what], at_most=what in AT_MOST)
    many, few = values[str(RULES[-1])], values[str(RULES[0])]
    goal = 1 + FLAT if what in AT_MOST else 1 - FLAT
    yield _row(f"{words}, flat", _ratio(many, few), f"{RULES[-1]} rules against {RULES[0]}", goal, at_most=what in AT_MOST)


def _row(name: str, value: float, against: str, goal: float, *, at_most: bool) -> dict[str, Any]:
    return {"name": name, "value": round(value, 3), "unit": "x", "against": against, "goal": goal, "met": value <= goal if at_most else value >= goal}


def _ratio(numbers: list[float], others: list[float]) -> float:
    """The median of the ratios, round by round."""
    return statistics.median(number / other for number, other in zip(numbers, others, strict=True))


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def topology(rules: int, name: str) -> Any:
    """Two instances in two subnets of one VPC, `rules` rules a direction on each interface."""
    from testbed.model import Instance, Quotas, Subnet, Topology, Vpc

    vpc = f"vpc-{name}"
    blocks = {"a": IPv4Network("10.0.1.0/24"), "b": IPv4Network("10.0.2.0/24")}
    groups = _groups(vpc, name, rules)
    ids = tuple(group.id for group in groups)
    return Topology(
        name=f"path-{name}",
        quotas=Quotas(rules_per_security_group=1000 // GROUPS, security_groups_per_interface=GROUPS),
        resources=(
            Vpc(id=vpc, region="eu-west-1", cidr_block="10.0.0.0/16"),
            *(Subnet(id=f"subnet-{end}-{name}", vpc_id=vpc, cidr_block=block, availability_zone=f"eu-west-1{end}") for end, block in blocks.items()),
            *(_acl(vpc, name, end) for end in blocks),
            *groups,
            *(Instance(id=f"{end}-{name}", subnet_id=f"subnet-{end}-{name}", security_group_ids=ids) for end in blocks),
        ),
    )


def _groups(vpc: str, name: str, rules: int) -> tuple[Any, ...]:
    """Groups full of other people's rules; the last rule of the last one is what lets the measured traffic through."""
    from testbed.model import SecurityGroup, SecurityGroupRule

    chance = random.Random(rules)
    wanted = SecurityGroupRule(ip_protocol="-1", cidr_ip="10.0.0.0/22")
    others = []
    for _ in range(rules - 1):
        block = IPv4Network((chance.randrange(1 << 24) << 8 | 172 << 24, 24), strict=False)
        port = chance.randrange(1, 60000)
        others.append(SecurityGroupRule(ip_protocol=chance.choice(("tcp", "udp")), from_port=port, to_port=port + chance.choice((0, 0, 10, 1000)), cidr_ip=str(block)))
    mixed = (*others, wanted)
    share = rules // GROUPS
    return tuple(
        SecurityGroup(
            id=f"sg-{name}-{number}",
            vpc_id=vpc,
            security_group_ingress=mixed[number * share : (number + 1) * share],
            security_group_egress=mixed[number * share : (number + 1) * share],
        )
        for number in range(GROUPS)
    )


def _acl(vpc: str, name: str, end: str) -> Any:
    """Denials of other networks, then ports of our own, then everything of the VPC."""
    from testbed.model import Direction, NetworkAcl, NetworkAclEntry, PortRange, Protocol, Verdict

    entries = []
    for direction in Direction:
        for number in range(ACL_ENTRIES - 3):
            entries.append(NetworkAclEntry(rule_number=10 + number, direction=direction, rule_action=Verdict.DENY, cidr_block=f"203.0.{number}.0/24"))
        for number, protocol in ((100, Protocol.TCP), (110, Protocol.UDP)):
            ports = PortRange(first=1024, last=65535)
            entries.append(NetworkAclEntry(rule_number=number, direction=direction, rule_action=Verdict.ALLOW, protocol=protocol, port_range=ports, cidr_block="10.0.0.0/16"))
        entries.append(NetworkAclEntry(rule_number=120, direction=direction, rule_action=Verdict.ALLOW, protocol=Protocol.ICMP, cidr_block="10.0.0.0/16"))
    return NetworkAcl(id=f"acl-{end}-{name}", vpc_id=vpc, entries=tuple(entries), associations=(f"subnet-{end}-{name}",))


@contextmanager
def _path(rules: int, name: str, *, filtered: bool) -> Iterator[Any]:
    """The two instances, running."""
    from testbed.compile import compile_plan
    from testbed.engine.lab import Lab
    from testbed.resolve import resolve
    from tests.benchmarks._traffic import Way

    plan = replace(compile_plan(resolve(topology(rules, name))), services=())
    if not filtered:
        plan = replace(plan, nodes=tuple(replace(node, ruleset=None) for node in plan.nodes))
    with Lab(plan) as lab, Way(lab, f"a-{name}", f"b-{name}") as way:
        yield way


def run(rounds: int) -> dict[str, dict[str, list[float]]]:
    """Each round's value of everything, by what and by path."""
    from testbed.engine import sandbox
    from tests.benchmarks import _traffic

    sandbox.enter()
    measurements: dict[str, Callable[[Any], float]] = {
        "throughput": _traffic.throughput_gbit_s,
        "packets": _traffic.packets_per_s,
        "flows": _traffic.flows_per_s,
        "round_trip": _traffic.round_trip_us,
    }
    with ExitStack() as stack:
        paths = {PLAIN: stack.enter_context(_path(RULES[0], PLAIN, filtered=False))}
        for rules in RULES:
            paths[str(rules)] = stack.enter_context(_path(rules, str(rules), filtered=True))
        values: dict[str, dict[str, list[float]]] = {what: {name: [] for name in paths} for what in measurements}
        for what, measured in measurements.items():
            for way in paths.values():
                measured(way)  # warm
            for number in range(rounds):
                names = list(paths)
                for name in names if number % 2 else reversed(names):
                    values[what][name].append(measured(paths[name]))
    return values


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]))))
    sys.stdout.flush()
    os._exit(0)
