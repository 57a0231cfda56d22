"""``testbed routes``."""

from __future__ import annotations

import difflib
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

import click

from testbed.cli.exits import FAILED, OK, BadSource
from testbed.cli.running import attached, json_option, lab_option

if TYPE_CHECKING:
    from rich.table import Table

    from testbed.model import Topology
    from testbed.oracle.routes_in_force import RouteInForce, TableInForce
    from testbed.oracle.transit_gateway_routes_in_force import TransitGatewayRouteInForce, TransitGatewayTableInForce
    from testbed.plan import Plan


@click.command("routes")
@lab_option
@click.argument("name", metavar="SUBNET|INSTANCE|ROUTE_TABLE|TGW|TGW_ROUTE_TABLE")
@click.option("--topology", "source", metavar="NAME|FILE.py[:FUNCTION]", help="Look at a topology; no lab need run.")
@click.option("--to", "destination", metavar="ADDRESS", help="Only the route that takes packets to this address.")
@json_option
def command(lab_name: str | None, name: str, source: str | None, destination: str | None, as_json: bool) -> int:
    """Which routes are in force for a subnet (or that of an instance), in a route table or in a transit gateway, and why each one won. Exit 1 if the running lab has others: it was not applied.

    \b
    testbed routes private-a
    testbed routes rtb-public --topology web_app
    testbed routes subnet-b --to 10.2.1.10
    testbed routes tgw-hub
    """
    from testbed.cli.output import console, print_json
    from testbed.cli.source import load
    from testbed.oracle.routes_in_force import table_in_force
    from testbed.oracle.transit_gateway import TransitGateways
    from testbed.resolve import resolve

    lab = None if source is not None else attached(lab_name)
    topology = load(source or "") if lab is None else load(lab.topology_source)
    resolved = resolve(topology).topology
    if TransitGateways(resolved).gateway_of(name) is not None:
        return _of_transit_gateway(name, resolved, None if destination is None else _address(destination), None if lab is None else lab.plan, as_json=as_json)
    try:
        table = table_in_force(_subnet_of(name, resolved), resolved)
    except LookupError as error:
        raise BadSource(str(error), _near(name, resolved)) from error
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


def _subnet_of(name: str, topology: Topology) -> str:
    """The subnet of the instance called `name`; any other name as it is."""
    from testbed.model import Instance

    return next((each.subnet_id for each in topology.of(Instance) if each.id == name), name)


def _near(name: str, topology: Topology) -> str:
    from testbed.model import Instance, RouteTable, Subnet, TransitGateway, TransitGatewayRouteTable

    there = [each.id for kind in (Subnet, Instance, RouteTable, TransitGateway, TransitGatewayRouteTable) for each in topology.of(kind)]
    near = difflib.get_close_matches(name, there, n=3)
    return f"did you mean {' or '.join(near)}?" if near else "name a subnet, an instance, a route table or a transit gateway of the topology"


def not_in_plan(table: TableInForce, plan: Plan) -> tuple[str, ...]:
    """The routes of a table, by name, that the running lab's plan lacks or knows otherwise; what BGP learns is in no plan."""
    fabric = next((node for node in plan.nodes if node.name == table.vpc), None)
    numbers = {rule.table for rule in fabric.rules if rule.origin == table.table} if fabric is not None else set()
    known = {route.origin.partition(" (")[0] for route in fabric.routes if route.table in numbers} if fabric is not None else set()
    return tuple(route.origin for route in table.routes if not route.is_learned and route.origin.partition(" (")[0] not in known)


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
        by = route.prefix_list or (f"propagated, {route.propagated}" if route.propagated is not None else "local" if route.target == "local" else "static")
        table.add_row(str(route.destination), route.target, state, by, route.why)
    return table


def _of_transit_gateway(name: str, topology: Topology, destination: IPv4Address | None, plan: Plan | None, *, as_json: bool) -> int:
    """One or all tables of a transit gateway, with every candidate."""
    from testbed.cli.output import console, print_json
    from testbed.oracle.transit_gateway_routes_in_force import transit_gateway_tables_in_force

    tables = transit_gateway_tables_in_force(name, topology)
    missing = () if plan is None else tuple(origin for table in tables for origin in not_in_hub(table, plan))
    if as_json:
        print_json({"tables": tables, "not_in_lab": missing})
        return FAILED if missing else OK
    for table in tables:
        console().print(f"[bold]{table.table}[/] of {table.transit_gateway}: routes what comes from {', '.join(table.associations) or 'nothing'}")
        console().print(f"propagated by {', '.join(table.propagations) or 'nothing'}")
        for attachment, other in table.not_propagated:
            console().print(f"[red]not propagated:[/] {attachment}, its VPC overlaps that of {other}")
        taken = None if destination is None else table.taking(destination)
        routes = table.routes if destination is None else (() if taken is None else (taken,))
        console().print(_hub_drawn(routes) if routes else f"No route leads to {destination or 'anywhere'}: packets to it are dropped.")
    for origin in missing:
        console().print(f"[red]The running lab has no such route:[/] {origin} (remedy: testbed apply)")
    return FAILED if missing else OK


def not_in_hub(table: TransitGatewayTableInForce, plan: Plan) -> tuple[str, ...]:
    """The winning routes of a transit gateway's table, by name, that the running lab's plan lacks; what BGP learns is in no plan."""
    known = {route.origin for node in plan.nodes if node.name == table.transit_gateway for route in node.routes}
    return tuple(route.origin for route in table.routes if route.wins and not route.is_learned and route.origin not in known)


def _hub_drawn(routes: tuple[TransitGatewayRouteInForce, ...]) -> Table:
    from rich.table import Table

    table = Table("", "destination", "attachment", "by", "why", box=None, pad_edge=False)
    for route in routes:
        style = "" if route.wins else "dim"
        table.add_row("->" if route.wins else "", str(route.destination), route.attachment or "[red]blackhole[/]", route.by, route.why, style=style)
    return table
