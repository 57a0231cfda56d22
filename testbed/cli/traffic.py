"""``testbed traffic``."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from testbed.cli.exits import FAILED, OK, BadSource
from testbed.cli.running import attached, json_option, lab_option, node_of

if TYPE_CHECKING:
    from testbed.engine.remote import RemoteLab

SECOND = 1.0


@click.command("traffic")
@lab_option
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST|URL")
@click.option("--for", "duration_s", type=click.FloatRange(min=1), default=30.0, show_default=True, metavar="SECONDS", help="Control-C ends it earlier.")
@click.option("--rate", "per_second", type=click.FloatRange(min=0.1, max=50), default=10.0, show_default=True, metavar="N", help="Requests a second, to a URL.")
@json_option
def command(lab_name: str | None, source: str, destination: str, duration_s: float, per_second: float, as_json: bool) -> int:
    """Keep traffic running from SRC to DST, a datagram every 10 ms and a TCP connection, and tell what was lost and for how long. Exit 1 if anything was.

    To a URL it is HTTP requests, each with a connection and a DNS look-up of its own; what is told is the share that failed, why, and who served the others.
    Break something meanwhile, in another terminal.

    \b
    testbed traffic pc app --for 20
    testbed fail dxcon-hq --mode blackhole
    testbed heal dxcon-hq
    testbed traffic user-paris http://shop.example.com/ --rate 20
    testbed fail az eu-west-1a
    """
    from testbed.cli.output import console, print_json
    from testbed.observe.continuity import Continuity

    lab = attached(lab_name)
    if destination.startswith(("http://", "https://")):
        node_of(lab.plan, source)
        return _requests(lab, source, destination, duration_s, per_second, as_json)
    for name in (source, destination):
        node_of(lab.plan, name)
    try:
        with Continuity(lab, source, destination) as traffic:
            began = told = traffic.now()
            try:
                while (left_s := began + duration_s - traffic.now()) > 0:
                    time.sleep(min(SECOND, left_s))
                    found, told = traffic.outage(told), traffic.now()
                    if found.lost and not as_json:
                        console().print(f"[red]{traffic.now() - began:4.0f} s[/]  {found}")
            except KeyboardInterrupt:
                pass
            whole = traffic.outage(began)
    except LookupError as error:
        raise BadSource(str(error), "name two nodes that have addresses of their own") from error
    except OSError as error:
        raise BadSource(f"{source} cannot connect to {destination}: {error}", f"testbed explain {source} {destination} tells why") from error
    if as_json:
        print_json(asdict(whole))
    else:
        console().print(f"[{'red' if whole.lost else 'green'}]{traffic.now() - began:4.0f} s[/]  {whole}")
    return FAILED if whole.lost else OK


def _requests(lab: RemoteLab, source: str, url: str, duration_s: float, per_second: float, as_json: bool) -> int:
    from testbed.cli.output import console, print_json
    from testbed.observe.request_rate import RequestRate

    with RequestRate(lab, source, url, per_second=per_second) as requests:
        began = told = requests.now()
        try:
            while (left_s := began + duration_s - requests.now()) > 0:
                time.sleep(min(SECOND, left_s))
                found, told = requests.outcome(told), requests.now()
                if found.sent and not as_json:
                    console().print(f"[{'red' if found.failed else 'green'}]{requests.now() - began:4.0f} s[/]  {found}")
        except KeyboardInterrupt:
            pass
    whole = requests.outcome()
    if as_json:
        print_json({**asdict(whole), "failed_percent": round(whole.failed_percent, 2)})
    else:
        console().print(f"[bold {'red' if whole.failed else 'green'}]in all[/]  {whole}")
    return FAILED if whole.failed else OK
