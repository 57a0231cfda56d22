"""A class in one table: a row for each student's result, as CSV for spreadsheets and as JSON for everything else.

Only reads result files, which lie in the students' own folders: for a mark that counts, a teacher runs `testbed lab check` there first.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

import msgspec

from testbed.labs.desk import Result

COLUMNS = ("lab", "student", "points", "out_of", "percent", "hints", "resets", "reset_to", "solved", "started", "checked")


def in_order(results: Iterable[Result]) -> tuple[Result, ...]:
    """Results by lab and student."""
    return tuple(sorted(results, key=lambda result: (result.lab, result.student)))


def percent(result: Result) -> int:
    """Points of a hundred; 0 before the first check."""
    return round(100 * result.points / result.out_of) if result.out_of else 0


def as_csv(results: Iterable[Result]) -> str:
    """One line a result: `COLUMNS`, then the points of every check, empty where a lab has no such."""
    ordered = in_order(results)
    checks = tuple(dict.fromkeys(f"{result.lab}.{mark.name}" for result in ordered for mark in result.marks))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*COLUMNS, *checks))
    for result in ordered:
        earned = {f"{result.lab}.{mark.name}": mark.earned for mark in result.marks}
        fields = {**{name: getattr(result, name) for name in COLUMNS if name != "percent"}, "percent": percent(result)}
        writer.writerow((*("" if fields[name] is None else fields[name] for name in COLUMNS), *(earned.get(check, "") for check in checks)))
    return text.getvalue()


def as_json(results: Iterable[Result]) -> str:
    """All that is known of each."""
    rows = [{**msgspec.to_builtins(result), "percent": percent(result), "hints": result.hints} for result in in_order(results)]
    return msgspec.json.format(msgspec.json.encode(rows)).decode() + "\n"
