"""Cut overlapping rules into disjoint boxes: what a kernel interval map can hold, and what one look-up decides.

A box is a rectangle over (address, key): the key is a destination port, an ICMP type and code (``type << 8 | code``), or a protocol number.
The kernel's interval sets refuse elements that overlap, so each point must belong to one box only. Where rules overlap:

- in an ordered list (a network ACL), the first rule that holds the point decides: `first_match`;
- in a union (security groups), any may decide, so the largest keeps its shape and smaller ones are cut where they stick out: `union`.

Invariants: boxes are disjoint; a point is in a box exactly if some rule holds it; the result depends on the rules and their order alone.
Work grows with (boxes x distinct key ranges), not with the square of the boxes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

LAST_ADDRESS = (1 << 32) - 1
LAST_KEY = (1 << 16) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """Inclusive bounds in both dimensions; `decider` names the rule that decides what is inside."""

    first_address: int
    last_address: int
    first_key: int
    last_key: int
    decider: str

    @property
    def area(self) -> int:
        return (self.last_address - self.first_address + 1) * (self.last_key - self.first_key + 1)


_Span = tuple[int, int]
_Cut = tuple[int, int, str]
"""First address, last address and decider of a box whose keys are known."""


def union(rules: Iterable[Box]) -> tuple[Box, ...]:
    """Disjoint boxes that cover the same points as `rules`, sorted by address, then key; the largest rule decides (ties: the one given first)."""
    return first_match(sorted(rules, key=lambda box: -box.area))


def first_match(rules: Iterable[Box]) -> tuple[Box, ...]:
    """Disjoint boxes that cover the same points as `rules`, sorted by address, then key; the first rule that holds a point decides there."""
    placed: dict[_Span, list[_Cut]] = {}
    for box in rules:
        for piece in _outside(box, placed):
            cuts = placed.setdefault((piece.first_key, piece.last_key), [])
            cut = (piece.first_address, piece.last_address, piece.decider)
            cuts.insert(bisect_left(cuts, cut), cut)
    return tuple(sorted(_merged(placed), key=lambda box: (box.first_address, box.first_key)))


def _outside(box: Box, placed: dict[_Span, list[_Cut]]) -> list[Box]:
    """The parts of `box` that no placed box holds."""
    pieces = [box]
    first_address, last_address, first_key, last_key = box.first_address, box.last_address, box.first_key, box.last_key
    for keys, cuts in placed.items():
        if keys[1] < first_key or last_key < keys[0]:
            continue
        place = bisect_left(cuts, (first_address, 0, ""))  # the cuts are disjoint and sorted
        if place and cuts[place - 1][1] >= first_address:
            place -= 1
        while place < len(cuts) and cuts[place][0] <= last_address:
            first, last, _ = cuts[place]
            pieces = [part for piece in pieces for part in _minus(piece, first, last, keys)]
            place += 1
        if not pieces:
            break
    return pieces


def _minus(box: Box, first_address: int, last_address: int, keys: _Span) -> Iterator[Box]:
    """`box` without the rectangle of these addresses and keys: at most four boxes."""
    if last_address < box.first_address or box.last_address < first_address or keys[1] < box.first_key or box.last_key < keys[0]:
        yield box
        return
    left, right = max(box.first_address, first_address), min(box.last_address, last_address)
    if box.first_address < left:
        yield _box(box.first_address, left - 1, box.first_key, box.last_key, box.decider)
    if right < box.last_address:
        yield _box(right + 1, box.last_address, box.first_key, box.last_key, box.decider)
    if box.first_key < keys[0]:
        yield _box(left, right, box.first_key, keys[0] - 1, box.decider)
    if keys[1] < box.last_key:
        yield _box(left, right, keys[1] + 1, box.last_key, box.decider)


def _merged(placed: dict[_Span, list[_Cut]]) -> Iterator[Box]:
    """The placed boxes, neighbours of one rule and the same keys joined."""
    for (first_key, last_key), cuts in placed.items():
        start, end, owner = cuts[0]
        for first, last, decider in cuts[1:]:
            if decider == owner and first == end + 1:
                end = last
                continue
            yield _box(start, end, first_key, last_key, owner)
            start, end, owner = first, last, decider
        yield _box(start, end, first_key, last_key, owner)


def _box(first_address: int, last_address: int, first_key: int, last_key: int, decider: str) -> Box:
    return Box(first_address=first_address, last_address=last_address, first_key=first_key, last_key=last_key, decider=decider)
