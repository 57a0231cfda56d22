"""Cutting overlapping rules into disjoint boxes."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from testbed.compile.boxes import Box, first_match, union

LAST = 15
spans = st.tuples(st.integers(0, LAST), st.integers(0, LAST)).map(lambda pair: (min(pair), max(pair)))
rule_lists = st.lists(st.tuples(spans, spans), max_size=9).map(
    lambda pairs: [
        Box(first_address=a[0], last_address=a[1], first_key=k[0], last_key=k[1], decider=f"rule {n}") for n, (a, k) in enumerate(pairs)
    ]
)
POINTS = [(address, key) for address in range(LAST + 1) for key in range(LAST + 1)]


def holds(box: Box, point: tuple[int, int]) -> bool:
    return box.first_address <= point[0] <= box.last_address and box.first_key <= point[1] <= box.last_key


def overlap(a: Box, b: Box) -> bool:
    return a.first_address <= b.last_address and b.first_address <= a.last_address and a.first_key <= b.last_key and b.first_key <= a.last_key


@given(rule_lists)
def test_no_two_boxes_overlap_because_the_kernel_would_refuse_them(rules):
    for boxes in (union(rules), first_match(rules)):
        assert not [pair for pair in combinations(boxes, 2) if overlap(*pair)]


@given(rule_lists)
def test_a_union_permits_a_point_exactly_if_some_rule_does_and_names_one_that_does(rules):
    boxes = union(rules)
    for point in POINTS:
        deciders = [box.decider for box in boxes if holds(box, point)]
        permitting = [rule.decider for rule in rules if holds(rule, point)]
        assert len(deciders) == min(1, len(permitting))
        assert set(deciders) <= set(permitting)


@given(rule_lists)
def test_in_an_ordered_list_the_first_rule_that_holds_a_point_decides_it(rules):
    boxes = first_match(rules)
    for point in POINTS:
        assert [box.decider for box in boxes if holds(box, point)] == [rule.decider for rule in rules if holds(rule, point)][:1]


def test_rules_without_overlap_stay_as_they_are_however_many_there_are():
    rules = [Box(first_address=n * 10, last_address=n * 10 + 5, first_key=n, last_key=n, decider=f"rule {n}") for n in range(1000)]
    assert union(rules) == tuple(rules)


def test_a_rule_that_covers_the_others_leaves_nothing_of_them():
    small = [Box(first_address=n, last_address=n, first_key=80, last_key=80, decider=f"rule {n}") for n in range(100)]
    everything = Box(first_address=0, last_address=1000, first_key=0, last_key=65535, decider="everything")
    assert union([*small, everything]) == (everything,)


def test_neighbouring_boxes_of_one_rule_are_joined():
    rules = [Box(first_address=n, last_address=n, first_key=80, last_key=80, decider="one rule") for n in range(4, 9)]
    assert union(rules) == (Box(first_address=4, last_address=8, first_key=80, last_key=80, decider="one rule"),)
