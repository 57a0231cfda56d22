"""Whose turn it is: the algorithms, slow start, fail-open, anomalies."""

from collections import Counter
from itertools import pairwise

import pytest

from services.alb.selection import LEAST_WEIGHT, LeastOutstanding, RoundRobin, WeightedRandom, Window, anomalies, offered
from services.common.health import State


class Stub:
    def __init__(self, id: str, state: State = State.HEALTHY, busy: int = 0, slow_since: float | None = None) -> None:
        self.id = id
        self.state = state
        self.busy = busy
        self.slow_since = slow_since


def test_healthy_targets_take_turns():
    turns: RoundRobin[Stub] = RoundRobin()
    turns.replace(offered([Stub("a"), Stub("b"), Stub("c", State.UNHEALTHY)], 1))
    ids = [turns.select(0.0).id for _ in range(6)]
    assert sorted(ids) == ["a", "a", "a", "b", "b", "b"]
    assert all(first != second for first, second in pairwise(ids))


@pytest.mark.parametrize(("minimum", "takes"), [(1, ["a"]), (2, ["a", "b", "c"]), (0, ["a"])])
def test_below_the_threshold_of_healthy_targets_all_are_offered(minimum: int, takes: list[str]):
    group = [Stub("a"), Stub("b", State.UNHEALTHY), Stub("c", State.INITIAL)]
    assert [target.id for target in offered(group, minimum)] == takes


@pytest.mark.parametrize("algorithm", [RoundRobin(), LeastOutstanding(), WeightedRandom(lambda: 0.5)])
def test_only_an_empty_group_has_no_target(algorithm):
    algorithm.replace(())
    assert algorithm.select(0.0) is None


def shares(turns: RoundRobin[Stub], now: float, requests: int = 300) -> Counter[str]:
    return Counter(turns.select(now).id for _ in range(requests))


def test_a_target_in_slow_start_gets_a_share_that_grows_with_time():
    turns: RoundRobin[Stub] = RoundRobin(slow_start_s=30.0)
    turns.replace([Stub("old"), Stub("new", slow_since=100.0)])
    assert shares(turns, 100.0)["new"] == 0
    assert shares(turns, 115.0)["new"] == pytest.approx(100, abs=1)  # half a turn for each of old's: a third of all
    assert shares(turns, 131.0)["new"] == 150


def test_slow_start_needs_another_target_that_is_not_in_it():
    turns: RoundRobin[Stub] = RoundRobin(slow_start_s=30.0)
    turns.replace([Stub("a", slow_since=100.0), Stub("b", slow_since=100.0)])
    assert shares(turns, 100.0) == {"a": 150, "b": 150}


def test_the_fewest_outstanding_requests_decide_and_equals_take_turns():
    least: LeastOutstanding[Stub] = LeastOutstanding()
    busy, a, b = Stub("busy", busy=3), Stub("a"), Stub("b")
    least.replace([busy, a, b])
    assert {least.select(0.0).id for _ in range(6)} == {"a", "b"}
    a.busy = b.busy = 5
    assert {least.select(0.0).id for _ in range(3)} == {"busy"}


def test_anomalous_is_who_fails_much_more_often_than_the_others_together():
    assert anomalies({1: Window(requests=10, errors=5), 2: Window(requests=10), 3: Window(requests=10)}) == (1,)
    assert anomalies({1: Window(requests=10, errors=5), 2: Window(requests=10, errors=5)}) == ()
    assert anomalies({1: Window(requests=10, errors=1), 2: Window(requests=10)}) == ()
    assert anomalies({1: Window(requests=10, errors=10)}) == ()


def test_a_mitigated_target_gets_less_and_recovers():
    numbers = iter(range(10**6))
    by_chance: WeightedRandom[Stub] = WeightedRandom(lambda: (next(numbers) % 1000) / 1000)
    bad, good = Stub("bad"), Stub("good")
    by_chance.replace([bad, good])

    def share() -> float:
        return Counter(by_chance.select(0.0).id for _ in range(1000))["bad"] / 1000

    assert share() == pytest.approx(0.5, abs=0.01)
    for _ in range(8):
        mitigated = by_chance.reweigh({id(bad): Window(requests=10, errors=9), id(good): Window(requests=10)})
    assert mitigated == (bad,)
    assert share() == pytest.approx(LEAST_WEIGHT / (1 + LEAST_WEIGHT), abs=0.01)
    for _ in range(4):
        mitigated = by_chance.reweigh({id(bad): Window(requests=10), id(good): Window(requests=10)})
    assert mitigated == ()
    assert share() == pytest.approx(0.5, abs=0.01)
