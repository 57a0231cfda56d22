"""A ruleset for one namespace, and its text for ``nft -f -``.

Sets and maps hold elements as nft writes them. Every rule that decides on a packet carries its AWS origin as comment.
Invariant: `render` is deterministic; elements of sets and maps are sorted by the lowering that wrote them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class NftRule:
    """One rule: the `statement` in nft's words, without a comment; `origin` becomes its comment."""

    statement: str
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NftChain:
    """A chain; `hook` is the base chain's header (``type filter hook forward priority 0; policy accept;``), empty for a regular chain."""

    name: str
    hook: str = ""
    rules: tuple[NftRule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NftSet:
    """A set. `type` is nft's (``ifname . ipv4_addr``, ``typeof ip ttl``); `flags` like ``interval``.

    One that rules fill (flag ``dynamic``) says how many elements it takes, and after how long an idle one goes.
    """

    name: str
    type: str
    flags: tuple[str, ...] = ()
    elements: tuple[str, ...] = ()
    size: int | None = None
    timeout_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NftMap:
    """A map or, with values of type ``verdict``, a verdict map; `elements` are (key, value). The kernel has a quicker look-up for one whose `size` it knows."""

    name: str
    type: str
    value_type: str
    flags: tuple[str, ...] = ()
    elements: tuple[tuple[str, str], ...] = ()
    size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NftTimeout:
    """A ``ct timeout`` object: idle timeouts of one protocol's flows, (state, seconds) each, for flows on which a rule sets it before they are confirmed."""

    name: str
    protocol: str
    policy: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NftTable:
    """A table; `family` is ``ip``, ``inet`` or ``netdev``."""

    name: str
    family: str = "ip"
    timeouts: tuple[NftTimeout, ...] = ()
    sets: tuple[NftSet, ...] = ()
    maps: tuple[NftMap, ...] = ()
    chains: tuple[NftChain, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruleset:
    """All tables of a namespace, sorted by (family, name)."""

    tables: tuple[NftTable, ...] = ()


def render(ruleset: Ruleset) -> str:
    """The text that replaces each table as a whole, in one transaction when given to ``nft -f -``."""
    return "".join(_table(table) for table in ruleset.tables)


def _table(table: NftTable) -> str:
    head = f"table {table.family} {table.name}"
    lines = [head, f"delete {head}", f"{head} {{"]
    for timeout in table.timeouts:
        lines += timeout_text(timeout)
    for nft_set in table.sets:
        lines += set_text(nft_set)
    for nft_map in table.maps:
        lines += map_text(nft_map)
    lines += [f"  chain {chain.name} {{}}" for chain in table.chains if not chain.hook]
    lines.append("}")
    lines.append(f"{head} {{")
    for chain in table.chains:
        lines.append(f"  chain {chain.name} {{")
        if chain.hook:
            lines.append(f"    {chain.hook}")
        lines += [f"    {rule_text(rule)}" for rule in chain.rules]
        lines.append("  }")
    lines.append("}")
    return "\n".join(lines) + "\n"


def rule_text(rule: NftRule) -> str:
    """The rule with its comment."""
    return rule.statement + (f' comment "{rule.origin}"' if rule.origin else "")


def timeout_text(timeout: NftTimeout) -> list[str]:
    """The timeout object's block inside its table's, line by line."""
    policy = ", ".join(f"{state} : {seconds}" for state, seconds in timeout.policy)
    return [f"  ct timeout {timeout.name} {{", f"    protocol {timeout.protocol};", "    l3proto ip;", f"    policy = {{ {policy} }};", "  }"]


def set_text(nft_set: NftSet) -> list[str]:
    """The set's block inside its table's, line by line."""
    return [f"  set {nft_set.name} {{", f"    {_typed(nft_set.type)};", *_flags(nft_set.flags), *_limits(nft_set), *_elements(nft_set.elements), "  }"]


def map_text(nft_map: NftMap) -> list[str]:
    """The map's block inside its table's, line by line."""
    elements = tuple(f"{key} : {value}" for key, value in nft_map.elements)
    return [f"  map {nft_map.name} {{", f"    {_typed(nft_map.type)} : {nft_map.value_type};", *_flags(nft_map.flags), *_size(nft_map.size), *_elements(elements), "  }"]


def _typed(key: str) -> str:
    """nft names most types (``ifname``), and some only by an expression that has them (``typeof ip ttl``)."""
    return key if key.startswith("typeof ") else f"type {key}"


def _limits(nft_set: NftSet) -> list[str]:
    size = _size(nft_set.size)
    return size if nft_set.timeout_s is None else [*size, f"    timeout {nft_set.timeout_s}s;"]


def _size(size: int | None) -> list[str]:
    return [] if size is None else [f"    size {size};"]


def _flags(flags: tuple[str, ...]) -> list[str]:
    return [f"    flags {', '.join(flags)};"] if flags else []


def _elements(elements: tuple[str, ...]) -> list[str]:
    return ["    elements = {", *(f"      {element}," for element in elements), "    };"] if elements else []
