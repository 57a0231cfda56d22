"""Marks: partial credit, and what a negative check is worth alone."""

from dataclasses import replace

from testbed.labs.grading import Mark, _earned, _plain

POSITIVE = Mark(name="p", title="", step=1, points=3, passed=True)
NEGATIVE = Mark(name="n", title="", step=1, points=2, negative=True, passed=True)
ELSEWHERE = Mark(name="e", title="", step=2, points=1, passed=False)
QUESTION = Mark(name="q", title="", step=1, points=1, question=True, passed=False)


def earned(*marks):
    return [mark.earned for mark in _earned(list(marks))]


def test_each_check_that_holds_earns_its_points():
    assert earned(POSITIVE, NEGATIVE, ELSEWHERE) == [3, 2, 0]


def test_a_negative_check_earns_nothing_while_its_step_does_not_work():
    assert earned(replace(POSITIVE, passed=False), NEGATIVE, ELSEWHERE) == [0, 0, 0]


def test_an_open_question_costs_its_own_points_only():
    assert earned(POSITIVE, NEGATIVE, QUESTION) == [3, 2, 0]


def test_what_passes_and_should_not_earns_nothing():
    assert earned(POSITIVE, replace(NEGATIVE, passed=False)) == [3, 0]


def test_case_and_spaces_do_not_matter_in_an_answer():
    assert _plain(" LHR ") == _plain("lhr")
