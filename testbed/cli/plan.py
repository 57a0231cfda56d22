"""``testbed plan``."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import click

from testbed.cli.running import json_option, node_of

if TYPE_CHECKING:
    from rich.tree import Tree

    from testbed.plan import Interface, Node, Plan, Route, ServiceSpec


@click.command("plan")
@click.argument("source", metavar="NAME|FILE.py[:FUNCTION]")
@click.option("--node", "node_name", help="Only this node.")
@click.option("--rules", is_flag=True, help="The nftables rulesets as well.")
@json_option
def command(source: str, node_name: str | None, rules: bool, as_json: bool) -> None:
    """What a topology becomes: namespaces, links, addresses, routes, rules and services, each with the AWS resource that asked for it.

    \b
    testbed plan web_app
    testbed plan web_app --node vpc-shop --rules
    testbed plan web_app --json | jq '.nodes[].name'
    """
    from testbed.cli.output import console, print_json
    from testbed.cli.source import load
    from testbed.compile import compile_plan
    from testbed.resolve import resolve

    plan = compile_plan(resolve(load(source)))
    if as_json:
        print_json(plan if node_name is None else node_of(plan, node_name))
        return
    console().print(_tree(plan, None if node_name is None else node_of(plan, node_name), rules))


def _tree(plan: Plan, only: Node | None, rules: bool) -> Tree:
    from rich.tree import Tree

    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(Counter(node.kind.value for node in plan.nodes).items()))
    tree = Tree(f"[bold]{plan.name}[/]: {len(plan.nodes)} nodes ({kinds}), {len(plan.links)} links, {len(plan.services)} services")
    groups: dict[str, Tree] = {}
    for node in sorted(plan.nodes if only is None else (only,), key=lambda node: (node.group or node.city or "", node.name)):
        group = node.group or node.city or "elsewhere"
        branch = groups.setdefault(group, tree.add(f"[bold]{group}[/]")) if group not in groups else groups[group]
        _add_node(branch, node, plan, rules)
    return tree


def _add_node(branch: Tree, node: Node, plan: Plan, rules: bool) -> None:
    from rich.markup import escape

    own = branch.add(f"[cyan]{node.name}[/] [dim]{node.kind.value} {escape(node.origin if node.origin != node.name else '')}[/]")
    for link in plan.links:
        for here, there in ((link.a, link.b), (link.b, link.a)):
            if here.node == node.name:
                own.add(escape(_interface(here, there)))
    if node.loopback:
        own.add(f"lo {' '.join(map(str, node.loopback))}")
    for tun in node.tuns:
        own.add(escape(f"{tun.name} TUN {' '.join(map(str, tun.addresses)) or 'no address'}{_from(tun.origin)}"))
    for route in node.routes:
        own.add(escape(_route(route)))
    for rule in node.rules:
        marked = f"mark {rule.mark:#x}/{rule.mask:#x}" if rule.mask else f"from {rule.source}"
        own.add(escape(f"rule {rule.priority}: {marked} looks up {rule.table}{_from(rule.origin)}"))
    if node.ruleset is not None:
        _add_ruleset(own, node, rules)
    for service in plan.services:
        if service.node == node.name:
            own.add(_service(service))


def _add_ruleset(own: Tree, node: Node, rules: bool) -> None:
    from rich.markup import escape

    from testbed.plan import render

    assert node.ruleset is not None
    for table in node.ruleset.tables:
        count = sum(len(chain.rules) for chain in table.chains)
        own.add(f"nftables {table.family} {table.name}: {len(table.chains)} chains, {count} rules, {len(table.maps)} maps, {len(table.sets)} sets")
    if rules:
        own.add(escape(render(node.ruleset)))


def _interface(here: Interface, there: Interface) -> str:
    return f"{here.name} {' '.join(map(str, here.addresses)) or 'no address'} -- {there.node}/{there.name}{_from(here.origin)}"


def _route(route: Route) -> str:
    way = " ".join((*(("via", str(route.via)) if route.via else ()), *(("dev", route.device) if route.device else ()))) or route.type.value
    return f"route {route.destination} {way}{'' if route.table == 254 else f' table {route.table}'}{_from(route.origin)}"


def _service(service: ServiceSpec) -> str:
    after = f" after {', '.join(service.after)}" if service.after else ""
    return f"[green]{service.name}[/] services.{service.kind}{after}"


def _from(origin: str) -> str:
    return f"   <- {origin}" if origin else ""
