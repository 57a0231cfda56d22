"""What a lab's own process does for the command line: topologies cross and stay what they are, the terminal's text is made there, and errors come back as they were."""

import base64
import io
import os
import pickle
import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest

from testbed.cli import main as cli_main
from testbed.cli import warm
from testbed.cli.exits import Told
from testbed.cli.source import known, load
from testbed.compile import compile_plan
from testbed.engine import remote
from testbed.engine.status import Summary
from testbed.model import Topology
from testbed.model.errors import ModelError
from testbed.model.network_acl import Direction
from testbed.resolve import resolve
from tests.scenarios.small_vpc import small_vpc
from topologies.shield import shield


class WarmLab:
    """A running lab whose process is this one, and which carries out nothing."""

    name, state = "warm", None

    def __init__(self, topology):
        resolved = resolve(topology)
        self.plan = compile_plan(resolved)
        self.changing = threading.RLock()
        self.operations = warm.operations(self.plan, resolved)
        self.ask_through = SimpleNamespace(name=self.name, ask=self.ask, node_names=tuple(node.name for node in self.plan.nodes))

    def ask(self, operation, **arguments):
        return self.operations.answers[operation](self, {"op": operation, **arguments})

    def apply(self, plan, *, patient=True):
        changed = plan != self.plan
        self.plan = plan
        return Summary(nodes_changed=("something",) if changed else ())


@pytest.fixture
def lab(monkeypatch):
    made = WarmLab(small_vpc())
    monkeypatch.setattr(remote, "running", lambda: (made.name,))
    monkeypatch.setattr(remote, "attach", lambda name: made.ask_through)
    return made


@pytest.mark.parametrize("name", [named.name for named in known()])
def test_every_topology_crosses_whole(name):
    topology = load(name)
    lab = WarmLab(topology)
    assert warm.change(lab.ask_through, topology) == Summary()
    assert lab.plan == compile_plan(resolve(topology))


def test_what_is_no_topology_does_not_cross(lab):
    with pytest.raises(warm.Refused, match=r"cannot hold a posix\.system"):
        warm._asked(lab.ask_through, "change", topology=base64.b64encode(pickle.dumps(os.system)).decode())


class PickledByName:
    """Pickles as an early Python 3.11 pickles members of enumerations: by `getattr`."""

    def __init__(self, of, name):
        self.of, self.name = of, name

    def __reduce__(self):
        return getattr, (self.of, self.name)


def test_members_of_enumerations_cross_as_early_pythons_write_them_and_other_attributes_do_not(lab):
    assert warm._Topologies(io.BytesIO(pickle.dumps(PickledByName(Direction, "INBOUND")))).load() is Direction.INBOUND
    with pytest.raises(Told, match="cannot hold resources"):
        warm._Topologies(io.BytesIO(pickle.dumps(PickledByName(Topology, "resources")))).load()


def test_faults_are_told_by_the_lab_as_resolve_tells_them(lab):
    broken = small_vpc()
    broken = replace(broken, resources=tuple(each for each in broken.resources if each.id != "subnet-web"))
    with pytest.raises(ModelError) as here:
        resolve(broken)
    with pytest.raises(ModelError) as there:
        warm.change(lab.ask_through, broken)
    assert there.value.faults == here.value.faults


def test_the_matrix_is_of_the_topology_that_runs_now(lab, capsys):
    assert cli_main.run(["reach", "--port", "22"]) == 0
    before = capsys.readouterr().out
    topology = small_vpc()
    warm.change(lab.ask_through, replace(topology, resources=tuple(each for each in topology.resources if each.id != "web-1")))
    assert cli_main.run(["reach", "--port", "22"]) == 0
    after = capsys.readouterr().out
    assert "web-1" in before and "web-1" not in after


def test_a_mistyped_node_is_told_as_everywhere(lab, capsys):
    assert cli_main.run(["explain", "web-11", "app-1"]) == 2
    assert "did you mean web-1" in capsys.readouterr().err


def test_a_lab_that_was_changed_by_a_plan_alone_does_not_judge_by_another_topology(lab, capsys):
    lab.plan = compile_plan(resolve(small_vpc()))
    assert cli_main.run(["reach"]) == 1
    assert "testbed apply" in capsys.readouterr().err


def test_shield_is_switched_off_for_a_class_and_comes_back_as_it_was():
    lab = WarmLab(shield())
    before = lab.plan
    told = lab.ask("shield")
    assert told["on"]
    assert {each["resource"]: each["addresses"] for each in told["protections"]} == {"cdn-shop": ["203.0.113.23"], "eip-web": ["198.19.12.50"]}
    assert lab.ask("shield", on=False) == {"on": False, "protections": []}
    assert all(table.name != "shield" for node in lab.plan.nodes if node.ruleset for table in node.ruleset.tables)
    assert lab.ask("shield", on=False)["on"] is False, "twice is once"
    assert lab.ask("shield", on=True)["on"]
    assert lab.plan == before


def test_a_topology_that_is_applied_meanwhile_is_not_undone():
    lab = WarmLab(shield())
    lab.ask("shield", on=False)
    warm.change(lab.ask_through, replace(shield(), time_scale=30))
    changed = lab.plan
    lab.ask("shield", on=True)
    assert lab.plan == changed
