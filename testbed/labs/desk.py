"""A student's folder, ``<lab>-<student>/``: the topology to edit, the answers to fill in, and what was achieved.

    topology.py    the student's own; `reset` and `solve` keep the former one as topology.py.before
    answers.toml   where the lab asks questions
    result.json    `Result`: marks, hints taken, resets; read by `report`

The running lab has the folder's name. Nothing here starts or changes a lab.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from testbed.labs.exercise import Exercise, Variant, find, variant
from testbed.labs.grading import Mark

TOPOLOGY, ANSWERS, RESULT = "topology.py", "answers.toml", "result.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a student has done. `hints_taken` counts by step; `reset_to` is the highest stage taken by `reset`, None if never; `solved` says that the model solution was shown. Times are ISO 8601."""

    lab: str
    student: str
    started: str
    checked: str = ""
    points: int = 0
    out_of: int = 0
    hints_taken: dict[str, int] = field(default_factory=dict)
    resets: int = 0
    reset_to: int | None = None
    solved: bool = False
    marks: tuple[Mark, ...] = ()

    @property
    def hints(self) -> int:
        """How many hints were taken."""
        return sum(self.hints_taken.values())


class Desk:
    """One student's folder. Raises FileNotFoundError if it is none, LookupError for a lab that there is not."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.result = read_result(self.folder / RESULT)
        self.variant: Variant = variant(find(self.result.lab), self.result.student)

    @property
    def exercise(self) -> Exercise:
        return self.variant.exercise

    @property
    def lab_name(self) -> str:
        """The name of the running lab."""
        return desk_name(self.exercise, self.variant.student)

    @property
    def topology(self) -> Path:
        return self.folder / TOPOLOGY

    def write_topology(self, stage: int) -> None:
        """Put the topology of a stage there; the former one stays beside it."""
        if self.topology.exists():
            self.topology.replace(self.topology.with_suffix(".py.before"))
        self.topology.write_text(self.variant.topology(stage))

    def answers(self) -> dict[str, str]:
        """What the student answered so far. Raises ValueError if the file is no TOML."""
        path = self.folder / ANSWERS
        given = tomllib.loads(path.read_text()) if path.exists() else {}
        return {name: str(answer) for name, answer in given.items()}

    def write_answers(self, answers: dict[str, str]) -> None:
        """Write the answers, each below its question."""
        if self.exercise.questions:
            (self.folder / ANSWERS).write_text("\n".join(
                f"# {self.variant.render(question.text)}\n{question.name} = {msgspec.json.encode(answers.get(question.name, '')).decode()}\n" for question in self.exercise.questions
            ))

    def record(self, **changes: object) -> Result:
        """Keep changed fields of the result."""
        self.result = replace(self.result, **changes)  # type: ignore[arg-type]
        write_result(self.folder / RESULT, self.result)
        return self.result

    def grade(self, marks: tuple[Mark, ...], now: str) -> Result:
        """Keep marks."""
        return self.record(marks=marks, points=sum(mark.earned for mark in marks), out_of=sum(mark.points for mark in marks), checked=now)


def desk_name(exercise: Exercise, student: str) -> str:
    """What a student's folder and lab are called."""
    return f"{exercise.name}-{student}"


def lay(wanted: Variant, directory: Path, now: str) -> tuple[Desk, bool]:
    """The student's folder in `directory`, made if it is not there yet; and whether it was made."""
    folder = directory / desk_name(wanted.exercise, wanted.student)
    if (folder / RESULT).exists():
        return Desk(folder), False
    folder.mkdir(parents=True, exist_ok=True)
    write_result(folder / RESULT, Result(lab=wanted.exercise.name, student=wanted.student, started=now))
    desk = Desk(folder)
    desk.write_topology(0)
    desk.write_answers({})
    return desk, True


def find_desks(directory: Path) -> tuple[Path, ...]:
    """Students' folders: `directory` itself, or those in it, by name."""
    if (directory / RESULT).is_file():
        return (directory,)
    return tuple(sorted(path.parent for path in directory.glob(f"*/{RESULT}")))


def read_result(path: Path) -> Result:
    """A result file. Raises FileNotFoundError, or ValueError if it is not one."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Result)
    except msgspec.DecodeError as error:
        raise ValueError(f"{path} is no lab's result: {error}") from error


def write_result(path: Path, result: Result) -> None:
    """Write a result file, atomically."""
    fresh = path.with_suffix(".new")
    fresh.write_bytes(msgspec.json.format(msgspec.json.encode(result)) + b"\n")
    fresh.replace(path)
