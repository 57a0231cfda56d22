"""``testbed vpn``."""

from __future__ import annotations

import difflib
import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from testbed.cli.exits import FAILED, OK, BadSource
from testbed.cli.running import attached, json_option, lab_option

if TYPE_CHECKING:
    from testbed.engine.remote import RemoteLab
    from testbed.observe.vpn_telemetry import BgpState, TunnelTelemetry


@click.command("vpn")
@lab_option
@click.argument("connection", metavar="[CONNECTION]", required=False)
@json_option
def command(lab_name: str | None, connection: str | None, as_json: bool) -> int:
    """The tunnels of Site-to-Site VPN connections, as AWS shows them, and why one is down. Exit 1 if none of a connection's tunnels is up.

    \b
    testbed vpn
    testbed vpn vpn-office --json
    """
    from testbed.cli.output import console, print_json
    from testbed.observe.vpn_telemetry import UP, VpnTelemetry

    lab = attached(lab_name)
    tunnels = VpnTelemetry(lab, _sessions(lab)).tunnels(connection)
    if not tunnels:
        raise _none(connection, tuple(dict.fromkeys(tunnel.connection for tunnel in VpnTelemetry(lab).tunnels())))
    if as_json:
        print_json(tunnels)
    else:
        _draw(tunnels, lab.plan.time_scale)
        for tunnel in tunnels:
            if tunnel.details:
                console().print(f"[red]{tunnel.details}[/]")
    with_one_up = {tunnel.connection for tunnel in tunnels if tunnel.status == UP}
    return OK if with_one_up == {tunnel.connection for tunnel in tunnels} else FAILED


def _none(connection: str | None, known: tuple[str, ...]) -> BadSource:
    if connection is None or not known:
        return BadSource("the lab has no VPN connection", "add a VpnConnection, or testbed up vpn_link")
    near = difflib.get_close_matches(connection, known, n=1)
    return BadSource(f"no VPN connection {connection!r}", f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}")


def _sessions(lab: RemoteLab) -> dict[str, BgpState]:
    """The BGP sessions of all gateways at which tunnels end, by their names, which are those of the endpoints."""
    from services.bgp.config import control_socket
    from testbed.cli.bgp import SEARCH_PATH
    from testbed.observe.bgp import speaker
    from testbed.observe.vpn_telemetry import BgpState
    from testbed.plan import NodeKind

    gateways = (NodeKind.VPN_GATEWAY, NodeKind.TRANSIT_GATEWAY)
    speaking = [service.node for service in lab.plan.services if service.kind == "bgp" and lab.plan.node(service.node).kind in gateways]
    birdc = shutil.which("birdc", path=SEARCH_PATH) if speaking else None
    found: dict[str, BgpState] = {}
    if birdc is None:
        return found
    for node in speaking:
        for session in speaker(lab, node, birdc, control_socket(node)).sessions:
            found[session.name] = BgpState(is_established=session.state == "Established", received=session.received or 0)
    return found


def _draw(tunnels: tuple[TunnelTelemetry, ...], time_scale: float) -> None:
    from rich.table import Table

    from testbed.cli.output import console

    table = Table("connection", "tunnel", "outside address", "inside CIDR", "status", "message", "routes", "last status change", box=None, pad_edge=False)
    for tunnel in tunnels:
        colour = "green" if tunnel.status == "UP" else "red"
        changed = datetime.fromtimestamp(tunnel.last_status_change, UTC).strftime("%Y-%m-%d %H:%M:%S") if tunnel.last_status_change else "-"
        table.add_row(
            tunnel.connection, str(tunnel.tunnel), tunnel.outside_ip_address, tunnel.tunnel_inside_cidr, f"[{colour}]{tunnel.status}[/]", tunnel.status_message, str(tunnel.accepted_route_count), changed
        )
    console().print(table)
    if time_scale != 1:
        console().print(f"[dim]AWS's timers run {time_scale:g} times as fast in this lab.[/]")
