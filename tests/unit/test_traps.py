"""The table of what people get wrong (`tests/scenarios/README.md`) and the tests that show it are one list."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

SCENARIOS = Path(__file__).resolve().parents[1] / "scenarios"
ROWS = re.findall(r"^\| ([^|]+) \|.*\| `(test_\w+\.py(?:::\w+)+)` \|$", (SCENARIOS / "README.md").read_text(), re.MULTILINE)
ROWS_SHOWN = {*range(1, 32)}
EXAM, BALANCERS = 18, 9
NAME = re.compile(r"test_(?:trap_(\d\d)|trap_[a-z0-9]+|exam)_\w+")


def shown() -> dict[str, ast.FunctionDef]:
    """Every demonstration in the scenarios, by its node id."""
    found = {}
    for path in sorted(SCENARIOS.glob("test_*.py")):
        body = ast.parse(path.read_text()).body
        scopes = [(path.name, body), *((f"{path.name}::{each.name}", each.body) for each in body if isinstance(each, ast.ClassDef))]
        found |= {f"{name}::{each.name}": each for name, scope in scopes for each in scope if isinstance(each, ast.FunctionDef) and NAME.fullmatch(each.name)}
    return found


SHOWN = shown()


def test_every_listed_test_exists_and_every_test_is_listed() -> None:
    assert {test for _, test in ROWS} == set(SHOWN)


def test_every_belief_has_its_test() -> None:
    numbered = [(int(row), test) for row, test in ROWS if row.isdigit()]
    assert {number for number, _ in numbered} >= ROWS_SHOWN
    assert all(f"::test_trap_{number:02}_" in test for number, test in numbered)
    assert len(ROWS) - len(numbered) == EXAM + BALANCERS


@pytest.mark.parametrize("test", sorted(SHOWN))
def test_a_demonstration_tells_belief_and_truth(test: str) -> None:
    words = ast.get_docstring(SHOWN[test]) or ""
    number = NAME.fullmatch(SHOWN[test].name)
    assert words.startswith("Belief")
    assert "Truth:" in words
    assert number is not None
    assert number[1] is None or f"row {int(number[1])}" in words
