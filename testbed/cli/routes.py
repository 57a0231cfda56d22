"""``testbed routes``."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import TYPE_CHECKING

import click

from testbed.cli.exits import FAILED, OK, BadSource
from testbed.cli.running import attached, json_option, lab_option

if TYPE_CHECKING:
    from rich.table import Table

    from testbed.oracle.routes_in_force import RouteInForce, TableInForce
    from testbed.plan import Plan


@click.command("routes")
@lab_option
@click.argument("name", metavar="SUBNET|ROUTE_TABLE")
@click.option("--topology", "source", metavar="NAME|FILE.py[:FUNCTION]", help="Look at a topology; no lab need run.")
@click.option("--to", "destination", metavar="ADDRESS", help="Only the route that takes packets to this address.")
@json_option
def command(lab_name: str | None, name: str, source: str | None, destination: str | None, as_json: bool) -> int:
    """Which routes are in force for a subnet or in a route table, and why each one won. Exit 1 if the running lab has others: it was not applied.

    \b
    testbed routes private-a
    testbed routes rtb-public --topology web_app
    testbed routes subnet-b --to 10.2.1.10
    """
    from testbed.cli.output import console, print_json
    from testbed.cli.source import load
    from testbed.oracle.routes_in_force import table_in_force
    from testbed.resolve import resolve

    lab = None if source is not None else attached(lab_name)
    topology = load(source or "") if lab is None else load(lab.topology_source)
    try:
        table = table_in_force(name, resolve(topology).topology)
    except LookupError as error:
        raise BadSource(str(error), "name a subnet or a route table of the topology") from error
    missing = () if lab is None else not_in_plan(table, lab.plan)
    routes = table.routes if destination is None else tuple(filter(None, (table.taking(_address(destination)),)))
    if as_json:
        print_json({"table": table.table, "vpc": table.vpc, "main": table.main, "subnets": table.subnets, "gateways": table.gateways, "routes": routes, "not_in_lab": missing})
    else:
        serves = ", ".join((*table.subnets, *table.gateways)) or "nothing"
        console().print(f"[bold]{table.table}[/] of {table.vpc}{', main' if table.main else ''}: serves {serves}")
        console().print(_drawn(routes) if routes else f"No route leads to {destination}: packets to it are dropped.")
        for origin in missing:
            console().print(f"[red]The running lab has no such route:[/] {origin} (remedy: testbed apply)")
    return FAILED if missing else OK


def not_in_plan(table: TableInForce, plan: Plan) -> tuple[str, ...]:
    """The routes of a table, by name, that the running lab's plan lacks or knows otherwise."""
    fabric = next((node for node in plan.nodes if node.name == table.vpc), None)
    numbers = {rule.table for rule in fabric.rules if rule.origin == table.table} if fabric is not None else set()
    known = {route.origin for route in fabric.routes if route.table in numbers} if fabric is not None else set()
    return tuple(route.origin for route in table.routes if route.origin not in known and f"{route.origin} (blackhole)" not in known)


def _address(text: str) -> IPv4Address:
    try:
        return IPv4Address(text)
    except ValueError:
        raise BadSource(f"{text!r} is not an IPv4 address", "write it as 10.2.1.10") from None


def _drawn(routes: tuple[RouteInForce, ...]) -> Table:
    from rich.table import Table

    table = Table("destination", "target", "state", "by", "why it wins", box=None, pad_edge=False)
    for route in routes:
        state = f"[red]{route.state}[/]" if route.state != "active" else route.state
        table.add_row(str(route.destination), route.target, state, route.prefix_list or ("local" if route.target == "local" else "static"), route.why)
    return table
