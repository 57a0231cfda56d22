"""What a change to a table refers to and finds there: the objects' definitions alone, so that nft knows them without reading them from the kernel.

nft reads the names of all of a namespace's chains and sets before it looks at what it is given: of a change of one rule among 12,000 chains, that is most of the work. What begins
with a flush of rulesets it takes for a beginning from nothing, and reads nothing. So a change begins with the flush of a family that has no tables here, and then says of the objects
that it refers to what they are. To the kernel, an object that is added as it stands already is no change. Where nft must know elements, it is left to read (`must_be_read`).

    flush ruleset arp                               nothing is read, nothing goes
    add chain ip fabric admit_receiver              is there
    add map ip fabric ports { type …; }             is there, with all its elements
    add element ip fabric ports { … goto admit_receiver }

Source: nftables, src/cache.c (a ruleset's flush gives NFT_CACHE_FLUSHED, whatever its family; documented by its code). Where a later nft reads nevertheless, the change takes longer and
is the same.
"""

from __future__ import annotations

import re
from dataclasses import replace

from testbed.plan.nftables import NftTable, map_text, set_text, timeout_text
from testbed.plan.table_changes import TableChange

NOTHING_IS_READ = "flush ruleset arp\n"
WORD = re.compile(r"[^\s,;:{}\"@]+")


def must_be_read(change: TableChange) -> bool:
    """Whether nft can make this change only if it has read the table: it fits intervals of one field in between those that are there."""
    edited = {elements.name for elements in change.elements}
    known = [(item.name, item.type, item.flags) for item in change.before.sets] + [(item.name, item.type, item.flags) for item in change.before.maps]
    return any(name in edited and "interval" in flags and " . " not in of_type for name, of_type, flags in known)


def outline(table: NftTable, change: str) -> str:
    """The definitions of those of the table's objects that the text of a change mentions: chains without rules, sets and maps without elements."""
    words = set(WORD.findall(change))
    definitions = (
        *(timeout_text(timeout) for timeout in table.timeouts if timeout.name in words),
        *(set_text(replace(item, elements=())) for item in table.sets if item.name in words),
        *(map_text(replace(item, elements=())) for item in table.maps if item.name in words),
    )
    head = f"{table.family} {table.name}"
    chains = (f"add chain {head} {chain.name}" for chain in table.chains if chain.name in words)
    return "\n".join((f"add table {head}", *chains, f"table {head} {{", *(line for definition in definitions for line in definition), "}")) + "\n"
