"""``testbed metrics``."""

from __future__ import annotations

import click

from testbed.cli.running import attached, json_option, lab_option, node_of


@click.command("metrics")
@click.argument("gateway")
@lab_option
@json_option
def command(gateway: str, lab_name: str | None, as_json: bool) -> None:
    """CloudWatch's metrics of a NAT gateway, added up since the lab began (connections: those of now)."""
    from dataclasses import asdict

    from testbed.cli.exits import BadSource
    from testbed.cli.output import console, print_json
    from testbed.observe.nat_metrics import NAMESPACE, cloudwatch_name, nat_gateway_metrics

    lab = attached(lab_name)
    node = node_of(lab.plan, gateway)
    if node.kind != "nat-gateway":
        known = sorted(node.name for node in lab.plan.nodes if node.kind == "nat-gateway")
        raise BadSource(f"{gateway} is no NAT gateway", f"this lab has {', '.join(known)}" if known else "this lab has none")
    values = {cloudwatch_name(field): value for field, value in asdict(nat_gateway_metrics(lab, gateway)).items()}
    if as_json:
        print_json({"Namespace": NAMESPACE, "NatGatewayId": gateway, "Metrics": values})
        return
    from rich.table import Table

    console().print(f"{gateway} ({NAMESPACE}), since the lab began")
    table = Table(box=None, pad_edge=False)
    table.add_column("metric")
    table.add_column("value", justify="right")
    for name, value in values.items():
        table.add_row(name, str(value))
    console().print(table)
