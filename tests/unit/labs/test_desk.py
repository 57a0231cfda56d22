"""A student's folder, and the class's report from many of them."""

import csv
import io
import json

import pytest

from testbed.labs.desk import Desk, find_desks, lay, read_result
from testbed.labs.exercise import find, variant
from testbed.labs.grading import Mark
from testbed.labs.report import as_csv, as_json, percent

NOW = "2030-01-01T10:00:00+00:00"
LAB = find("stateful_and_stateless")


@pytest.fixture
def desk(tmp_path):
    return lay(variant(LAB, "ann"), tmp_path, NOW)[0]


def mark(name, earned, points, **more):
    return Mark(name=name, title=name, step=1, points=points, earned=earned, passed=earned > 0, **more)


def test_a_folder_holds_the_broken_topology_and_empty_answers(desk):
    assert desk.folder.name == desk.lab_name == "stateful_and_stateless-ann"
    assert desk.topology.read_text() == desk.variant.topology(0)
    assert desk.answers() == {"security_group_rule": ""}


def test_starting_again_keeps_the_students_work(desk):
    desk.topology.write_text("# mine\n")
    again, is_new = lay(variant(LAB, "ann"), desk.folder.parent, NOW)
    assert (is_new, again.topology.read_text()) == (False, "# mine\n")


def test_a_stage_keeps_the_former_file_beside_it(desk):
    desk.topology.write_text("# mine\n")
    desk.write_topology(2)
    assert desk.topology.read_text() == desk.variant.topology(2)
    assert (desk.folder / "topology.py.before").read_text() == "# mine\n"


def test_answers_are_written_and_read_again(desk):
    desk.write_answers({"security_group_rule": 'sg-"x"'})
    assert desk.answers() == {"security_group_rule": 'sg-"x"'}


def test_answers_that_are_no_toml_are_a_value_error(desk):
    (desk.folder / "answers.toml").write_text("security_group_rule = sg-web\n")
    with pytest.raises(ValueError, match="Invalid value"):
        desk.answers()


def test_marks_are_kept_and_found_again(desk):
    desk.grade((mark("a", 2, 3), mark("b", 0, 1)), NOW)
    found = Desk(desk.folder).result
    assert (found.points, found.out_of, found.checked, percent(found)) == (2, 4, NOW, 50)


def test_a_file_that_is_no_result_is_a_value_error(tmp_path):
    (tmp_path / "result.json").write_text("{}")
    with pytest.raises(ValueError, match="no lab's result"):
        read_result(tmp_path / "result.json")


def test_a_report_has_a_line_for_each_student_and_a_column_for_each_check(tmp_path):
    for student, earned in (("zoe", 3), ("ann", 1)):
        lay(variant(LAB, student), tmp_path, NOW)[0].grade((mark("a", earned, 3), mark("b", 0, 1)), NOW)
    lay(variant(LAB, "late"), tmp_path, NOW)
    results = [read_result(folder / "result.json") for folder in find_desks(tmp_path)]
    rows = list(csv.DictReader(io.StringIO(as_csv(results))))
    assert [(row["student"], row["points"], row["percent"], row["stateful_and_stateless.a"]) for row in rows] == [("ann", "1", "25", "1"), ("late", "0", "0", ""), ("zoe", "3", "75", "3")]
    assert [row["percent"] for row in json.loads(as_json(results))] == [25, 0, 75]
