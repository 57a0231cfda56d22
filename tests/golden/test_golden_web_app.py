"""The plan of the web application, as files that a person can read."""

import random
from dataclasses import replace

from golden import assert_golden
from plan_text import plan_text

from services.common.config import decode, encode
from services.common.main import config_class
from testbed.compile import compile_plan
from testbed.plan import Node, diff, render
from testbed.resolve import resolve
from topologies.web_app import web_app

PLAN = compile_plan(resolve(web_app()))


def ruleset_text(node: Node) -> str:
    """The node's rules."""
    return render(node.ruleset)


def test_the_plan_is_the_one_on_file():
    assert_golden("web_app.txt", plan_text(PLAN))


def test_the_filters_of_the_fabric_and_of_the_gateways_are_the_ones_on_file():
    for name in ("vpc-shop", "igw-shop", "nat-a", "edge-lhr"):
        assert_golden(f"web_app.{name}.nft", ruleset_text(PLAN.node(name)))


def test_the_daemons_are_told_what_is_on_file():
    for name in ("alb-shop-a.alb", "edge-lhr.cloudfront", "edge-lhr.dns", "name-servers.dns", "resolver-london.dns", "services-eu-west-1.dns", "shop-db.rds", "web-a.instance"):
        (service,) = (s for s in PLAN.services if s.name == name)
        assert_golden(f"web_app.{name}.json", service.config + "\n")


def test_every_daemon_can_read_what_it_is_told():
    for service in PLAN.services:
        assert encode(decode(service.config, config_class(service.kind))) == service.config


def test_the_order_in_which_resources_are_written_carries_no_meaning():
    topology = web_app()
    for seed in range(5):
        shuffled = list(topology.resources)
        random.Random(seed).shuffle(shuffled)
        plan = compile_plan(resolve(replace(topology, resources=tuple(shuffled))))
        assert plan == PLAN
        assert repr(plan) == repr(PLAN)


def test_compiling_twice_gives_nothing_to_change():
    assert not diff(PLAN, compile_plan(resolve(web_app())))
