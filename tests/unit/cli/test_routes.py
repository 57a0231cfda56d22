"""``testbed routes``."""

import json
from types import SimpleNamespace

import pytest

from testbed.cli import main as cli_main
from testbed.compile import compile_plan
from testbed.engine import remote
from testbed.resolve import resolve
from topologies.peering import peering


def run(*arguments):
    return cli_main.run(["routes", *arguments])


def test_a_topology_is_looked_at_without_a_lab(capsys):
    assert run("subnet-b", "--topology", "peering") == 0
    told = capsys.readouterr().out
    assert "rtb-b of vpc-b: serves subnet-b" in told
    assert "every table has it" in told


def test_json_has_every_route_and_what_it_beats(capsys):
    assert run("rtb-b", "--topology", "peering", "--to", "10.2.1.10", "--json") == 0
    (route,) = json.loads(capsys.readouterr().out)["routes"]
    assert (route["destination"], route["target"], route["beaten"]) == ("10.2.0.0/16", "pcx-ab", ["rtb-b 0.0.0.0/0 -> pcx-ab"])


def test_no_route_is_told(capsys):
    assert run("subnet-c-2", "--topology", "peering", "--to", "10.0.1.10") == 0
    assert "No route leads to 10.0.1.10" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [("vpc-a", "--topology", "peering"), ("subnet-b", "--topology", "peering", "--to", "nowhere")])
def test_a_mistake_is_a_usage_error(arguments, capsys):
    assert run(*arguments) == 2


def test_a_lab_that_has_other_routes_is_told(monkeypatch, capsys):
    plan = compile_plan(resolve(peering()))
    lab = SimpleNamespace(plan=plan, topology_source="peering")
    monkeypatch.setattr(remote, "running", lambda: ("peering",))
    monkeypatch.setattr(remote, "attach", lambda name: lab)
    assert run("subnet-b") == 0
    fabric = next(node for node in plan.nodes if node.name == "vpc-b")
    lab.plan = SimpleNamespace(nodes=(SimpleNamespace(name="vpc-b", rules=fabric.rules, routes=tuple(route for route in fabric.routes if "10.2.0.0" not in route.origin)),))
    assert run("subnet-b") == 1
    assert "rtb-b 10.2.0.0/16 -> pcx-ab (remedy: testbed apply)" in capsys.readouterr().out
