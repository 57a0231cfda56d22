"""``testbed request``."""

from __future__ import annotations

import click

from testbed.cli.exits import FAILED, OK, BadSource, Told
from testbed.cli.running import a_user, attached, json_option, lab_option, node_of

SHOWN_LINES = 12


@click.command("request")
@lab_option
@click.argument("url")
@click.option("--from", "node", metavar="NODE", help="Where the request comes from; the first user by default.")
@click.option("-X", "--request", "method", metavar="METHOD", help="GET by default, POST with -d.")
@click.option("-d", "--data", "body", help="The request's body.")
@click.option("-H", "--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="A request header; may be given several times.")
@click.option("--no-evidence", is_flag=True, help="Leave out how one knows.")
@json_option
def command(lab_name: str | None, url: str, node: str | None, method: str | None, body: str | None, headers: tuple[str, ...], no_evidence: bool, as_json: bool) -> int:
    """Send a real HTTP request from a user's machine and draw what happened, layer by layer. Twice in a row, the second is a HIT.

    \b
    testbed request https://shop.example.com/products
    testbed request https://shop.example.com/products --from client-newyork
    testbed request https://shop.example.com/products -X POST -H 'Content-Type: application/json' -d '{"name": "tea", "price_cents": 350}'
    """
    from testbed.cli.output import console, print_json
    from testbed.cli.waterfall_table import show
    from testbed.observe.request import RequestError, request

    if "://" not in url:
        raise BadSource(f"{url!r} is no URL", f"https://{url}")
    lab = attached(lab_name)
    source = node_of(lab.plan, node).name if node is not None else a_user(lab.plan)
    try:
        waterfall = request(lab, url, source, method=method or ("POST" if body is not None else "GET"), body=body, headers=headers)
    except RequestError as error:
        raise Told(str(error), "testbed doctor") from error
    if as_json:
        print_json(waterfall)
        return OK if waterfall.status else FAILED
    screen = console()
    show(waterfall, screen, evidence=not no_evidence)
    if waterfall.body:
        lines = waterfall.body.splitlines()
        screen.print()
        for line in lines[:SHOWN_LINES]:
            screen.print(line[:400], markup=False)
        if len(lines) > SHOWN_LINES:
            screen.print(f"[dim]… {len(lines) - SHOWN_LINES} more lines (--json has all)[/]")
    return OK if waterfall.status else FAILED
