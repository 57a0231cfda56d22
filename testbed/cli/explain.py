"""``testbed explain``."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import TYPE_CHECKING

import click

from testbed.cli.exits import FAILED, OK, BadSource
from testbed.cli.running import attached, json_option, lab_option, node_of

if TYPE_CHECKING:
    from rich.console import Console

    from testbed.observe.explain import Explanation
    from testbed.observe.lab_view import LabView
    from testbed.oracle import Oracle


@click.command("explain")
@lab_option
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST")
@click.option("--port", type=click.IntRange(1, 65535), help="Destination port; 443 by default for tcp, 53 for udp.")
@click.option("--proto", "protocol", type=click.Choice(("tcp", "udp", "icmp")), default="tcp", show_default=True)
@json_option
def command(lab_name: str | None, source: str, destination: str, port: int | None, protocol: str, as_json: bool) -> int:
    """Send a real probe and tell which rules judged it, and which one decided; then ask the model the same. Exit 1 if the two disagree.

    SRC is a node; DST a node, an accelerator, an address, or a name that SRC can resolve.

    \b
    testbed explain client shop-db --port 5432
    testbed explain web-a shop-db --port 5432
    testbed explain web-a 8.8.8.8 --proto icmp
    testbed explain app s3.eu-west-1.amazonaws.com
    testbed explain user-london ga-shop --port 80
    """
    from testbed.cli.warm import printed

    answer = printed(attached(lab_name), "explain", as_json=as_json, source=source, destination=destination, protocol=protocol, port=port)
    return OK if answer["agrees"] else FAILED


def explained(lab: LabView, oracle: Oracle, source: str, destination: str, protocol: str, port: int | None) -> Explanation:
    """The explanation, with the oracle's answer. Raises `BadSource`."""
    from testbed.observe.explain import explain
    from testbed.observe.probe import Protocol

    node_of(lab.plan, source)
    address = address_named(lab, source, destination)
    chosen = Protocol(protocol)
    wanted = 0 if chosen is Protocol.ICMP else port or (443 if chosen is Protocol.TCP else 53)
    try:
        return explain(lab, source, address, chosen, wanted, oracle=oracle)
    except LookupError as error:
        raise BadSource(str(error), "name a user, an instance or another node with an interface in a VPC") from error


def address_named(lab: LabView, source: str, destination: str) -> IPv4Address:
    """The address of a node, an accelerator's, the address itself, or what `source` resolves the name to. Raises `BadSource`."""
    from testbed.observe.nodes import LabNode
    from testbed.observe.places import address_of, served_address

    try:
        return IPv4Address(destination)
    except ValueError:
        pass
    if "." in destination and all(node.name != destination for node in lab.plan.nodes):
        try:
            return LabNode(lab, source).resolved(destination)
        except LookupError as error:
            raise BadSource(str(error), f"name a node or an address, or look with: testbed exec {source} -- dig {destination}") from error
    if (served := served_address(lab.plan, destination)) is not None and all(node.name != destination for node in lab.plan.nodes):
        return served
    address = address_of(lab.plan, node_of(lab.plan, destination).name)
    if address is None:
        raise BadSource(f"{destination} has no address of its own", "name another node, or an address")
    return address


def show(explanation: Explanation, screen: Console) -> None:
    """Print it: the verdict, every hop, the model's answer."""
    from rich.markup import escape

    sent = explanation.sent
    port = f" port {sent.destination_port}" if sent.destination_port else ""
    took = f" in {sent.rtt_ms:.2f} ms" if sent.rtt_ms is not None else ""
    verdict = "[bold green]passes[/]" if explanation.passed else "[bold red]does not pass[/]"
    screen.print(f"{explanation.source} -> {escape(explanation.destination)} {sent.destination} {sent.protocol.value}{port}: {verdict} ({sent.answer.value}{took})")
    for hop in explanation.hops:
        mark = "[red]x[/]" if hop.dropped else "[green]>[/]" if hop.leg == "request" else "[cyan]<[/]"
        became = f"  [yellow]=>[/]  {escape(hop.became)}" if hop.became else ""
        screen.print(f"  {mark} {hop.leg:<7} {hop.node}: {escape(hop.packet)}{became}")
        for words in hop.said:
            screen.print(f"              {'[red]' if words.endswith(' drop') else ''}{escape(words)}{'[/]' if words.endswith(' drop') else ''}")
    screen.print(f"[bold]{escape(explanation.cause)}[/]")
    if explanation.remedy:
        screen.print(f"[green]What would let it pass:[/] {escape(explanation.remedy)}.")
    if explanation.agrees:
        screen.print(f"[dim]The model agrees: {escape(explanation.oracle)}.[/]")
    else:
        screen.print(f"[bold white on red] THE MODEL DISAGREES [/] It says: {escape(explanation.oracle)}. Packets are right about this lab; one of the two has a bug.")
