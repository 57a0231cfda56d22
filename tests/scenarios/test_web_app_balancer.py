"""Two instances behind the balancer: taking turns, and one of them falling silent. AWS's timers run thirty times as fast here, so that a health check's failure is seen."""

import os
import signal
import time
from dataclasses import replace

import pytest

from testbed.model import Topology
from tests.scenarios.shop import public_address, resource, shop_of_two, with_resources

CHECK_INTERVAL_S, TIME_SCALE = 10, 30.0
PATIENCE_S = 30.0


def hasty_shop() -> Topology:
    """The web application with a health check every third of a second."""
    topology = replace(shop_of_two(), time_scale=TIME_SCALE)
    return with_resources(topology, resource(topology, "tg-web", health_check_interval_seconds=CHECK_INTERVAL_S, healthy_threshold_count=2))


pytestmark = [pytest.mark.packets, pytest.mark.topology.with_args(hasty_shop)]


@pytest.fixture
def who_answers(lab):
    """Which instance answers a request to one node of the balancer; the status if none does."""
    at = ("--resolve", f"origin.shop.example.com:443:{public_address(lab, 'alb-shop-a')}")

    def ask() -> str:
        answer = lab["client"].curl("https://origin.shop.example.com/", *at)
        return answer.headers.get("x-served-by", str(answer.status))

    return ask


@pytest.fixture
def stopped(lab):
    """Stops the daemon of an instance, as a machine that hangs: it holds its connections and says nothing. It goes on at the test's end."""
    pids = []

    def stop(node: str) -> int:
        (pid,) = (service.pid for service in lab.ps() if service.node == node)
        os.kill(pid, signal.SIGSTOP)
        pids.append(pid)
        return pid

    yield stop
    for pid in pids:
        os.kill(pid, signal.SIGCONT)


def until(who_answers, wanted: set[str], at_least: int = 4, patience_s: float = 10.0) -> list[str]:
    """The answers until so many in a row were the wanted ones and all of these were among them."""
    answers: list[str] = []
    deadline = time.monotonic() + patience_s
    while set(answers[-at_least:]) != wanted or len(answers) < at_least:
        assert time.monotonic() < deadline, f"never only {wanted}: {answers}"
        answers.append(who_answers())
    return answers


def test_both_targets_answer_in_turn(who_answers):
    answers = [who_answers() for _ in range(6)]
    assert answers in (["web-a", "web-b"] * 3, ["web-b", "web-a"] * 3)


def test_each_request_to_a_target_comes_from_the_balancers_own_address(lab, who_answers):
    with lab.capture("web-a", "web-b", filter="tcp dst port 80") as capture:
        who_answers(), who_answers()
    addresses = {packet["IP"].src for packet in capture.packets}
    assert addresses <= {str(lab[node].address) for node in ("alb-shop-a", "alb-shop-b")}
    assert str(lab["alb-shop-a"].address) in addresses


def test_an_instance_that_hangs_is_left_out_and_comes_back(lab, who_answers, stopped):
    pid = stopped("web-a")
    answers = until(who_answers, {"web-b"})
    assert set(answers) <= {"web-a", "web-b", "504"}, "until the health check has failed twice, a request may wait for it in vain"
    with lab.capture("web-a", filter="tcp dst port 80 and tcp[tcpflags] & tcp-push != 0") as capture:
        assert [who_answers() for _ in range(6)] == ["web-b"] * 6
    assert not [packet for packet in capture.packets if b"GET / " in bytes(packet)], "it gets health checks and nothing else"
    os.kill(pid, signal.SIGCONT)
    until(who_answers, {"web-a", "web-b"}, at_least=2)


def test_a_killed_daemon_is_back_within_a_second_while_the_other_instance_answers(lab, who_answers):
    (pid,) = (service.pid for service in lab.ps() if service.node == "web-b")
    os.kill(pid, signal.SIGKILL)
    killed = time.monotonic()
    answers = []
    while answers[-2:] not in (["web-a", "web-b"], ["web-b", "web-a"]):
        assert time.monotonic() < killed + PATIENCE_S, answers
        answers.append(who_answers())
    assert set(answers) <= {"web-a", "web-b", "502"}
    assert answers.count("web-a") >= len(answers) // 2
