"""``testbed fail``."""

from __future__ import annotations

import re

import click

from testbed.cli.breakable import breakable, chosen
from testbed.cli.exits import BadSource
from testbed.cli.running import attached, json_option, lab_option

AMOUNT = re.compile(r"([0-9]+(?:\.[0-9]+)?)(%|ms)")
UNITS = {"loss": "%", "delay": "ms", "jitter": "ms"}


@click.command("fail")
@lab_option
@click.argument("what", nargs=-1, required=True, metavar="LINK|NODE|SERVICE|az ZONE", shell_complete=breakable)
@click.option("--mode", default="cut", show_default=True, metavar="cut|blackhole|'loss 5%'|'delay 80ms'|'delay 80ms jitter 20ms'", help="How it fails.")
@json_option
def command(lab_name: str | None, what: tuple[str, ...], mode: str, as_json: bool) -> None:
    """Break a link, a node, a service or a whole Availability Zone of a running lab, until it is healed.

    A LINK is NODE--NODE, NODE/INTERFACE, or the id of what it is for (an attachment, a connection). A node fails with all its links and services;
    a service is killed, and stays away. A zone fails with everything in it: instances, nodes of load balancers, NAT gateways, databases, endpoints. What is broken again breaks in the new way; `apply` heals nothing; `ps` shows what fails.

    \b
    testbed fail router-office                      the router dies
    testbed fail tgw-att-a                          cut: both ends lose their carrier
    testbed fail az eu-west-1a                      the whole zone
    testbed fail dx-1 --mode blackhole              the carrier stays, every packet is lost
    testbed fail city-dublin--city-paris --mode 'loss 5%'
    testbed fail city-dublin--city-paris --mode 'delay 80ms jitter 20ms'
    testbed heal dx-1
    testbed heal --all
    """
    from testbed.cli.output import console, print_json

    kind, amounts = _mode(mode)
    lab = attached(lab_name)
    failure = lab.fail(chosen(lab.plan, what), kind, loss_percent=amounts.get("loss", 0.0), delay_ms=amounts.get("delay", 0.0), jitter_ms=amounts.get("jitter", 0.0))
    if as_json:
        print_json(failure)
        return
    console().print(f"[red]{failure.words}[/] {failure.what}: {', '.join((*failure.links, *failure.services))}")


def _mode(text: str) -> tuple[str, dict[str, float]]:
    """The mode and its amounts: ``delay 80ms jitter 20ms``."""
    words = text.split()
    if words in (["cut"], ["blackhole"]):
        return words[0], {}
    amounts = {}
    for name, amount in zip(words[::2], words[1::2], strict=False):
        found = AMOUNT.fullmatch(amount)
        if name not in UNITS or found is None or found[2] != UNITS[name]:
            break
        amounts[name] = float(found[1])
    else:
        if len(words) % 2 == 0 and (set(amounts) == {"loss"} or ("delay" in amounts and "loss" not in amounts)) and amounts.get("loss", 0) <= 100:
            return next(iter(amounts)), amounts
    raise BadSource(f"--mode {text!r} is no way to fail", "cut, blackhole, 'loss 5%', 'delay 80ms' or 'delay 80ms jitter 20ms'")
