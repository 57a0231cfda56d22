"""Run a lab's checks and questions against the running lab, and give marks.

pytest runs the checks, in this process, with nothing but our fixtures: `lab` (`CheckedLab`) and `variant`. Questions need no check: the answer is what
the function of its name in ``answers.py`` finds in the running lab (one string, or several that count as right); case and spaces do not matter.

A mark is partial credit: each check its points. A negative check counts only if all positive checks of its step hold.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import os
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from types import ModuleType

import pytest

from testbed.labs.checking import PATIENCE_S, CheckedLab
from testbed.labs.exercise import LabFault, Question, Variant

LONGEST_DETAIL = 200
ALONE = ("-p", "no:cacheprovider", "-p", "no:terminal", "-p", "no:faulthandler", "-p", "no:logging", "-p", "no:testbed", "-p", "no:randomly", "--noconftest", "--import-mode=importlib",
         "--capture=no", "-c", os.devnull)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What one check or question came to. `earned` of `points`; `evidence` is what a packet met, `detail` what went wrong with the check itself."""

    name: str
    title: str
    step: int
    points: int
    negative: bool = False
    question: bool = False
    passed: bool = False
    earned: int = 0
    evidence: str = ""
    detail: str = ""


def grade(variant: Variant, lab: CheckedLab, answers: Mapping[str, str], *, explaining: bool = True) -> tuple[Mark, ...]:
    """All marks, by step, checks before questions; `explaining` gathers the evidence for misses. Raises LabFault if the lab's own checks cannot run."""
    grader = _Grader(variant, lab, explaining)
    path = variant.exercise.folder / "checks.py"
    with _without("PYTEST_ADDOPTS", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1"):
        code = pytest.main([str(path), f"--rootdir={path.parent}", *ALONE], plugins=[grader])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise LabFault(f"{path} cannot be run (pytest: {code}): {grader.faults or 'no checks in it'}")
    asked = [_asked(variant, question, lab, answers) for question in variant.exercise.questions]
    return tuple(sorted(_earned([*grader.marks, *asked]), key=lambda mark: mark.step))


def truths(variant: Variant, lab: CheckedLab) -> dict[str, str]:
    """The right answer to each question, for `solve`."""
    return {question.name: _right(variant, question, lab)[0] for question in variant.exercise.questions}


class _Grader:
    """The pytest plugin of one run."""

    def __init__(self, variant: Variant, lab: CheckedLab, explaining: bool) -> None:
        self._variant = variant
        self._explaining = explaining
        self._lab = lab
        self.marks: list[Mark] = []
        self.faults = ""

    def pytest_configure(self, config: pytest.Config) -> None:
        config.addinivalue_line("markers", "check(step, points, negative): a check of a lab")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.faults = str(report.longrepr)

    @pytest.fixture
    def lab(self) -> CheckedLab:
        return self._lab

    @pytest.fixture
    def variant(self) -> Variant:
        return self._variant

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self._lab.probes.clear()
        self._lab.patience_s = self._lab.silence_s if _marker(item)["negative"] else PATIENCE_S

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if call.when == "call" or (call.when == "setup" and report.failed):
            self.marks.append(self._mark(item, report.passed, call.excinfo))
        return report

    def _mark(self, item: pytest.Item, passed: bool, failure: pytest.ExceptionInfo[BaseException] | None) -> Mark:
        marker = _marker(item)
        title = inspect.cleandoc(getattr(getattr(item, "function", None), "__doc__", None) or item.name).split("\n")[0]
        evidence = detail = ""
        if failure is not None:
            self._lab.patience_s = PATIENCE_S
            evidence = self._lab.evidence() if self._explaining and not failure.errisinstance(LookupError) else ""
            told = str(failure.value).split("\n")[0] if failure.errisinstance((AssertionError, LookupError)) else failure.exconly().strip().split("\n")[-1]
            detail = "" if evidence and told.startswith("assert ") else told.strip("'\"")[:LONGEST_DETAIL]
        return Mark(name=item.name, title=title, step=marker["step"], points=marker["points"], negative=bool(marker["negative"]), passed=passed, evidence=evidence, detail=detail)


def _marker(item: pytest.Item) -> dict[str, int]:
    marker = item.get_closest_marker("check")
    if marker is None:
        raise LabFault(f"{item.nodeid} is not marked with @check(step=…)")
    return dict(marker.kwargs)


def _earned(marks: list[Mark]) -> list[Mark]:
    """The marks with their points."""
    undone = {mark.step for mark in marks if not mark.passed and not mark.negative and not mark.question}
    return [replace(mark, earned=mark.points if mark.passed and not (mark.negative and mark.step in undone) else 0) for mark in marks]


def _asked(variant: Variant, question: Question, lab: CheckedLab, answers: Mapping[str, str]) -> Mark:
    blank = Mark(name=question.name, title=variant.render(question.text), step=question.step, points=question.points, question=True)
    given = _plain(answers.get(question.name, ""))
    if not given:
        return replace(blank, detail="not answered yet")
    try:
        right = _right(variant, question, lab)
    except (LookupError, OSError) as error:
        return replace(blank, detail=f"the lab does not show the answer: {error}".strip())
    passed = given in map(_plain, right)
    return replace(blank, passed=passed, detail="" if passed else f"{answers[question.name]!r} is not what the packets show")


def _right(variant: Variant, question: Question, lab: CheckedLab) -> tuple[str, ...]:
    lab.patience_s = PATIENCE_S
    module: ModuleType = importlib.import_module(f"testbed.labs.{variant.exercise.name}.answers")
    function: Callable[[CheckedLab], str | tuple[str, ...]] | None = getattr(module, question.name, None)
    if function is None:
        raise LabFault(f"answers.py of {variant.exercise.name} has no function {question.name}")
    found = function(lab)
    return (found,) if isinstance(found, str) else found


def _plain(answer: str) -> str:
    return "".join(answer.casefold().split())


@contextlib.contextmanager
def _without(*names: str, **given: str) -> Generator[None]:
    """The environment, for a while without some variables and with others."""
    before = dict(os.environ)
    for name in names:
        os.environ.pop(name, None)
    os.environ.update(given)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
