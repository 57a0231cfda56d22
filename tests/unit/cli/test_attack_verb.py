"""What `testbed attack` refuses, and what it tells."""

import json
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from testbed.cli import main as cli_main
from testbed.compile import compile_plan
from testbed.engine import remote
from testbed.model import ShieldProtection
from testbed.observe import attack
from testbed.observe.attack import Attack, Dropped, Kind, Report
from testbed.resolve import resolve
from tests.unit.cli.test_warm import WarmLab
from topologies.shield import shield

PLAN = compile_plan(resolve(shield()))
LAST = "Shield Standard (SYN flood: the first SYN of a source that has not proved itself)"


@pytest.fixture
def lab(monkeypatch):
    """A lab in which attacks are only noted: half of the honest requests survive without Shield."""
    made = WarmLab(shield())
    made.ask_through.plan = made.plan
    made.noted = []

    def run(_, wanted):
        on = any(table.name == "shield" for node in made.plan.nodes if node.ruleset for table in node.ruleset.tables)
        made.noted.append((wanted, on))
        dropped = (Dropped(node="igw-shop", cause=LAST, packets=4000),) if on else ()
        return Report(attack=wanted, packets=wanted.packets, took_s=1.0, requests=10, survived=10 if on else 5, answers={}, dropped=dropped, cookies_sent=0)

    monkeypatch.setattr(remote, "running", lambda: (made.name,))
    monkeypatch.setattr(remote, "attach", lambda name: made.ask_through)
    monkeypatch.setattr(attack, "run", run)
    return made


def wanted(lab):
    return [each for each, _ in lab.noted]


def test_an_instance_is_attacked_by_its_public_address_by_the_last_user_and_the_first_one_is_honest(lab):
    assert cli_main.run(["attack", "web", "--packets", "4000", "--seconds", "2"]) == 0
    assert wanted(lab) == [Attack(kind=Kind.SYN_FLOOD, address=IPv4Address("198.19.12.50"), port=80, attackers=("crowd",), client="client", packets=4000, seconds=2.0)]


def test_both_are_told_apart_and_shield_is_back_afterwards(lab, capsys):
    before = lab.plan
    assert cli_main.run(["attack", "web", "--compare"]) == 0
    said = capsys.readouterr().out
    assert [on for _, on in lab.noted] == [True, False]
    assert lab.plan == before
    assert "with Shield: 10 of 10 honest requests of client survived (100%)" in said
    assert "without Shield (NOT an AWS setting" in said and "5 of 10" in said
    assert f"4000 dropped at igw-shop: {LAST}" in said
    assert "Cost protection" in said


def test_scripts_get_all_of_it(lab, capsys):
    assert cli_main.run(["attack", "web", "--compare", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["with_shield"]["share"], told["without_shield"]["share"]) == (1.0, 0.5)
    assert told["with_shield"]["packets_dropped"] == 4000
    assert [each["id"] for each in told["shield_advanced"]] == ["protect-web"]


def test_shield_is_back_after_an_attack_that_could_not_be_made(lab, monkeypatch, capsys):
    def fails(_, __):
        raise OSError("198.19.12.50 does not answer client on port 81 even before the attack")

    monkeypatch.setattr(attack, "run", fails)
    before = lab.plan
    assert cli_main.run(["attack", "web", "--port", "81", "--without-shield"]) == 1
    assert "testbed explain client 198.19.12.50 --port 81" in capsys.readouterr().err
    assert lab.plan == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("8.8.8.8",), "an attack never leaves it"),
        (("web", "--kind", "http-flood"), "http://web/"),
        (("ftp://web/",), "http://HOST/PATH"),
        (("web", "--packets", "1000000"), "200000"),
        (("web", "--seconds", "3600"), "60"),
        (("web", "--from", "crowds"), "did you mean crowd"),
        (("web", "--compare", "--without-shield"), "give one of them"),
    ],
)
def test_what_cannot_be_is_refused_with_a_remedy(lab, capsys, words, said):
    assert cli_main.run(["attack", *words]) == 2
    assert said in capsys.readouterr().err
    assert not lab.noted


def test_a_url_is_asked_for_whole_and_its_baseline_learnt_first(lab):
    assert cli_main.run(["attack", "http://198.19.12.50/cart", "--kind", "http-flood", "--seconds", "4"]) == 0
    (made,) = wanted(lab)
    assert (made.host, made.path, made.secure, made.learn_s, made.packets) == ("198.19.12.50", "/cart", False, 3.0, 1000)


def test_a_victim_is_somebody_in_the_lab():
    private = next(interface.address for interface in resolve(shield()).interfaces if interface.node == "web")
    assert attack.victim(PLAN, private) == IPv4Address("198.19.12.50")
    assert attack.victim(PLAN, IPv4Address("203.0.113.23")) == IPv4Address("203.0.113.23")
    with pytest.raises(LookupError, match=r"nobody in this lab has 198\.51\.100\.1"):
        attack.victim(PLAN, IPv4Address("198.51.100.1"))


def test_without_protections_there_is_no_note(lab, capsys):
    bare = WarmLab(replace(shield(), resources=tuple(each for each in shield().resources if not isinstance(each, ShieldProtection))))
    lab.ask_through.ask = bare.ask
    assert cli_main.run(["attack", "web"]) == 0
    assert "Cost protection" not in capsys.readouterr().out
