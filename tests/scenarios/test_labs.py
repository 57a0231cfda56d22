"""The classroom labs: begun, each misses points; solved, it has them all; with everything opened, it fails a check of what must not pass."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from testbed.cli.source import load
from testbed.lab import Lab
from testbed.labs.checking import CheckedLab
from testbed.labs.exercise import Variant, find, known, variant
from testbed.labs.grading import grade, truths
from testbed.model import (
    Direction,
    Instance,
    InternetGateway,
    NetworkAcl,
    NetworkAclEntry,
    Route,
    RouteTable,
    SecurityGroup,
    SecurityGroupRule,
    Topology,
    TransitGatewayRouteTable,
    TransitGatewayVpcAttachment,
    Verdict,
    VpnGatewayRoutePropagation,
)
from testbed.observe.capture import Capture
from tests.scenarios import inventory

pytestmark = [pytest.mark.packets, pytest.mark.usefixtures("lab_sandbox")]

STUDENTS = {"encrypted_tunnel": ("s1",), "fibre_and_backup": ("s1",), "hub_and_spoke": ("s2",), "follow_one_packet": ("s1",), "private_subnet_reaches_out": ("s7",), "stateful_and_stateless": ("s4",), "survive_an_az": ("s1",), "the_inspected_packet": ("s5",), "under_attack": ("s1",), "which_load_balancer": ("s1",), "why_cant_i_connect": ("s5",)}
SILENCE_S = 0.25
SETTLE_S = 5.0
ANYWHERE = "0.0.0.0/0"
CASES = [(name, student) for name, students in STUDENTS.items() for student in students]


class Classroom:
    """One student's lab, running in this process."""

    def __init__(self, wanted: Variant, folder) -> None:
        self.variant = wanted
        self.folder = folder
        self.lab = Lab(self.topology(0), name=f"{wanted.exercise.name}-{wanted.student}")
        self.right: dict[str, str] = {}

    def topology(self, stage: int) -> Topology:
        path = self.folder / "topology.py"
        path.write_text(self.variant.topology(stage))
        return load(str(path))

    def checked(self, settle_s=SETTLE_S) -> CheckedLab:
        return CheckedLab(self.lab, lambda: self.lab.resolved, silence_s=SILENCE_S, settle_s=settle_s)

    def grade(self, answers=None, explaining=True, settle_s=SETTLE_S):
        return grade(self.variant, self.checked(settle_s), answers or {}, explaining=explaining)


@pytest.fixture(scope="module", params=CASES, ids=lambda case: "-".join(case))
def room(request, lab_sandbox, tmp_path_factory):
    name, student = request.param
    room = Classroom(variant(find(name), student), tmp_path_factory.mktemp("desk"))
    with room.lab:
        yield room


def everything_allowed(topology: Topology) -> Topology:
    """What a student does who wants it to work at any price: every group and ACL open, every host public, every subnet led to the internet gateway, everything propagated everywhere."""
    everyone = SecurityGroupRule(ip_protocol="-1", cidr_ip=ANYWHERE)
    ways_out = tuple(Route(destination_cidr_block=ANYWHERE, gateway_id=gateway.id) for gateway in topology.of(InternetGateway))
    opened = []
    for each in topology.resources:
        match each:
            case SecurityGroup():
                each = replace(each, security_group_ingress=(everyone,), security_group_egress=(everyone,))
            case NetworkAcl():
                each = replace(each, entries=tuple(NetworkAclEntry(rule_number=1, direction=direction, rule_action=Verdict.ALLOW, cidr_block=ANYWHERE) for direction in Direction))
            case RouteTable() if each.gateway_associations:
                each = replace(each, routes=())
            case RouteTable() if ways_out:
                each = replace(each, routes=ways_out)
            case TransitGatewayRouteTable():
                each = replace(each, propagations=tuple(attachment.id for attachment in topology.of(TransitGatewayVpcAttachment)))
            case VpnGatewayRoutePropagation():
                each = replace(each, route_table_ids=tuple(table.id for table in topology.of(RouteTable)))
            case Instance() if ways_out and not any(getattr(other, "instance_id", None) == each.id for other in topology.resources):
                each = replace(each, associate_public_ip_address=True)
        opened.append(each)
    return replace(topology, resources=tuple(opened))


def missed(marks):
    return [(mark.step, mark.name, mark.detail, mark.evidence) for mark in marks if not mark.passed]


def test_a_miss_names_the_rule_that_dropped_the_packet(tmp_path):
    lab = find("stateful_and_stateless")
    student = next(f"s{number}" for number in range(100) if variant(lab, f"s{number}").breaks[0].name == "no rule for replies")
    room = Classroom(variant(lab, student), tmp_path)
    with room.lab:
        (pages,) = [mark for mark in room.grade() if mark.name == "test_pages"]
        assert "acl-front#* dropped the reply" in pages.evidence
        assert isinstance(room.checked().capture("web"), Capture)


def test_untouched_it_fails_at_every_step_and_says_why(room):
    room.lab.change(room.topology(0))
    marks = room.grade(settle_s=0.5)  # there is nothing to wait for
    broken = {each.step for each in room.variant.breaks}
    assert {mark.step for mark in marks if not mark.passed and not mark.question} >= broken
    assert sum(mark.earned for mark in marks) < sum(mark.points for mark in marks) / 2
    assert all(mark.evidence or mark.detail for mark in marks if not mark.passed)


def test_a_stage_between_has_its_steps_done_and_no_more(room):
    stage = room.variant.exercise.steps // 2
    room.lab.change(room.topology(stage))
    marks = [mark for mark in room.grade(explaining=False) if not mark.question]
    assert missed(mark for mark in marks if mark.step <= stage) == []
    assert all(any(mark.step == each.step and not mark.passed for mark in marks) for each in room.variant.breaks if each.step > stage)


def test_the_solution_has_full_points(room):
    room.lab.change(room.topology(room.variant.exercise.steps))
    room.right = truths(room.variant, room.checked())
    marks = room.grade(room.right)
    assert missed(marks) == []
    assert all(mark.earned == mark.points for mark in marks)


def test_opening_everything_fails_what_must_not_pass_and_names_the_rule_and_a_wrong_answer_is_not_told_the_right_one(room):
    room.lab.change(everything_allowed(room.topology(room.variant.exercise.steps)))
    marks = room.grade({question.name: "nonsense" for question in room.variant.exercise.questions})
    caught = [mark for mark in marks if mark.negative and not mark.passed]
    assert caught
    assert all("it passes, admitted by" in mark.evidence for mark in caught)
    assert not any(mark.passed or room.right[mark.name] in mark.detail for mark in marks if mark.question)


def test_a_student_works_through_the_command_line(tmp_path, tmp_path_factory):
    def testbed(*words, expect=0):
        done = subprocess.run([sys.executable, "-m", "testbed.cli.main", *words], env=inventory.environment(state), cwd=folder, capture_output=True, text=True)
        assert done.returncode == expect, done.stdout + done.stderr
        return done.stdout

    state, folder = tmp_path_factory.mktemp("s"), tmp_path
    shown = testbed("lab", "start", "stateful_and_stateless", "--student", "Ann")
    folder = tmp_path / "stateful_and_stateless-ann"
    try:
        assert "Step 1" in shown and "Step 2" not in shown
        before = json.loads(testbed("lab", "check", "--json", expect=1))
        assert before["points"] < before["out_of"] and "dropped the" in before["marks"][0]["evidence"]
        assert "step 1, hint 1" in testbed("lab", "hint")
        (folder / "topology.py").write_text(variant(find("stateful_and_stateless"), "ann").topology(1))
        testbed("lab", "check", expect=1)  # the file was changed, the lab was not
        testbed("apply")
        assert before["points"] < json.loads(testbed("lab", "check", "--json", expect=1))["points"] < before["out_of"]
        flow = ("-s", "192.0.2.1", "-d", "192.0.2.2", "-p", "tcp", "--sport", "1", "--dport", "2", "--state", "ESTABLISHED", "-t", "300")
        testbed("exec", "vpc-shop", "--", "conntrack", "-I", *flow)
        assert "192.0.2.1" in testbed("exec", "vpc-shop", "--", "conntrack", "-L")
        testbed("lab", "reset", "--stage", "2")
        assert "192.0.2.1" not in testbed("exec", "vpc-shop", "--", "conntrack", "-L"), "a stage begins without the flows of another"
        testbed("lab", "solve", "--yes")
        testbed("lab", "check")
        testbed("lab", "report", "--csv", "class.csv", "--json", "class.json")
        (row,) = json.loads((folder / "class.json").read_text())
        assert (row["percent"], row["hints"], row["resets"], row["reset_to"], row["solved"]) == (100, 1, 1, 2, True)
        assert (folder / "class.csv").read_text().startswith("lab,student,points")
    finally:
        testbed("down", "--all")


def test_all_labs_are_tried():
    assert set(STUDENTS) == {lab.name for lab in known()}
