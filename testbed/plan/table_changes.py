"""What must be done to a table so that it becomes another one, and the text for ``nft -f -`` that does so in one transaction.

A table is edited where it can be: elements of sets and maps, rules of chains, whole sets, maps and chains. A set or map of another type is made anew, with the rules of the
chains that look into it; so is an interval map that loses more than a few elements, from which the kernel takes them at about a millisecond each (measured, pipapo of Linux 6.18).
What cannot be edited in place makes the whole table be replaced: a base chain with another hook, other timeout objects.

The kernel holds interfaces by number (``iface_index``). An interface that was made anew has another number, and one that is gone has no name by which its elements
could be taken away: elements of such interfaces are removed by the number that they had, which only the engine knows, and added by name.

Invariant: afterwards the table holds what a table that was loaded whole would hold. What is not named keeps its counters, and what packets have put into its sets.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from testbed.plan.nftables import NftChain, NftMap, NftSet, NftTable, map_text, rule_text, set_text

INTERFACE = "iface_index"
FEW = 4
"""Elements that are taken one by one from an interval map; more of them, and the map is made anew."""
C = TypeVar("C", NftSet, NftMap)
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementsChange:
    """Elements of one set or map: keys to take away, and what to put in, as nft writes them. A key with another value is in both."""

    name: str
    type: str
    removed: tuple[str, ...] = ()
    added: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TableChange:
    """From one table to another of the same name, in place. `chains_refilled` are there already and get these rules instead of theirs.

    What is made anew is both removed and added. `before` is the table as it is until then.
    """

    family: str
    name: str
    before: NftTable = field(default=NftTable(name=""), compare=False, repr=False)
    elements: tuple[ElementsChange, ...] = ()
    sets_removed: tuple[str, ...] = ()
    maps_removed: tuple[str, ...] = ()
    chains_removed: tuple[str, ...] = ()
    sets_added: tuple[NftSet, ...] = ()
    maps_added: tuple[NftMap, ...] = ()
    chains_added: tuple[NftChain, ...] = ()
    chains_refilled: tuple[NftChain, ...] = ()

    def __bool__(self) -> bool:
        removed = (self.sets_removed, self.maps_removed, self.chains_removed)
        return any((self.elements, *removed, self.sets_added, self.maps_added, self.chains_added, self.chains_refilled))


def table_change(old: NftTable, new: NftTable, remade: frozenset[str] = frozenset()) -> TableChange | None:
    """The change that makes table `old` into `new`, whose interfaces `remade` were made anew; None if only replacing the table whole does."""
    if old is new and not remade:
        return TableChange(family=new.family, name=new.name, before=old)
    sets, maps = _compare(old.sets, new.sets, _elements_of_set, remade), _compare(old.maps, new.maps, _elements_of_map, remade)
    before, after = ({chain.name: chain for chain in chains} for chains in _apart(old.chains, new.chains))
    changed = [(known, chain) for name, chain in after.items() if (known := before.get(name)) != chain]
    if old.timeouts != new.timeouts or _other_kind(old, new) or any(known is not None and known.hook != chain.hook for known, chain in changed):
        return None
    anew = {*(f"@{item.name}" for item in sets.added), *(f"@{item.name}" for item in maps.added)}
    quoted = tuple(f'"{device}"' for device in sorted(remade))
    refilled = {chain.name for known, chain in changed if known is not None}
    if anew or quoted:
        added = {chain.name for known, chain in changed if known is None}
        refilled |= {chain.name for chain in new.chains if chain.name not in added and _refers(chain, quoted, anew)}
    return TableChange(
        family=new.family,
        name=new.name,
        before=old,
        elements=(*sets.edited, *maps.edited),
        sets_removed=sets.removed,
        maps_removed=maps.removed,
        chains_removed=tuple(name for name in before if name not in after),
        sets_added=sets.added,
        maps_added=maps.added,
        chains_added=tuple(chain for known, chain in changed if known is None),
        chains_refilled=tuple(chain for chain in new.chains if chain.name in refilled),
    )


def render_change(change: TableChange, numbers: Mapping[str, int]) -> str:
    """The text that carries out the change, in one transaction when given to ``nft -f -``; `numbers` are those that interfaces which are gone or were made anew had.

    What refers goes before what it refers to: elements, rules, maps and sets, chains; and comes after it. Elements go before others come that overlap them.
    """
    return "".join(f"{line}\n" for line in change_lines(change, numbers))


def change_lines(change: TableChange, numbers: Mapping[str, int], *, at_once: int = sys.maxsize) -> Iterator[str]:
    """The commands of `render_change`, with at most so many elements in each that changes elements of a set that stays."""
    table = f"{change.family} {change.name}"
    for elements in change.elements:
        yield from _in_commands("delete", table, elements.name, tuple(_by_number(key, elements.type, numbers) for key in elements.removed), at_once)
    for name in (*change.chains_removed, *(chain.name for chain in change.chains_refilled)):
        yield f"flush chain {table} {name}"
    yield from (f"delete map {table} {name}" for name in change.maps_removed)
    yield from (f"delete set {table} {name}" for name in change.sets_removed)
    yield from (f"delete chain {table} {name}" for name in change.chains_removed)
    yield from (f"add chain {table} {chain.name} {{ {chain.hook} }}" for chain in change.chains_added)
    if change.sets_added or change.maps_added:
        yield "\n".join((f"table {table} {{", *(line for item in change.sets_added for line in set_text(item)), *(line for item in change.maps_added for line in map_text(item)), "}"))
    for chain in (*change.chains_added, *change.chains_refilled):
        yield from (f"add rule {table} {chain.name} {rule_text(rule)}" for rule in chain.rules)
    for elements in change.elements:
        yield from _in_commands("add", table, elements.name, elements.added, at_once)


def _in_commands(verb: str, table: str, name: str, elements: tuple[str, ...], at_once: int) -> Iterator[str]:
    for first in range(0, len(elements), at_once):
        yield f"{verb} element {table} {name} {{ {', '.join(elements[first : first + at_once])} }}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Comparison(Generic[C]):
    removed: tuple[str, ...]
    added: tuple[C, ...]
    edited: tuple[ElementsChange, ...]


def _compare(old: tuple[C, ...], new: tuple[C, ...], elements_of: Callable[[C], dict[str, str]], remade: frozenset[str]) -> _Comparison[C]:
    """Sets or maps by name; `elements_of` gives the elements of one as nft writes them, by key."""
    if not remade:
        old, new = _apart(old, new)
    before, after = {item.name: item for item in old}, {item.name: item for item in new}
    edited = {name: _changed(before[name], item, elements_of, remade) for name, item in after.items() if name in before}
    return _Comparison(
        removed=tuple(name for name in before if edited.get(name) is None),
        added=tuple(item for name, item in after.items() if edited.get(name) is None),
        edited=tuple(change for change in edited.values() if change is not None and (change.removed or change.added)),
    )


def _apart(old: tuple[T, ...], new: tuple[T, ...]) -> tuple[tuple[T, ...], tuple[T, ...]]:
    """Both without what is one object in both: the compiler makes again only what changed."""
    if old is new:
        return (), ()
    before, after = set(map(id, old)), set(map(id, new))
    return tuple(item for item in old if id(item) not in after), tuple(item for item in new if id(item) not in before)


def _elements_of_set(item: NftSet) -> dict[str, str]:
    return {element: element for element in item.elements}


def _elements_of_map(item: NftMap) -> dict[str, str]:
    return {key: f"{key} : {value}" for key, value in item.elements}


def _other_kind(old: NftTable, new: NftTable) -> bool:
    """Whether a set of one table is called as a map of the other: they share names."""
    return bool({s.name for s in old.sets} & {m.name for m in new.maps} or {m.name for m in old.maps} & {s.name for s in new.sets})


def _changed(old: C, new: C, elements_of: Callable[[C], dict[str, str]], remade: frozenset[str]) -> ElementsChange | None:
    """What changes among the elements; None if the set or map must be made anew."""
    again = remade if remade and _fields(new.type) else frozenset[str]()
    if (old is new or old == new) and not again:
        return ElementsChange(name=new.name, type=new.type)
    if replace(old, elements=()) != replace(new, elements=()):
        return None
    before, after = elements_of(old), elements_of(new)
    stale = {key for key in before if again and again & {name for name, _ in _names(key, new.type)}}
    removed = tuple(key for key, text in before.items() if after.get(key) != text or key in stale)
    if len(removed) > FEW and "interval" in new.flags:
        return None
    return ElementsChange(name=new.name, type=new.type, removed=removed, added=tuple(text for key, text in after.items() if before.get(key) != text or key in stale))


def _refers(chain: NftChain, devices: tuple[str, ...], anew: set[str]) -> bool:
    """Whether the chain's rules hold one of the interfaces, or look into one of the sets and maps (``@name``)."""
    for rule in chain.rules:
        if anew and "@" in rule.statement and not anew.isdisjoint(rule.statement.split()):
            return True
        if devices and any(device in rule.statement for device in devices):
            return True
    return False


def _fields(of_type: str) -> tuple[int, ...]:
    """Which fields of a key are interfaces."""
    return tuple(place for place, field in enumerate(of_type.split(" . ")) if field == INTERFACE)


def _names(key: str, of_type: str) -> Iterator[tuple[str, int]]:
    """The interfaces that a key names, each with its place in it."""
    parts = key.split(" . ")
    return ((parts[place].strip('"'), place) for place in _fields(of_type))


def _by_number(key: str, of_type: str, numbers: Mapping[str, int]) -> str:
    parts = key.split(" . ")
    for name, place in _names(key, of_type):
        if name in numbers:
            parts[place] = str(numbers[name])
    return " . ".join(parts)
