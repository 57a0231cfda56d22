"""``testbed lab``: classroom labs, for students and teachers. What a lab is, `testbed.labs` says; here it is started, changed, shown."""

from __future__ import annotations

import datetime
import getpass
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from testbed.cli.exits import FAILED, OK, BadSource, NoSuchLab, Told
from testbed.cli.running import json_option

if TYPE_CHECKING:
    from rich.console import Console

    from testbed.engine.remote import RemoteLab
    from testbed.labs.checking import CheckedLab
    from testbed.labs.desk import Desk, Result
    from testbed.labs.exercise import Exercise, Variant
    from testbed.plan import Plan
    from testbed.resolve.resolved import Resolved

LOOKS = 3
"""So often the desk's topology is compared with the lab, whose groups may be launching something meanwhile."""
F = TypeVar("F", bound=Callable[..., object])


def desk_argument(function: F) -> F:
    """The student's folder."""
    return click.argument("folder", required=False, type=click.Path(path_type=Path))(function)


@click.group("lab")
def command() -> None:
    """Classroom labs: something to mend and to find out, checked with real packets.

    \b
    testbed lab list
    testbed lab start why_cant_i_connect --student s123
    cd why_cant_i_connect-s123
    …                        look: testbed explain, capture, routes; edit topology.py; testbed apply
    testbed lab check
    testbed lab hint
    testbed down
    """


@command.command("list")
@json_option
def list_labs(as_json: bool) -> None:
    """Labs that there are."""
    from testbed.cli.output import console, print_json
    from testbed.labs.exercise import known

    if as_json:
        print_json([{"name": lab.name, "summary": lab.summary, "steps": lab.steps, "minutes": lab.minutes} for lab in known()])
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("lab", "what it is about", "steps", "minutes"):
        table.add_column(title, style="bold" if title == "lab" else "")
    for lab in known():
        table.add_row(lab.name, lab.summary, str(lab.steps), str(lab.minutes))
    console().print(table)


@command.command("start")
@click.argument("lab")
@click.option("--student", help="Your student id, which decides your variant; your user name by default.")
@click.option("--in", "directory", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="Where your folder is made; here by default.")
def start(lab: str, student: str | None, directory: Path) -> None:
    """Make your folder with the topology to work on, start it, and show what it is about. If you began before, go on where you were."""
    from testbed.cli.output import console, remarks
    from testbed.labs.desk import lay

    wanted = _variant(_exercise(lab), student or getpass.getuser())
    desk, is_new = lay(wanted, directory, _now())
    running = _up(desk)
    screen = console()
    _show(desk.variant, screen, ("", "Goals", "Background") if is_new else ("",), step=1)
    where = desk.folder.relative_to(Path.cwd()) if desk.folder.is_relative_to(Path.cwd()) else desk.folder
    remarks().print(f"[green]{'started' if is_new else 'here again'}[/green] {running.name}: cd {where}, edit topology.py, then testbed apply and testbed lab check; all steps: testbed lab text")


@command.command("text")
@desk_argument
@click.option("--step", type=click.IntRange(1), help="Only this step.")
def text(folder: Path | None, step: int | None) -> None:
    """The lab's text: goals, background, steps, questions."""
    from testbed.cli.output import console

    variant = _desk(folder).variant
    _show(variant, console(), None if step is None else (), step=step)


@command.command("check")
@desk_argument
@json_option
def check(folder: Path | None, as_json: bool) -> int:
    """Check the running lab with packets, and your answers. Each miss is explained by what a packet met. Exit 1 until everything is right."""
    from testbed.cli.output import console, print_json, progress
    from testbed.labs.grading import grade

    desk = _desk(folder)
    checked = _checked(desk)
    with progress(f"check {desk.lab_name}", quiet=as_json) as told:
        told("sending packets")
        result = desk.grade(grade(desk.variant, checked, _answers(desk)), _now())
    if as_json:
        print_json(result)
    else:
        _show_result(result, console())
    return OK if result.points == result.out_of else FAILED


@command.command("hint")
@desk_argument
@click.option("--step", type=click.IntRange(1), help="For this step; the first that is not done by default.")
def hint(folder: Path | None, step: int | None) -> None:
    """One more hint, the mildest first. How many you took stands in the report."""
    from rich.markdown import Markdown

    from testbed.cli.output import console, remarks

    desk = _desk(folder)
    undone = [mark.step for mark in desk.result.marks if not mark.passed]
    wanted = step or min(undone, default=1 if not desk.result.marks else None) or 0
    hints = [told for at, told in desk.variant.hints() if at == wanted]
    taken = desk.result.hints_taken.get(str(wanted), 0)
    if not hints:
        remarks().print("nothing is left to do, so there is nothing to hint at" if wanted == 0 else f"there are no hints for step {wanted}")
        return
    taken = min(taken + 1, len(hints))
    desk.record(hints_taken={**desk.result.hints_taken, str(wanted): taken})
    screen = console()
    for number, told in enumerate(hints[:taken], 1):
        screen.print(f"[bold]step {wanted}, hint {number} of {len(hints)}[/]")
        screen.print(Markdown(told))


@command.command("reset")
@desk_argument
@click.option("--stage", type=click.IntRange(0), default=0, show_default=True, help="0 is the beginning; N is as if the steps up to N were done.")
def reset(folder: Path | None, stage: int) -> None:
    """Set topology.py and the lab back to a stage; your own file is kept as topology.py.before. Answers stay.

    The lab is started anew: no connection, translation or counter of what you did before is left in it.
    """
    from testbed.cli.output import remarks
    from testbed.engine import remote

    desk = _desk(folder)
    last = desk.exercise.steps - 1
    if stage > last:
        raise BadSource(f"{desk.exercise.name} has no stage {stage} to begin from", f"the last one is {last}")
    desk.write_topology(stage)
    if desk.lab_name in remote.running():
        remote.end(desk.lab_name)
    _up(desk)
    desk.record(resets=desk.result.resets + 1, reset_to=max(stage, desk.result.reset_to or 0))
    remarks().print(f"[green]reset[/green] {desk.lab_name} to stage {stage}; what topology.py was is in topology.py.before")


@command.command("solve")
@desk_argument
@click.option("--yes", is_flag=True, help="Do not ask.")
def solve(folder: Path | None, yes: bool) -> None:
    """For teachers: apply the model solution and write the right answers. The result file says so from then on."""
    from testbed.cli.output import remarks
    from testbed.labs.grading import truths

    desk = _desk(folder)
    if not yes:
        click.confirm(f"This solves {desk.lab_name}, and its result will say so. Go on?", abort=True)
    _change(desk)
    desk.write_answers(truths(desk.variant, _checked(desk)))
    desk.record(solved=True)
    remarks().print(f"[green]solved[/green] {desk.lab_name}; what topology.py was is in topology.py.before")


@command.command("report")
@click.argument("folders", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--csv", "csv_file", type=click.Path(path_type=Path, dir_okay=False), help="Write a line for each student.")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write everything that is known of each.")
def report(folders: tuple[Path, ...], csv_file: Path | None, json_file: Path | None) -> None:
    """A class at a glance: from the students' folders, or from a folder that holds them. The marks are those of each one's last check."""
    from testbed.cli.output import console
    from testbed.labs.desk import RESULT, find_desks, read_result
    from testbed.labs.report import as_csv, as_json, in_order, percent

    desks = tuple(dict.fromkeys(desk.resolve() for folder in folders or (Path(),) for desk in find_desks(folder)))
    if not desks:
        raise BadSource("there is no student's folder here", "name the folders that `testbed lab start` made, or one that holds them")
    try:
        results = in_order(read_result(desk / RESULT) for desk in desks)
    except ValueError as error:
        raise BadSource(str(error), "take the folder out of the report, or let the student check again") from error
    for file, written in ((csv_file, as_csv), (json_file, as_json)):
        if file is not None:
            file.write_text(written(results))
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("lab", "student", "points", "%", "hints", "resets", "solved by command", "last check"):
        table.add_column(title)
    for result in results:
        table.add_row(result.lab, result.student, f"{result.points}/{result.out_of}" if result.checked else "not checked", str(percent(result)), str(result.hints), str(result.resets), "yes" if result.solved else "", result.checked)
    console().print(table)


def _exercise(name: str) -> Exercise:
    import difflib

    from testbed.labs.exercise import find, known

    try:
        return find(name)
    except LookupError as error:
        names = [lab.name for lab in known()]
        near = difflib.get_close_matches(name, names, n=1)
        raise BadSource(f"no lab {name!r}", f"did you mean {near[0]}?" if near else f"there are: {', '.join(names)}") from error


def _variant(exercise: Exercise, student: str) -> Variant:
    from testbed.labs.exercise import variant

    try:
        return variant(exercise, student)
    except ValueError as error:
        raise BadSource(str(error), "testbed lab start LAB --student ID") from error


def _desk(folder: Path | None) -> Desk:
    """The folder that was named, or this one, or the only one in this one. Raises `BadSource`."""
    from testbed.labs.desk import Desk, find_desks

    desks = find_desks(folder or Path())
    if len(desks) != 1:
        found = f"{len(desks)} students' folders in {folder or 'this folder'}" if desks else f"no lab was started in {folder or 'this folder'}"
        raise BadSource(found, f"name one: {', '.join(map(str, desks))}" if desks else "testbed lab start LAB, or go to the folder that it made")
    try:
        return Desk(desks[0])
    except (ValueError, LookupError) as error:
        raise BadSource(f"{desks[0]} is of no lab that is known here: {error}", "begin again: testbed lab start LAB, in another folder") from error


def _compiled(desk: Desk, running: RemoteLab | None = None) -> tuple[Resolved, Plan]:
    """The desk's topology; with the instances that its groups have in `running` just now."""
    from testbed.cli.source import load
    from testbed.cli.warm import running_topology
    from testbed.compile import compile_plan
    from testbed.model.launching import carried_over
    from testbed.resolve import resolve

    wanted = load(str(desk.topology))
    resolved = resolve(wanted if running is None else carried_over(running_topology(running), wanted))
    return resolved, compile_plan(resolved)


def _up(desk: Desk) -> RemoteLab:
    """The desk's lab, started if it does not run."""
    from testbed.cli.output import progress
    from testbed.cli.warm import operations
    from testbed.engine import remote

    if desk.lab_name in remote.running():
        running = remote.attach(desk.lab_name)
        if Path(running.topology_source) != desk.topology:
            raise NoSuchLab(f"a lab {desk.lab_name} runs already, from {running.topology_source}", f"testbed down {desk.lab_name}, or go on there")
        return running
    resolved, plan = _compiled(desk)
    with progress(f"up {desk.lab_name}") as told:
        return remote.launch(plan, desk.lab_name, str(desk.topology), told, operations(plan, resolved))


def _change(desk: Desk) -> None:
    """Put the model solution into the folder and into the lab, which is started if it does not run. Its connections go on, as with `testbed apply`."""
    from testbed.cli.source import load
    from testbed.cli.warm import change
    from testbed.engine import remote

    desk.write_topology(desk.exercise.steps)
    if desk.lab_name in remote.running():
        change(remote.attach(desk.lab_name), load(str(desk.topology)))
    else:
        _up(desk)


def _checked(desk: Desk) -> CheckedLab:
    """The running lab, for checks. Raises `NoSuchLab` if it does not run, `Told` if it is not what the folder's topology says."""
    from testbed.engine import remote
    from testbed.labs.checking import CheckedLab

    if desk.lab_name not in remote.running():
        raise NoSuchLab(f"{desk.lab_name} does not run", f"testbed up {desk.topology} --name {desk.lab_name}")
    running = remote.attach(desk.lab_name)
    if not any(plan == running.plan for _, plan in (_compiled(desk, running) for _ in range(LOOKS))):
        raise Told(f"{desk.topology} says something else than what runs", f"testbed apply --lab {desk.lab_name} {desk.topology}")
    known: dict[int, Resolved] = {}

    def present() -> Resolved:
        if running.revision not in known:
            known[running.revision] = _compiled(desk, running)[0]
        return known[running.revision]

    return CheckedLab(running, present)


def _answers(desk: Desk) -> dict[str, str]:
    try:
        return desk.answers()
    except ValueError as error:
        raise BadSource(f"answers.toml: {error}", 'write answers as name = "answer"') from error


def _show(variant: Variant, screen: Console, titles: tuple[str, ...] | None, step: int | None) -> None:
    """Print sections of the text: those named and one step, or all of it."""
    from rich.markdown import Markdown

    for title, body in variant.text():
        if titles is None or title in titles or (step is not None and title.startswith(f"Step {step}:")):
            screen.print(Markdown(f"## {title}\n\n{body}" if title else body))
            screen.print()


def _show_result(result: Result, screen: Console) -> None:
    """Step by step: what holds, what does not, and what a packet met. Evidence that was told before is not told again."""
    from rich.markup import escape
    from rich.padding import Padding

    step = 0
    told: set[str] = set()
    for mark in result.marks:
        if mark.step != step:
            step = mark.step
            screen.print(f"[bold]Step {step}[/]")
        waits = mark.passed and mark.earned < mark.points
        sign = "[yellow]~[/]" if waits else "[green]v[/]" if mark.passed else "[red]x[/]"
        screen.print(f"  {sign} {mark.earned}/{mark.points}  {escape(mark.title)}{' [yellow](counts once what should pass in this step does)[/]' if waits else ''}")
        for words in filter(None, (mark.detail, "as above" if mark.evidence in told else mark.evidence)):
            screen.print(Padding(f"[dim]{escape(words)}[/]", (0, 0, 0, 9), expand=False))
        if mark.evidence:
            told.add(mark.evidence)
    done = result.points == result.out_of
    screen.print(f"[bold {'green' if done else 'yellow'}]{result.points} of {result.out_of} points[/]{'' if done else '   a hint: testbed lab hint'}")


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
