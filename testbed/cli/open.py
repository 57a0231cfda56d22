"""``testbed open``."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile

import click

from testbed.cli.exits import BadSource
from testbed.cli.running import a_user, attached, lab_option, node_of

CA_FILE = "/run/testbed/tls/ca.crt"


@click.command("open")
@lab_option
@click.argument("url")
@click.option("--from", "node", metavar="NODE", help="Whose machine to browse from; the first user by default.")
@click.option("--print", "print_only", is_flag=True, help="Only print the proxy's address, start no browser.")
@click.option("--insecure", is_flag=True, help="Let the browser accept every certificate, instead of the lab's authority only.")
def command(lab_name: str | None, url: str, node: str | None, print_only: bool, insecure: bool) -> None:
    """Browse into a lab with your own browser, as a user of the lab. Ends with Ctrl-C.

    A proxy listens on 127.0.0.1 for as long as this runs; connections leave from NODE, names are resolved there. Nothing in the lab can reach this machine.
    Chromium and Firefox get a profile of their own, which is thrown away, so that your own settings and trust stay as they are.

    \b
    testbed open https://shop.example.com/
    curl -x "$(testbed open --print https://shop.example.com/)" …       in a script: start it in the background
    """
    from testbed.cli import browser
    from testbed.cli.output import remarks
    from testbed.cli.proxy import Proxy

    if "://" not in url:
        raise BadSource(f"{url!r} is no URL", f"https://{url}")
    lab = attached(lab_name)
    source = node_of(lab.plan, node).name if node is not None else a_user(lab.plan)
    screen = remarks()

    async def serve() -> None:
        proxy = Proxy(lab, source)
        async with proxy.listening() as address:
            if print_only:
                click.echo(f"http://{address}")
            with tempfile.TemporaryDirectory(prefix="testbed-browser-") as profile:
                started = None if print_only else browser.start(url, address, profile, browser.authority(lab, source, CA_FILE), insecure=insecure)
                if not print_only:
                    screen.print(f"{browser.told(started, address, source)}\n[dim]Ctrl-C ends it.[/]")
                try:
                    await (asyncio.Event().wait() if started is None else asyncio.to_thread(started.wait))
                finally:
                    if started is not None and started.poll() is None:
                        started.terminate()

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve())
    screen.print("the proxy is closed")
