"""Whatever ends a lab, and however hard, the host is afterwards as it was before."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.scenarios import inventory

TESTBED = [sys.executable, "-m", "testbed.cli.main"]
PATIENCE_S = 20.0


def eventually(holds: Callable[[], object], what: str) -> None:
    """Wait until something holds; fail with its last value if it never does."""
    deadline = time.monotonic() + PATIENCE_S
    value = holds()
    while not value and time.monotonic() < deadline:
        time.sleep(0.02)
        value = holds()
    assert value, what


class Bench:
    """A state folder of its own, the CLI in it, and what the host looked like before."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.before = inventory.host()

    def run(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*TESTBED, *words], env=inventory.environment(self.state), capture_output=True, text=True, check=check)

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen([*TESTBED, *words], env=inventory.environment(self.state), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def processes(self) -> dict[int, str]:
        return inventory.processes(self.state)

    def services(self) -> dict[str, dict[str, object]]:
        return {service["name"]: service for lab in json.loads(self.run("ps", "--json").stdout) for service in lab["services"]}

    def assert_nothing_left(self) -> None:
        eventually(lambda: not self.processes(), f"processes are left: {self.processes()}")
        assert inventory.host() == self.before


@pytest.fixture
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    bench = Bench(tmp_path_factory.mktemp("s"))
    yield bench
    for pid in bench.processes():
        os.kill(pid, signal.SIGKILL)


def chain(outermost: int) -> list[int]:
    """A lab's processes from the host's side inwards: relay, launcher, init, supervisor, and the supervisor's children."""
    pids = [outermost]
    while len(pids) < 5:
        children = Path(f"/proc/{pids[-1]}/task/{pids[-1]}/children").read_text().split()
        pids.append(int(children[0]))
    return pids


@pytest.mark.packets
@pytest.mark.parametrize("victim", ["relay", "launcher", "init", "supervisor"])
def test_a_lab_whose_process_is_killed_leaves_nothing(bench: Bench, victim: str) -> None:
    bench.run("up", "web_app")
    record = json.loads((bench.state / "testbed" / "web_app" / "lab.json").read_text())
    os.kill(chain(record["pid"])[["relay", "launcher", "init", "supervisor"].index(victim)], signal.SIGKILL)
    bench.assert_nothing_left()
    assert bench.run("down", "web_app").returncode == 0
    assert not (bench.state / "testbed" / "web_app").exists()


@pytest.mark.packets
def test_down_leaves_nothing_and_a_second_lab_of_the_name_is_refused(bench: Bench) -> None:
    bench.run("up", "web_app")
    second = bench.run("up", "web_app", check=False)
    assert second.returncode == 4
    assert "runs already" in second.stderr
    bench.run("down", "web_app")
    bench.assert_nothing_left()
    assert list((bench.state / "testbed").iterdir()) == []


@pytest.mark.packets
@pytest.mark.parametrize("said", ["building", "starting", "2", "12"])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_an_up_that_is_cut_off_leaves_nothing(bench: Bench, said: str, how: signal.Signals) -> None:
    up = bench.start("up", "web_app")
    assert up.stderr is not None
    for line in up.stderr:
        ready = re.search(r"(\d+) of \d+ services", line)
        if said in line if not said.isdigit() else ready is not None and int(ready[1]) >= int(said):
            break
    else:
        pytest.fail(f"`up` ended without saying {said!r}")
    up.send_signal(how)
    rest = up.stderr.read()
    assert up.wait() != 0
    assert "Traceback" not in rest
    bench.assert_nothing_left()


@pytest.mark.packets
@pytest.mark.parametrize("name", ["edge-lhr.dns", "edge-lhr.cloudfront", "alb-shop-a.alb", "web-a.instance", "shop-db.rds", "services-eu-west-1.dns"])
def test_a_killed_service_comes_back_and_gives_no_wrong_answer_meanwhile(bench: Bench, name: str) -> None:
    bench.run("up", "web_app")
    asking = [*TESTBED, "exec", "client", "--", "sh", "-c", "for i in $(seq 40); do curl -s -m 2 -o /dev/null -w '%{http_code}\\n' https://shop.example.com/products/1; sleep 0.05; done"]
    questions = subprocess.Popen(asking, env=inventory.environment(bench.state), stdout=subprocess.PIPE, text=True)
    supervisor = chain(json.loads((bench.state / "testbed" / "web_app" / "lab.json").read_text())["pid"])[3]
    victim = next(pid for pid, process in bench.processes().items() if process == name[:15] and supervisor in ancestors(pid))
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: (service := bench.services()[name])["state"] == "ready" and service["restarts"] == 1, f"{name} is not back")
    answers, _ = questions.communicate()
    codes = answers.split()
    assert len(codes) == 40
    assert set(codes) <= {"200", "000", "502", "503", "504"}, "an answer that is neither right nor an honest failure"
    assert codes[-1] == "200"
    bench.run("down")
    bench.assert_nothing_left()


def ancestors(pid: int) -> list[int]:
    """The parents of a process, nearest first."""
    found = []
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        found.append(pid)
    return found
