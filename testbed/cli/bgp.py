"""``testbed bgp``."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import click

from testbed.cli.running import attached, json_option, lab_option, node_of

if TYPE_CHECKING:
    from testbed.observe.bgp import BgpRoute, Session, Speaker

SEARCH_PATH = "/usr/sbin:/usr/local/sbin:/sbin:/usr/bin:/usr/local/bin:/bin"


@click.command("bgp")
@click.argument("node", required=False)
@lab_option
@json_option
def command(node: str | None, lab_name: str | None, as_json: bool) -> None:
    """BGP sessions of a node (of all nodes that speak it, without NODE), and the routes that it has, with why the best ones won.

    \b
    testbed bgp
    testbed bgp router-hq
    testbed bgp tgw-ireland --json
    """
    from services.bgp.config import control_socket
    from testbed.cli.exits import BadSource
    from testbed.cli.output import print_json, remarks
    from testbed.engine.errors import RealiseError
    from testbed.observe.bgp import speaker

    lab = attached(lab_name)
    speaking = [service.node for service in lab.plan.services if service.kind == "bgp"]
    if node is not None and node_of(lab.plan, node).name not in speaking:
        raise BadSource(f"{node} speaks no BGP", f"these do: {', '.join(speaking)}" if speaking else "no node of this lab does")
    birdc = shutil.which("birdc", path=SEARCH_PATH)
    if birdc is None:
        raise RealiseError("no birdc on this machine", "install the distribution's package `bird2`")
    found = [speaker(lab, name, birdc, control_socket(name)) for name in (speaking if node is None else [node])]
    if as_json:
        print_json(found)
        return
    if not found:
        remarks().print("no node of this lab speaks BGP: its VPN connections, if it has any, have static routes")
    for each in found:
        _print(each, with_routes=node is not None)


def _print(speaker: Speaker, *, with_routes: bool) -> None:
    from rich.table import Table

    from testbed.cli.output import console

    table = Table(box=None, pad_edge=False, title=f"{speaker.node}: {len(speaker.sessions)} sessions", title_justify="left")
    for heading in ("session", "neighbour", "AS", "state", "since", "BFD", "received", "advertised", "went down last because of"):
        table.add_column(heading, justify="right" if heading in ("AS", "received", "advertised") else "left")
    for session in speaker.sessions:
        table.add_row(*_session(session))
    console().print(table)
    if not with_routes:
        return
    table = Table(box=None, pad_edge=False, title=f"{speaker.node}: {len(speaker.routes)} routes (* best)", title_justify="left")
    for heading in ("", "table", "prefix", "from", "next hop", "AS path", "MED", "local pref", "communities", "why"):
        table.add_column(heading)
    for route in speaker.routes:
        table.add_row(*_route(route))
    console().print(table)


def _session(session: Session) -> tuple[str, ...]:
    style = "green" if session.state == "Established" else "red"
    return (
        session.name, session.neighbour, str(session.neighbour_asn), f"[{style}]{session.state}[/]", session.since, session.bfd or "-",
        str(session.received), str(session.advertised), session.cause or "-",
    )  # fmt: skip


def _route(route: BgpRoute) -> tuple[str, ...]:
    hop = route.next_hops[0] if route.next_hops else "originated here"
    med, preference = ("-" if value is None else str(value) for value in (route.med, route.local_preference))
    return ("*" if route.best else "", route.table, route.prefix, route.session, hop, " ".join(route.as_path) or "-", med, preference, " ".join(route.communities) or "-", route.why)
