"""A ruleset, or a change to a table, as a list of commands that may be given to nft a few at a time.

Where the kernel takes no transaction of that size (`engine.nft` says when), what `render` and `render_change` write as one is cut here: definitions first, then chains,
rules and elements, so that each command refers only to what commands before it made. In between, the tables are neither what they were nor what they shall be; whoever carries
the commands out lets no packet pass meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from testbed.plan.nftables import NftTable, Ruleset, map_text, rule_text, set_text, timeout_text
from testbed.plan.table_changes import TableChange, change_lines

AT_ONCE = 50
"""Elements in one command."""


def ruleset_commands(ruleset: Ruleset) -> tuple[str, ...]:
    """What replaces each table as a whole, as `nftables.render` does."""
    return tuple(command for table in ruleset.tables for command in _table(table))


def change_commands(change: TableChange, numbers: Mapping[str, int]) -> tuple[str, ...]:
    """What changes a table in place, as `table_changes.render_change` does."""
    defined = replace(change, sets_added=tuple(replace(item, elements=()) for item in change.sets_added), maps_added=tuple(replace(item, elements=()) for item in change.maps_added))
    head = f"{change.family} {change.name}"
    filled = (*((item.name, item.elements) for item in change.sets_added), *((item.name, _of_map(item.elements)) for item in change.maps_added))
    return (*(f"{line}\n" for line in change_lines(defined, numbers, at_once=AT_ONCE)), *(command for name, elements in filled for command in _elements(head, name, elements)))


def _table(table: NftTable) -> Iterator[str]:
    head = f"{table.family} {table.name}"
    yield f"table {head}\ndelete table {head}\n"
    yield f"table {head} {{}}\n"
    for definition in (*(timeout_text(each) for each in table.timeouts), *(set_text(replace(each, elements=())) for each in table.sets), *(map_text(replace(each, elements=())) for each in table.maps)):
        yield "\n".join((f"table {head} {{", *definition, "}")) + "\n"
    yield from (f"add chain {head} {chain.name}\n" for chain in table.chains if not chain.hook)
    for nft_set in table.sets:
        yield from _elements(head, nft_set.name, nft_set.elements)
    for nft_map in table.maps:
        yield from _elements(head, nft_map.name, _of_map(nft_map.elements))
    chains = sorted(table.chains, key=lambda chain: bool(chain.hook))  # what nothing calls yet is not validated at each portion
    for chain in chains:
        if chain.hook:
            yield f"add chain {head} {chain.name} {{ {chain.hook} }}\n"
        yield from (f"add rule {head} {chain.name} {rule_text(rule)}\n" for rule in chain.rules)


def _of_map(elements: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    return tuple(f"{key} : {value}" for key, value in elements)


def _elements(head: str, name: str, elements: tuple[str, ...]) -> Iterator[str]:
    for first in range(0, len(elements), AT_ONCE):
        yield f"add element {head} {name} {{ {', '.join(elements[first : first + AT_ONCE])} }}\n"
