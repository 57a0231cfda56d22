"""``testbed attack``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from testbed.cli.exits import FAILED, OK, BadSource, Told
from testbed.cli.running import a_user, attached, json_option, lab_option, node_of

if TYPE_CHECKING:
    from rich.console import Console

    from testbed.engine.remote import RemoteLab
    from testbed.observe.attack import Attack, Report

MOST_PACKETS, MOST_SECONDS = 200_000, 60
HTTP, HTTPS = 80, 443
LEARN_S = 3.0
KINDS = {"syn-flood": 10_000, "udp-reflection": 5000, "http-flood": 1000}
"""What floods, and with how many packets or requests by default."""
NOTE = "NOT an AWS setting: there nobody can switch Shield Standard off"


@click.command("attack")
@lab_option
@click.argument("target", metavar="TARGET|URL")
@click.option("--kind", type=click.Choice(tuple(KINDS)), default="syn-flood", show_default=True, help="What floods the target.")
@click.option("--port", type=click.IntRange(1, 65535), help="80 by default, 443 for https.")
@click.option("--packets", type=click.IntRange(1, MOST_PACKETS), help="Packets, or requests of an HTTP flood, in all; 10000, 5000 or 1000 by default.")
@click.option("--seconds", type=click.FloatRange(0.5, MOST_SECONDS), default=5.0, show_default=True, help="Over how long they are spread.")
@click.option("--from", "attackers", metavar="NODE", multiple=True, help="Who attacks; may be given several times. The last user by default.")
@click.option("--client", metavar="NODE", help="Whose honest requests are counted; the first user that does not attack by default.")
@click.option("--learn", "learn_s", type=click.FloatRange(0, MOST_SECONDS), help=f"Seconds of honest requests beforehand, a baseline for Shield Advanced; {LEARN_S:g} for an HTTP flood.")
@click.option("--compare", is_flag=True, help=f"With Shield, then without ({NOTE}).")
@click.option("--without-shield", is_flag=True, help=f"Only without ({NOTE}).")
@json_option
def command(lab_name: str | None, target: str, kind: str, port: int | None, packets: int | None, seconds: float, attackers: tuple[str, ...], client: str | None, learn_s: float | None, compare: bool, without_shield: bool, as_json: bool) -> int:
    """Attack a target inside the lab, within bounds, and tell which share of honest requests survives. Exit 1 if one did not, with Shield.

    TARGET is a node, an address or a name of the lab's; nothing outside the lab can be reached. An HTTP flood takes a URL. SYN floods and UDP reflection have forged sources; an HTTP flood
    comes from the attackers' own addresses. A URL asks for a whole answer, anything else for a connection only, so something must listen there.

    \b
    testbed attack edge-lhr --kind syn-flood --compare
    testbed attack web --kind syn-flood --port 80 --packets 20000 --seconds 10
    testbed attack web --kind udp-reflection --packets 5000 --seconds 5 --json
    testbed attack http://shop.example.com/ --kind http-flood --packets 1000 --from bot
    """
    from testbed.cli.output import print_json, progress

    if compare and without_shield:
        raise BadSource("--compare and --without-shield", "give one of them")
    lab = attached(lab_name)
    reports: dict[bool, Report] = {}
    wanted = _wanted(lab, target, kind, port, packets or KINDS[kind], seconds, attackers, client, learn_s)
    shield = lab.ask("shield")
    ways = (True, False) if compare else (False,) if without_shield else (shield["on"],)
    with progress("attack", quiet=as_json) as tell:
        for on in ways:
            tell("with Shield" if on else "without Shield")
            reports[on] = _attacked(lab, wanted, on=on, was_on=shield["on"])
    notes = tuple(each for each in shield["protections"] if str(wanted.address) in each["addresses"])
    if as_json:
        told = {"with_shield" if on else "without_shield": {**asdict(report), "share": report.share, "packets_dropped": report.packets_dropped} for on, report in reports.items()}
        print_json({**told, "shield_advanced": notes})
    else:
        _show(wanted, reports, notes)
    return FAILED if True in reports and reports[True].survived < reports[True].requests else OK


def _wanted(lab: RemoteLab, target: str, kind: str, port: int | None, packets: int, seconds: float, attackers: tuple[str, ...], client: str | None, learn_s: float | None) -> Attack:
    from testbed.cli.explain import address_named
    from testbed.observe.attack import Attack, Kind, victim

    users = sorted(node.name for node in lab.plan.nodes if node.kind == "user")
    for name in (*attackers, *((client,) if client else ())):
        node_of(lab.plan, name)
    attackers = attackers or tuple(users[-1:])
    client = client or next((name for name in users if name not in attackers), None) or a_user(lab.plan)
    url = urlsplit(target if "://" in target else f"//{target}")
    if url.scheme not in ("", "http", "https") or not url.hostname:
        raise BadSource(f"{target!r} is no target", "name a node, an address, or http://HOST/PATH")
    if kind == "http-flood" and not url.scheme:
        raise BadSource("an HTTP flood needs a URL", f"http://{target}/")
    try:
        address = victim(lab.plan, address_named(lab, client, url.hostname))
    except LookupError as error:
        raise BadSource(str(error), "name a node, or an address of the lab's: an attack never leaves it") from error
    return Attack(
        kind=Kind(kind), address=address, port=port or url.port or (HTTPS if url.scheme == "https" else HTTP), attackers=attackers or (client,), client=client, packets=packets, seconds=seconds,
        host=url.hostname if url.scheme else "", path=(url.path or "/") if url.scheme else "", secure=url.scheme == "https",
        learn_s=learn_s if learn_s is not None else LEARN_S if kind == "http-flood" else 0.0,
    )  # fmt: skip


def _attacked(lab: RemoteLab, wanted: Attack, *, on: bool, was_on: bool) -> Report:
    """The attack, with Shield as wanted meanwhile and as it was afterwards."""
    from testbed.observe.attack import run

    try:
        return run(_switched(lab, on=on) if on != was_on else lab, wanted)
    except OSError as error:
        raise Told(str(error), f"testbed explain {wanted.client} {wanted.address} --port {wanted.port} tells why; something must listen there") from error
    finally:
        if on != was_on:
            _switched(lab, on=was_on)


def _switched(lab: RemoteLab, *, on: bool) -> RemoteLab:
    """The lab, with its new plan."""
    lab.ask("shield", on=on)
    return attached(lab.name)


def _show(wanted: Attack, reports: dict[bool, Report], notes: tuple[dict[str, Any], ...]) -> None:
    from testbed.cli.output import console

    screen: Console = console()
    unit = "requests" if wanted.kind == "http-flood" else "packets with forged sources"
    screen.print(f"[bold]{wanted.kind}[/] against {wanted.address}:{wanted.port} by {', '.join(wanted.attackers)}: {wanted.packets} {unit} in {wanted.seconds:g} s")
    for on, report in reports.items():
        colour = "green" if report.survived == report.requests else "red"
        screen.print(f"  {'with Shield' if on else f'without Shield ({NOTE})'}: [{colour}]{report.survived} of {report.requests} honest requests of {wanted.client} survived ({report.share:.0%})[/]")
        if wanted.kind != "http-flood":
            screen.print(f"    {report.packets - report.packets_dropped:7d} of {report.packets} packets passed Shield")
        for each in report.dropped:
            screen.print(f"    {each.packets:7d} dropped at {each.node}: {each.cause}")
        if report.cookies_sent:
            screen.print(f"    {report.cookies_sent:7d} SYN cookies sent: a SYN leaves nothing behind")
        if report.answers:
            screen.print("    the flood's own answers: " + ", ".join(f"{status or 'none'}: {count}" for status, count in report.answers.items()))
    for note in notes:
        screen.print(f"  Shield Advanced protects {note['resource']} ({note['id']}). {note['cost_protection']}")
