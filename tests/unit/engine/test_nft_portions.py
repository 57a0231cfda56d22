"""Rulesets that are larger than a transaction may be, in a user namespace, where nft cannot have a larger one: in portions they become what one transaction would have made."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from testbed.engine import nft
from testbed.plan import NftChain, NftMap, NftRule, NftSet, NftTable, Node, NodeKind, Plan, Ruleset, diff

LARGE, SMALL, SMALL_BYTES = 3000, 60, 3000
CLOSED = "testbed_closed"


def ruleset(rules: int, *, priority: str = "filter", also: str = "10.200.0.0/24") -> Ruleset:
    """Sets, a map of intervals, the chains that it leads to, and a base chain that asks it."""
    blocks = (*((f"10.{n // 250}.{n % 250}.0/24", f"goto rule.{n}") for n in range(rules)), (also, "drop"))
    table = NftTable(
        name="fabric",
        sets=(NftSet(name="known", type="ipv4_addr", elements=tuple(f"192.0.{n // 250}.{n % 250}" for n in range(rules))),),
        maps=(NftMap(name="blocks", type="ipv4_addr", value_type="verdict", flags=("interval",), elements=blocks),),
        chains=(
            *(NftChain(name=f"rule.{n}", rules=(NftRule(statement="counter drop" if n % 2 else "counter accept", origin=f"acl-example#{n}"),)) for n in range(rules)),
            NftChain(name="forward", hook=f"type filter hook forward priority {priority}; policy drop;", rules=(NftRule(statement="ip saddr @known accept"), NftRule(statement="ip saddr vmap @blocks"))),
        ),
    )
    return Ruleset(tables=(table,))


def change(old: Ruleset, new: Ruleset):
    before = Plan(name="lab", nodes=(Node(name="vpc", kind=NodeKind.FABRIC, ruleset=old),))
    (changed,) = diff(before, replace(before, nodes=(replace(before.nodes[0], ruleset=new),))).nodes_changed
    return changed


def listed(*words: str) -> str:
    return subprocess.run(["nft", "-s", *words], capture_output=True, text=True, check=True).stdout


class Watched:
    """Counts transactions, and those after which the namespace was open with less in it than the whole."""

    def __init__(self) -> None:
        self.transactions = self.open_between = 0
        self._give = nft.load_text
        nft.load_text = self.give

    def give(self, text: str, namespace: int) -> None:
        self._give(text, namespace)
        self.transactions += 1
        self.open_between += CLOSED not in listed("list", "tables") and text != nft.OPEN


def inside() -> dict[str, object]:
    here = os.open("/proc/self/ns/net", os.O_RDONLY)
    told: dict[str, object] = {"largest": nft.largest_message()}
    nft.load(ruleset(SMALL), here)
    whole = listed("list", "ruleset")
    nft.change(change(ruleset(SMALL), ruleset(SMALL * 2)), {}, here)
    whole_changed = listed("list", "ruleset")
    listed("flush", "ruleset")
    largest, nft.largest_message = nft.largest_message, lambda: SMALL_BYTES
    watched = Watched()
    nft.load(ruleset(SMALL), here)
    told["same"] = listed("list", "ruleset") == whole
    nft.change(change(ruleset(SMALL), ruleset(SMALL * 2)), {}, here)
    told["changed_same"] = listed("list", "ruleset") == whole_changed
    nft.change(change(ruleset(SMALL * 2), ruleset(SMALL, priority="filter + 1")), {}, here)
    told["replaced_same"] = listed("list", "ruleset") == whole.replace("priority filter;", "priority filter + 1;")
    nft.largest_message = largest
    nft.load(ruleset(LARGE), here)
    large = listed("list", "ruleset")
    told |= {"chains": large.count("chain rule."), "leads": large.count(": goto rule."), "closed": CLOSED in large, "transactions": watched.transactions, "open_between": watched.open_between}
    return told


@pytest.fixture(scope="module")
def told():
    """What happened in a user namespace of its own, whoever runs the tests."""
    enter = ["unshare", "-U", "-r", "-n", "--"]
    if subprocess.run([*enter, "nft", "list", "ruleset"], capture_output=True, check=False).returncode != 0:
        pytest.skip("needs unprivileged user namespaces")
    root = Path(__file__).parents[3]
    done = subprocess.run([*enter, sys.executable, __file__], capture_output=True, text=True, timeout=300, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.packets
def test_a_user_namespace_bounds_a_transaction(told):
    assert told["largest"] < nft.LARGE


@pytest.mark.packets
def test_portions_make_what_one_transaction_makes(told):
    assert told["same"] and told["changed_same"] and told["replaced_same"]


@pytest.mark.packets
def test_a_ruleset_of_thousands_of_rules_is_loaded_whole(told):
    assert (told["chains"], told["leads"], told["closed"]) == (LARGE, LARGE, False)


@pytest.mark.packets
def test_between_portions_nothing_passes(told):
    assert told["transactions"] > 10
    assert told["open_between"] == 0


if __name__ == "__main__":
    print(json.dumps(inside()))
