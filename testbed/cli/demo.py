"""``testbed demo``: the web application from beginning to end, each step checked."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from testbed.cli.exits import FAILED, OK
from testbed.cli.running import json_option

if TYPE_CHECKING:
    from rich.console import Console

    from testbed.engine.remote import RemoteLab

TOPOLOGY = "web_app"
URL = "https://shop.example.com/products"
CLIENT, INSTANCE, DATABASE, BALANCER = "client", "web-a", "shop-db", "alb-shop-a"
POSTGRESQL = 5432


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One expectation and whether it held; `found` says what was there instead."""

    what: str
    held: bool
    found: str


@dataclass(slots=True)
class Demo:
    """The steps so far, told as they come."""

    screen: Console | None
    checks: list[Check] = field(default_factory=list)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """A step of the demo: its title before, its time after."""
        began = time.monotonic()
        if self.screen is not None:
            self.screen.print(f"\n[bold cyan]== {title}[/]")
        try:
            yield
        except Exception as error:  # a step that cannot be done is a step that differs; the lab must still end
            self.check(title, False, f"{type(error).__name__}: {error}")
        if self.screen is not None:
            self.screen.print(f"[dim]{time.monotonic() - began:.2f} s[/]")

    def check(self, what: str, held: bool, found: object = "") -> None:
        """Note whether an expectation held."""
        self.checks.append(Check(what=what, held=held, found="" if held else str(found)))
        if self.screen is not None:
            from rich.markup import escape

            self.screen.print(f"[green]ok[/]   {what}" if held else f"[bold red]NOT SO[/] {what}: {escape(str(found))}")

    def show(self, shower: Callable[..., None], *what: Any) -> None:
        """Print something of a step."""
        if self.screen is not None:
            shower(*what, self.screen)


@click.command("demo")
@click.option("--keep", is_flag=True, help="Leave the lab running at the end.")
@json_option
def command(keep: bool, as_json: bool) -> int:
    """Start the web application, send real requests through every layer, write a row and read it back, see a packet refused, end it all.

    Every step is checked; exit 1 if anything differs from what should be.
    """
    from testbed.cli.output import console, print_json, progress
    from testbed.cli.source import load
    from testbed.cli.warm import operations
    from testbed.compile import compile_plan
    from testbed.engine import remote
    from testbed.resolve import resolve

    began = time.monotonic()
    screen = None if as_json else console()
    demo = Demo(screen)
    name = f"demo-{os.getpid()}"
    resolved = resolve(load(TOPOLOGY))
    plan = compile_plan(resolved)
    lab: RemoteLab | None = None
    try:
        with progress("up", quiet=as_json) as told:
            lab = remote.launch(plan, name, TOPOLOGY, told, operations(plan, resolved))
        demo.check(f"{len(plan.nodes)} nodes, {len(plan.links)} links and {len(plan.services)} services are up ({time.monotonic() - began:.1f} s)", True)
        _use(demo, lab)
    finally:
        if lab is not None and not keep:
            with demo.step("Down: nothing stays"):
                lab.down()
                demo.check("the lab is gone", name not in remote.names(), remote.names())
    failed = [check for check in demo.checks if not check.held]
    took_s = time.monotonic() - began
    if as_json:
        print_json({"checks": demo.checks, "failed": len(failed), "seconds": round(took_s, 3)})
    elif screen is not None:
        screen.print(f"\n[bold {'red' if failed else 'green'}]{len(demo.checks) - len(failed)} of {len(demo.checks)} checks held, in {took_s:.1f} s[/]")
        if keep:
            screen.print(f"The lab stays: testbed request {URL} --lab {name}; testbed down {name}")
    return FAILED if failed else OK


def _use(demo: Demo, lab: RemoteLab) -> None:
    with demo.step("A first request: a MISS, through every layer"):
        _miss(demo, lab)
    with demo.step("The same again: a HIT, answered at the edge"):
        _hit(demo, lab)
    with demo.step("A write: POST, and its row read back from PostgreSQL by psql"):
        _write(demo, lab)
    with demo.step("Refused by a security group: one instance to the other"):
        _denied(demo, lab, INSTANCE, "web-b", 80, "sg-web#ingress")
    with demo.step("Refused by a network ACL: the balancer to the database"):
        _denied(demo, lab, BALANCER, DATABASE, POSTGRESQL, "acl-database#")


def _miss(demo: Demo, lab: RemoteLab) -> None:
    from testbed.cli.waterfall_table import show
    from testbed.observe.request import request

    seen = request(lab, URL, CLIENT)
    demo.show(show, seen)
    layers = {span.layer for span in seen.spans}
    verdicts = " ".join(span.what for span in seen.spans if span.layer == "verdicts")
    demo.check("it was answered with 200", seen.status == 200, f"{seen.status} {seen.error}")
    demo.check("CloudFront says Miss", seen.result == "Miss", seen.result)
    demo.check("packets crossed the internet gateway", seen.gateway_packets > 0, seen.gateway_packets)
    for layer in ("DNS", "authority", "TCP", "TLS", "edge", "ALB", "rule", "app", "SQL"):
        demo.check(f"{layer} is in the waterfall", layer in layers, f"only {', '.join(sorted(layers))}")
    for origin in ("sg-alb#ingress", "sg-web#ingress", "acl-database#100"):
        demo.check(f"{origin} was seen to decide", origin in verdicts, verdicts or "no verdicts")


def _hit(demo: Demo, lab: RemoteLab) -> None:
    from testbed.cli.waterfall_table import show
    from testbed.observe.request import request

    seen = request(lab, URL, CLIENT)
    demo.show(show, seen)
    layers = {span.layer for span in seen.spans}
    demo.check("it was answered with 200", seen.status == 200, f"{seen.status} {seen.error}")
    demo.check("CloudFront says Hit", seen.result == "Hit", seen.result)
    demo.check("no packet crossed the internet gateway", seen.gateway_packets == 0, f"{seen.gateway_packets} packets")
    demo.check("balancer, application and database were not asked", not layers & {"ALB", "app", "SQL"}, sorted(layers))


def _write(demo: Demo, lab: RemoteLab) -> None:
    import msgspec

    from testbed.cli.waterfall_table import show
    from testbed.observe.nodes import LabNode
    from testbed.observe.request import request

    product = f"tea of {os.getpid()}"
    seen = request(lab, URL, CLIENT, method="POST", body=msgspec.json.encode({"name": product, "price_cents": 350}).decode(), headers=("Content-Type: application/json",))
    demo.show(show, seen)
    demo.check("it was answered with 201", seen.status == 201, f"{seen.status} {seen.error or seen.body}")
    demo.check("the application ran an INSERT", any(span.layer == "SQL" and "insert" in span.what.lower() for span in seen.spans), [span.what for span in seen.spans if span.layer == "SQL"])
    database = database_of(lab)
    address = f"host={database.host} port={database.port} dbname={database.name} user={database.user} connect_timeout=5"
    done = LabNode(lab, INSTANCE).run("env", f"PGPASSWORD={database.password}", "psql", address, "-A", "-t", "-c", f"select price_cents from products where name = '{product}'")
    demo.check(f"psql in {INSTANCE} reads the row back", done.out.strip() == "350", done.out.strip() or done.err.strip())


def _denied(demo: Demo, lab: RemoteLab, source: str, destination: str, port: int, origin: str) -> None:
    from testbed.cli.explain import explained, show
    from testbed.cli.source import load
    from testbed.oracle import Oracle
    from testbed.resolve import resolve

    explanation = explained(lab, Oracle(resolve(load(TOPOLOGY))), source, destination, "tcp", port)
    demo.show(show, explanation)
    demo.check("it does not pass", not explanation.passed, explanation.sent.answer)
    demo.check(f"{origin} is the cause", explanation.cause_origin.startswith(origin), explanation.cause)
    demo.check("the model agrees", explanation.agrees, explanation.oracle)


def database_of(lab: RemoteLab) -> Any:
    """The database that the application of `INSTANCE` uses, from its own configuration. Raises LookupError."""
    from services.common.config import decode
    from services.instance.config import Config

    for service in lab.plan.services:
        if service.kind == "instance" and service.node == INSTANCE:
            return decode(service.config, Config).database
    raise LookupError(f"{INSTANCE} runs no application")
