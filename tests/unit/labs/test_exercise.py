"""What a student gets of a lab: always the same for one id, something else for another, and always a topology without faults."""

import pytest

from testbed.cli.source import load
from testbed.labs.exercise import Break, Draw, Edit, Exercise, LabFault, Variant, find, known, sections, variant
from testbed.resolve import resolve

LABS = known()
STUDENTS = tuple(f"s{number}" for number in range(12))


def topology(tmp_path, wanted, stage):
    path = tmp_path / "topology.py"
    path.write_text(wanted.topology(stage))
    return load(str(path))


def test_the_labs_of_the_vpc_and_of_the_hub_are_there():
    vpc = {"follow_one_packet", "private_subnet_reaches_out", "stateful_and_stateless", "why_cant_i_connect"}
    assert {lab.name for lab in LABS} >= vpc | {"encrypted_tunnel", "fibre_and_backup", "hub_and_spoke"}


@pytest.mark.parametrize("lab", LABS, ids=lambda lab: lab.name)
def test_every_stage_of_every_variant_is_a_topology_without_faults(lab, tmp_path):
    for student in STUDENTS:
        for stage in range(lab.steps + 1):
            resolve(topology(tmp_path, variant(lab, student), stage))


@pytest.mark.parametrize("lab", LABS, ids=lambda lab: lab.name)
def test_a_student_gets_the_same_again_and_a_class_gets_different_ones(lab):
    files = [variant(lab, student).topology() for student in STUDENTS]
    assert files == [variant(lab, student.upper()).topology() for student in STUDENTS]
    assert len(set(files)) > len(STUDENTS) / 2


@pytest.mark.parametrize("lab", LABS, ids=lambda lab: lab.name)
def test_every_break_changes_what_the_network_is(lab, tmp_path):
    solution = topology(tmp_path, variant(lab, "s1"), lab.steps)
    for each in lab.breaks:
        alone = Variant(exercise=Exercise(name=lab.name, summary="", minutes=1, draws=lab.draws, breaks=(each,)), student="s1")
        assert topology(tmp_path, alone, 0) != solution, each.name
        assert topology(tmp_path, alone, each.step) == solution, each.name


@pytest.mark.parametrize("lab", LABS, ids=lambda lab: lab.name)
def test_a_class_meets_every_break(lab):
    met = {each.name for number in range(100) for each in variant(lab, f"s{number}").breaks}
    assert met == {each.name for each in lab.breaks}


@pytest.mark.parametrize("lab", LABS, ids=lambda lab: lab.name)
def test_text_and_hints_are_there_for_every_step_in_the_students_own_addresses(lab):
    wanted = variant(lab, "s3")
    titles = [title for title, _ in wanted.text()]
    assert titles[:3] == ["", "Goals", "Background"]
    assert [title.split(":")[0] for title in titles if title.startswith("Step")] == [f"Step {step}" for step in range(1, lab.steps + 1)]
    assert {step for step, _ in wanted.hints()} == set(range(1, lab.steps + 1))
    drawn = next(wanted.drawn(draw) for draw in lab.draws if draw.original == "10.20.")
    assert drawn == "10.20." or "10.20." not in "".join(body for _, body in wanted.text()) + wanted.topology()


@pytest.mark.parametrize("lab", LABS, ids=lambda lab: lab.name)
def test_hints_are_written_for_every_break_and_nothing_else(lab):
    assert {title for title, _ in sections(lab.read("hints.md"))} == {each.name for each in lab.breaks} | {question.name for question in lab.questions}


@pytest.mark.parametrize("lab", LABS, ids=lambda lab: lab.name)
def test_what_a_student_is_shown_names_no_break(lab):
    wanted = variant(lab, "s1")
    shown = wanted.topology() + "".join(body for _, body in wanted.text()) + lab.summary
    assert not [each.name for each in lab.breaks if each.name in shown]


def test_draws_do_not_meet_each_others_results():
    lab = Exercise(name="x", summary="", minutes=1, draws=(Draw("10.1.", ("10.2.",)), Draw("10.2.", ("10.3.",))))
    assert Variant(exercise=lab, student="s").render("10.1.0.0 10.2.0.0 110.1.0.0") == "10.2.0.0 10.3.0.0 110.1.0.0"


def test_an_edit_that_fits_nowhere_is_the_authors_mistake():
    lab = find("why_cant_i_connect")
    broken = Exercise(name=lab.name, summary="", minutes=1, breaks=(Break(name="none", step=1, edits=(Edit("no such text", ""),)),))
    with pytest.raises(LabFault, match="fits 0 places"):
        Variant(exercise=broken, student="s").topology()


@pytest.mark.parametrize("student", ["", "a b", "../x", "-x", "a" * 17])
def test_what_is_no_student_id_is_refused(student):
    with pytest.raises(ValueError, match="no student's id"):
        variant(LABS[0], student)


def test_an_unknown_lab_is_a_lookup_error():
    with pytest.raises(LookupError):
        find("no_such_lab")
