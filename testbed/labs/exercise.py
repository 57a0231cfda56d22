"""A lab as its folder in `testbed/labs/` says it, and what each student gets of it.

    topology.py   the model solution: an ordinary topology file, which works
    exercise.py   EXERCISE: what is drawn for a student, what is broken for each step, the questions
    text.md       ``# title``, ``## Goals``, ``## Background``, ``## Step 1: …`` and so on, ``## Questions``
    hints.md      one ``## name`` for each break (or for anything else), its hints as paragraphs, the mildest first
    checks.py     pytest functions marked with `checking.check`
    answers.py    for each question a function of its name, which finds the answer in the running lab

A variant is made of text alone, and of nothing but the student's id: what the student gets is the model solution with the breaks of the steps
that are still to do, everywhere with the drawn addresses and names. So the same work is another's to copy in vain, and any stage can be made again.

Invariants: an `Edit` fits exactly one place of the model solution; of the breaks of one step a student gets one.
NOT MODELLED: secrecy. Whoever reads the installed package finds the solutions; the commands for students do not print them.
"""

from __future__ import annotations

import hashlib
import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
STUDENT = re.compile(r"[a-z0-9][a-z0-9_.-]{0,15}")
PARAGRAPH = re.compile(r"\n[ \t]*\n")


class LabFault(Exception):
    """A lab's own files do not fit together: its author's mistake, not the student's."""


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace the one place of the model solution that reads `old`."""

    old: str
    new: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """One thing wrong: mended in `step`. Breaks of one step are alternatives, of which a student gets one. `name` is also the title of its hints."""

    name: str
    step: int
    edits: tuple[Edit, ...]


@dataclass(frozen=True, slots=True)
class Draw:
    """What the model solution calls `original`, everywhere, text and hints included, becomes one of `options` for each student."""

    original: str
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question whose answer the student writes into ``answers.toml``; `name` is also the title of its hints, if it has any."""

    name: str
    step: int
    text: str
    points: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Exercise:
    """One lab. `name` is its folder's."""

    name: str
    summary: str
    minutes: int
    draws: tuple[Draw, ...] = ()
    breaks: tuple[Break, ...] = ()
    questions: tuple[Question, ...] = ()

    @property
    def folder(self) -> Path:
        return FOLDER / self.name

    @property
    def steps(self) -> int:
        """How many steps there are: the stages are 0, where nothing is done, to this."""
        return max([*(each.step for each in self.breaks), *(question.step for question in self.questions)], default=0)

    def read(self, name: str) -> str:
        """One of its files as written."""
        return (self.folder / name).read_text()


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """An exercise as one student gets it."""

    exercise: Exercise
    student: str

    def drawn(self, draw: Draw) -> str:
        """What stands for `draw.original`."""
        return draw.options[self._number(draw.original) % len(draw.options)]

    @property
    def breaks(self) -> tuple[Break, ...]:
        """What is broken for this student, one for each step that breaks something, by step."""
        by_step: dict[int, list[Break]] = {}
        for each in self.exercise.breaks:
            by_step.setdefault(each.step, []).append(each)
        return tuple(options[self._number(f"step {step}") % len(options)] for step, options in sorted(by_step.items()))

    def render(self, text: str) -> str:
        """`text` in the drawn addresses and names; all at once, so that no draw meets another's result."""
        drawn = {draw.original: self.drawn(draw) for draw in self.exercise.draws}
        if not drawn:
            return text
        originals = "|".join(re.escape(original) for original in sorted(drawn, key=len, reverse=True))
        return re.sub(rf"(?<![\w.])(?:{originals})", lambda found: drawn[found.group()], text)

    def topology(self, stage: int = 0) -> str:
        """The topology file after `stage` steps; after the last it is the solution. Raises LabFault."""
        text = self.exercise.read("topology.py")
        for each in self.breaks:
            if each.step > stage:
                text = _edited(text, each)
        return self.render(text)

    def hints(self) -> tuple[tuple[int, str], ...]:
        """The hints that concern this student, each with its step: by step, those on what is broken before those on questions, the mildest first."""
        titles = [*((each.step, each.name) for each in self.breaks), *((question.step, question.name) for question in self.exercise.questions)]
        written = dict(sections(self.exercise.read("hints.md")))
        return tuple((step, self.render(hint.strip())) for step, title in sorted(titles, key=lambda t: t[0]) for hint in PARAGRAPH.split(written.get(title, "")) if hint.strip())

    def text(self) -> tuple[tuple[str, str], ...]:
        """The text's sections: title and Markdown, what stands before the first ``##`` under an empty title."""
        return tuple(sections(self.render(self.exercise.read("text.md"))))

    def _number(self, key: str) -> int:
        return int.from_bytes(hashlib.blake2s(f"{self.exercise.name}/{self.student}/{key}".encode()).digest()[:8])


def variant(exercise: Exercise, student: str) -> Variant:
    """The exercise for a student's id, in which case does not count. Raises ValueError for what is no id."""
    name = student.strip().lower()
    if not STUDENT.fullmatch(name):
        raise ValueError(f"{student!r} is no student's id: letters, digits, dot, dash and underscore, at most 16")
    return Variant(exercise=exercise, student=name)


def known() -> tuple[Exercise, ...]:
    """Every lab, by name."""
    return tuple(find(path.parent.name) for path in sorted(FOLDER.glob("*/exercise.py")))


def find(name: str) -> Exercise:
    """The lab of this name. Raises LookupError."""
    if not (FOLDER / name / "exercise.py").is_file():
        raise LookupError(name)
    exercise: Exercise = importlib.import_module(f"testbed.labs.{name}.exercise").EXERCISE
    return exercise


def sections(markdown: str) -> Iterator[tuple[str, str]]:
    """The ``##`` sections of a text, title and body, in order."""
    head, *rest = re.split(r"^## +", markdown, flags=re.MULTILINE)
    if head.strip():
        yield "", head.strip()
    for part in rest:
        title, _, body = part.partition("\n")
        yield title.strip(), body.strip()


def _edited(text: str, broken: Break) -> str:
    for edit in broken.edits:
        if text.count(edit.old) != 1:
            raise LabFault(f"the break {broken.name} fits {text.count(edit.old)} places of the model solution, not one: {edit.old!r}")
        text = text.replace(edit.old, edit.new)
    return text
