"""The command line: exit codes, errors with remedies, JSON, and what it does to labs (which are stand-ins here)."""

import json
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from testbed.cli import main as cli_main
from testbed.engine import remote, state
from testbed.engine.errors import RealiseError
from testbed.engine.status import ServiceStatus
from testbed.plan import Node, NodeKind, Plan, ServiceSpec

PLAN = Plan(
    name="web_app",
    nodes=(Node(name="client", kind=NodeKind.USER), Node(name="web-a", kind=NodeKind.INSTANCE)),
    services=(ServiceSpec(name="web-a.instance", kind="instance", node="web-a", config="{}"),),
)


@pytest.fixture
def labs(monkeypatch, tmp_path):
    """Two running labs, `blue` and `green`, that remember what was asked of them."""
    asked: list[str] = []
    status = ServiceStatus(name="web-a.instance", kind="instance", node="web-a", pid=42, state="ready", restarts=0, since=time.time() - 5, memory_kib=2048)

    def lab(name: str) -> SimpleNamespace:
        return SimpleNamespace(name=name, plan=PLAN, node_names=tuple(node.name for node in PLAN.nodes), topology_source="web_app", log_directory=tmp_path, failures=(), ps=lambda: (status,),
                               popen=lambda node, argv, **kwargs: subprocess.Popen((sys.executable, "-c", f"import sys; print({node!r}, *sys.argv[1:]); sys.exit(7)", *argv)))

    running = {name: lab(name) for name in ("blue", "green")}
    monkeypatch.setattr(remote, "running", lambda: tuple(running))
    monkeypatch.setattr(remote, "names", lambda: tuple(running))
    monkeypatch.setattr(remote, "attach", lambda name: running[name])
    monkeypatch.setattr(remote, "end", lambda name: asked.append(f"end {name}"))
    monkeypatch.setattr(remote, "launch", lambda plan, name, source, progress, operations: asked.append(f"launch {name} {source}"))
    running_only = SimpleNamespace(asked=asked, running=running, directory=tmp_path)
    return running_only


def run(*arguments: str) -> int:
    return cli_main.run(list(arguments))


def test_help_names_every_verb_and_imports_none(capsys):
    started = subprocess.run((sys.executable, "-X", "importtime", "-m", "testbed.cli.main", "--help"), capture_output=True, text=True, check=True)
    assert all(f"  {verb} " in started.stdout for verb in cli_main.VERBS)
    assert not any(f" {module}" in started.stderr for module in ("rich", "msgspec", "mininet", "testbed.model", "testbed.cli.up"))


@pytest.mark.parametrize("verb", cli_main.VERBS)
def test_each_verb_has_its_own_help(verb, capsys):
    assert run(verb, "--help") == 0
    assert "Usage:" in capsys.readouterr().out


def test_a_mistyped_verb_is_a_usage_error_with_the_nearest_one(capsys):
    assert run("graf") == 2
    assert "did you mean 'graph'?" in capsys.readouterr().err


def test_list_as_json_has_the_web_application(capsys):
    assert run("list", "--json") == 0
    assert "web_app" in [named["name"] for named in json.loads(capsys.readouterr().out)]


def test_all_faults_of_a_topology_are_told_at_once_and_nothing_is_started(labs, tmp_path, capsys):
    path = tmp_path / "faulty.py"
    path.write_text(
        "from testbed.model import *\n"
        "def faulty():\n"
        "    return Topology(name='faulty', resources=(Vpc(id='vpc-a', region='eu-west-1', cidr_block='10.0.0.0/16'),\n"
        "        Subnet(id='outside', vpc_id='vpc-a', cidr_block='10.9.0.0/24', availability_zone='eu-west-1a'),\n"
        "        Subnet(id='tiny', vpc_id='vpc-a', cidr_block='10.0.1.0/29', availability_zone='eu-west-1a')))\n"
    )
    assert run("up", str(path)) == 2
    told = capsys.readouterr().err
    assert "outside" in told and "tiny" in told and "remedy" in told
    assert labs.asked == []


def test_a_mistyped_property_is_told_with_its_line_and_the_right_one(tmp_path, capsys):
    path = tmp_path / "typo.py"
    path.write_text("from testbed.model import *\ndef typo():\n    return Topology(name='t', resources=(\n        Vpc(id='vpc-a', region='eu-west-1', cidrblock='10.0.0.0/16'),))\n")
    assert run("plan", str(path)) == 2
    told = capsys.readouterr().err
    assert f"{path}:4: TypeError" in told and "did you mean cidr_block?" in told


def test_a_file_of_several_topologies_names_them(tmp_path, capsys):
    path = tmp_path / "two.py"
    path.write_text("def one():\n    pass\ndef other():\n    pass\n")
    assert run("plan", str(path)) == 2
    assert f"{path}:one (or other)" in " ".join(capsys.readouterr().err.split())


def test_a_file_that_raises_is_told_with_its_line(tmp_path, capsys):
    path = tmp_path / "broken.py"
    path.write_text("x = 1\ny = x / 0\n")
    assert run("plan", str(path)) == 2
    assert f"{path}:2: ZeroDivisionError" in capsys.readouterr().err


def test_an_unknown_topology_lists_what_there_is(capsys):
    assert run("plan", "web_ap") == 2
    assert "did you mean web_app?" in capsys.readouterr().err


def test_a_second_lab_of_the_same_name_is_refused(labs, capsys):
    assert run("up", "web_app", "--name", "blue") == 4
    assert "testbed down blue" in capsys.readouterr().err
    assert labs.asked == []


def test_up_launches_under_the_wanted_name(labs):
    assert run("up", "web_app", "--name", "red") == 0
    assert labs.asked == ["launch red web_app"]


def test_a_machine_that_refuses_is_exit_3_with_the_remedy(labs, monkeypatch, capsys):
    def refuse(*arguments):
        raise RealiseError("no user namespaces", "sysctl kernel.unprivileged_userns_clone=1")

    monkeypatch.setattr(remote, "launch", refuse)
    assert run("up", "web_app") == 3
    assert capsys.readouterr().err.endswith("This machine: no user namespaces (remedy: sysctl kernel.unprivileged_userns_clone=1)\n")


def test_with_several_labs_one_must_be_named(labs, capsys):
    assert run("exec", "web-a", "true") == 4
    assert "say which: --lab NAME" in capsys.readouterr().err


def test_exec_passes_words_and_exit_code_through(labs, capfd):
    assert run("exec", "--lab", "blue", "web-a", "--", "curl", "-v", "--lab", "x") == 7
    assert capfd.readouterr().out == "web-a curl -v --lab x\n"


def test_an_unknown_node_is_told_with_the_nearest(labs, capsys):
    assert run("exec", "--lab", "blue", "web-b", "true") == 2
    assert "did you mean web-a?" in capsys.readouterr().err


def test_of_several_labs_the_one_whose_topology_is_in_this_folder_is_meant(labs, tmp_path, monkeypatch, capfd):
    sources = {"blue": f"{tmp_path}/topology.py", "green": "web_app"}
    monkeypatch.setattr(state, "read", lambda name: SimpleNamespace(name=name, source=sources[name]))
    monkeypatch.chdir(tmp_path)
    assert run("exec", "web-a", "true") == 7
    assert capfd.readouterr().out == "web-a true\n"


def test_no_lab_is_exit_4(labs, capsys):
    labs.running.clear()
    assert run("shell", "client") == 4
    assert "testbed up web_app" in capsys.readouterr().err


def test_down_all_ends_every_lab(labs):
    assert run("down", "--all") == 0
    assert labs.asked == ["end blue", "end green"]


def test_ps_as_json_has_each_service(labs, capsys):
    assert run("ps", "--lab", "green", "--json") == 0
    (lab,) = json.loads(capsys.readouterr().out)
    assert (lab["lab"], lab["services"][0]["pid"]) == ("green", 42)


def test_logs_of_a_node_are_shown_by_time_and_readably(labs, capsys):
    (labs.directory / "web-a.instance.jsonl").write_text('{"t":2.0,"service":"web-a.instance","event":"later"}\n{"t":1.0,"service":"web-a.instance","event":"sooner","uri":"/x"}\n{"t":3')
    assert run("logs", "web-a", "--lab", "blue") == 0
    assert [line.split(" ", 1)[1] for line in capsys.readouterr().out.splitlines()] == ["web-a.instance sooner uri=/x", "web-a.instance later"]


def test_a_bad_capture_filter_is_a_usage_error(labs, capsys):
    assert run("capture", "web-a", "tcp", "pot", "80", "--lab", "blue") == 2
    assert "not a capture filter" in capsys.readouterr().err


def test_plan_as_json_is_the_same_twice(capsys):
    assert run("plan", "web_app", "--json") == 0
    first = capsys.readouterr().out
    assert run("plan", "web_app", "--json") == 0
    assert capsys.readouterr().out == first
    assert {node["name"] for node in json.loads(first)["nodes"]} >= {"client", "vpc-shop", "web-a", "shop-db"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_completion_script(shell, capsys):
    assert run("completion", shell) == 0
    assert "_TESTBED_COMPLETE" in capsys.readouterr().out


def test_ctrl_c_is_clean(labs, monkeypatch, capsys):
    def interrupt(name):
        raise KeyboardInterrupt

    monkeypatch.setattr(remote, "end", interrupt)
    assert run("down", "blue") == 130
    assert "Traceback" not in capsys.readouterr().err
