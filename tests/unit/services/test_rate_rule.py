"""The rate rule that learns: what it takes for an attack, whom it blocks, and when it stops."""

import pytest

from services.common.config import LearntRateRule
from services.common.rate_rule import CALM_WINDOWS, LOWEST_LIMIT, RateRule

WINDOW_S = 60.0


def rule(action="Block", health_based=False, told=None):
    told = [] if told is None else told
    return RateRule(LearntRateRule(origin="protect", action=action, health_based=health_based), WINDOW_S, 0.0, lambda what, limit: told.append((what, limit)))


def ask(rule, source, count, begin_s, end_s):
    """How many of so many requests, evenly over a time, are blocked."""
    return sum(rule.blocks(source, begin_s + (end_s - begin_s) * number / count) for number in range(count))


def learnt(per_window=20, **settings):
    """A rule that has seen two ordinary windows of one client."""
    made = rule(**settings)
    assert ask(made, "client", per_window, 0, WINDOW_S) == 0
    assert ask(made, "client", per_window, WINDOW_S, 2 * WINDOW_S) == 0
    return made


def test_who_floods_is_blocked_beyond_what_is_usual_and_nobody_else():
    made = learnt()
    blocked = ask(made, "crowd", 1000, 121, 140)
    assert made.mitigates
    assert made.limit == 80
    assert 900 <= blocked <= 920, "the first 80 pass"
    assert ask(made, "client", 20, 140, 200) == 0


def test_nothing_is_blocked_before_anything_is_learnt():
    assert ask(rule(), "crowd", 1000, 0, 30) == 0


def test_a_busy_day_is_no_attack():
    made = learnt()
    assert ask(made, "client", 60, 121, 180) == 0
    assert not made.mitigates


def test_a_limit_is_never_below_that_of_any_rate_based_rule():
    assert learnt(per_window=1).limit == LOWEST_LIMIT


def test_what_is_attacked_is_not_taken_for_usual():
    made = learnt()
    ask(made, "crowd", 5000, 121, 300)
    assert made.limit == 80


def test_it_ends_some_windows_after_the_last_sign_and_tells_both():
    told = []
    made = learnt(told=told)
    ask(made, "crowd", 500, 121, 130)
    assert told == [("begins", 80)]
    assert not made.blocks("client", 130 + (CALM_WINDOWS + 1) * WINDOW_S)
    assert told == [("begins", 80), ("ends", 80)]
    assert not made.mitigates


def test_counting_blocks_nobody():
    made = learnt(action="Count")
    assert ask(made, "crowd", 1000, 121, 140) == 0
    assert made.mitigates


@pytest.mark.parametrize(("health_based", "mitigates"), [(True, True), (False, False)])
def test_while_answers_fail_half_of_the_excess_is_enough(health_based, mitigates):
    made = learnt(health_based=health_based)
    ask(made, "client", 20, 120, 180)
    for status in (200,) * 10 + (503,) * 10:
        made.answered(status)
    ask(made, "crowd", 30, 180, 200)
    assert made.mitigates is mitigates


def test_a_night_without_requests_is_gone_through_at_once():
    made = learnt()
    assert not made.blocks("client", 1e9)
    assert made.limit == 80, "and nothing is forgotten in it"


def test_rates_slide_from_window_to_window():
    made = learnt()
    ask(made, "crowd", 500, 170, 179.9)
    assert made.blocks("crowd", 180.5), "a new window does not begin from nothing"
