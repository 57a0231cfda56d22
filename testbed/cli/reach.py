"""``testbed reach``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from testbed.cli.exits import FAILED, OK, BadSource
from testbed.cli.running import attached, json_option, lab_option

if TYPE_CHECKING:
    from rich.console import Console

    from testbed.engine.remote import RemoteLab
    from testbed.oracle import Reach

WIDEST = 24
LARGEST = 100
"""Nodes, or groups of nodes that behave alike, of which a matrix is still printed."""
LETTERS = {"security-group": "G", "network-acl": "A", "route": "R", "nat-gateway": "N", "internet-gateway": "I", "internet": "I", "interface": "-", "peering": "P", "transit-gateway": "T", "network-firewall": "F"}
ASKS = "?"


@click.command("reach")
@lab_option
@click.option("--port", type=click.IntRange(1, 65535), default=443, show_default=True, help="Destination port.")
@click.option("--proto", "protocol", type=click.Choice(("tcp", "udp", "icmp")), default="tcp", show_default=True)
@click.option("--live", is_flag=True, help="Check every pair with real packets (tcp and icmp).")
@json_option
def command(lab_name: str | None, port: int, protocol: str, live: bool, as_json: bool) -> int:
    """Who reaches whom: all pairs of nodes, from the model; exit 1 if --live finds a difference.

    \b
    testbed reach --port 5432
    testbed reach --proto icmp --live
    """
    from testbed.cli.warm import printed

    if live and protocol == "udp":
        raise BadSource("UDP owes no answer, so silence would prove nothing", "check tcp or icmp with --live, or a single UDP probe with testbed explain")
    lab = attached(lab_name)
    if not live:
        printed(lab, "reach", as_json=as_json, protocol=protocol, port=port)
        return OK
    return checked(lab, protocol, port, as_json=as_json)


def checked(lab: RemoteLab, protocol: str, port: int, *, as_json: bool) -> int:
    """The matrix, every pair of it checked with packets; the exit code."""
    from testbed.cli.output import console, print_json
    from testbed.cli.source import load
    from testbed.observe.reach import differences
    from testbed.oracle import Oracle
    from testbed.resolve import resolve

    matrix = Oracle(resolve(load(lab.topology_source))).reach(protocol, port)
    addresses = {(source, destination): matrix.address(source, destination) for source in matrix.names for destination in matrix.names}
    found = differences(lab, matrix, addresses)
    if as_json:
        print_json({"reach": matrix, "differences": found})
    else:
        screen = console()
        show(matrix, screen)
        for difference in found:
            said, done = ("passes", "does not") if difference.model_passes else (f"is dropped by {difference.origin}", "passes")
            screen.print(f"[bold white on red] THE MODEL DISAGREES [/] {difference.source} -> {difference.destination}: it {said}, the packet {done}.")
        if not found:
            screen.print(f"[dim]Checked with packets: {len(matrix.sources) * (len(matrix.names) - 1)} pairs, no difference.[/]")
    return FAILED if found else OK


def show(matrix: Reach, screen: Console) -> None:
    """Print the matrix, nodes that behave alike as one where there are many; then why pairs do not pass."""
    from rich.markup import escape
    from rich.table import Table

    alike = len(matrix.names) > WIDEST
    if len(matrix.groups) > LARGEST:
        _show_counts(matrix, screen)
        return
    rows = [members[0] for members in matrix.groups] if alike else list(range(len(matrix.names)))
    sizes = {members[0]: len(members) for members in matrix.groups}
    port = f" port {matrix.port}" if matrix.port else ""
    screen.print(f"{matrix.protocol}{port}: from the row to the column")
    table = Table(box=None, padding=(0, 1))
    table.add_column()
    for number, _ in enumerate(rows, start=1):
        table.add_column(str(number), justify="center")
    reasons: dict[str, str] = {}
    for number, row in enumerate(rows, start=1):
        name = matrix.names[row] + (f" +{sizes[row] - 1}" if alike and sizes[row] > 1 else "")
        cells = []
        for column in rows:
            fate = matrix.fates[matrix.cells[row][column]]
            if row == column:
                cells.append("[dim].[/]")
            elif not matrix.begins[row]:
                cells.append("")
            elif fate.passes and fate.stage:
                reasons.setdefault(f"{ASKS:<2} {fate.origin}", ASKS)
                cells.append(f"[yellow]{ASKS}[/]")
            elif fate.passes:
                cells.append("[green]+[/]")
            else:
                letter = LETTERS.get(fate.stage, "x") + ("<" if fate.leg == "reply" else "")
                reasons.setdefault(f"{letter:<2} {fate.origin}", letter)
                cells.append(f"[red]{letter}[/]")
        table.add_row(f"{number} {escape(name)}", *cells)
    screen.print(table)
    screen.print("[dim]+ passes; dropped by G security group, A network ACL, R route, N NAT gateway, I internet gateway or internet, P peering, T transit gateway, F network firewall; ? begins, then the network firewall decides; < on its way back[/]")
    if not all(matrix.begins[row] for row in rows):
        screen.print("[dim]an empty row never begins a connection: endpoints and network load balancers[/]")
    for reason in sorted(reasons):
        screen.print(f"  {escape(reason)}")


def _show_counts(matrix: Reach, screen: Console) -> None:
    """How many pairs pass, and why how many others do not, where the matrix would fill many screens."""
    from collections import Counter

    from rich.markup import escape

    port = f" port {matrix.port}" if matrix.port else ""
    counts = Counter(cell for row, cells in enumerate(matrix.cells) if matrix.begins[row] for column, cell in enumerate(cells) if row != column)
    passing = sum(count for cell, count in counts.items() if matrix.fates[cell].passes)
    screen.print(f"{matrix.protocol}{port}: {passing} of {sum(counts.values())} pairs of {len(matrix.names)} nodes pass [dim](--json has every pair)[/]")
    for cell, count in counts.most_common():
        fate = matrix.fates[cell]
        if not fate.passes:
            screen.print(f"  {count:>8} dropped by {escape(fate.origin)}{' on the way back' if fate.leg == 'reply' else ''}")
