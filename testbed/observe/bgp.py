"""What a node's BGP speaker knows, from BIRD's own words: its sessions, its routes and why the best ones won.

Parses ``show protocols all``, ``show bfd sessions`` and ``show route table all all`` of BIRD 2 (user's guide, "Remote control"; documented). Tables of single neighbours, which
`services.bgp` makes for its own use, are left out. The order in which routes are compared: RFC 4271, 9.1.2, after the metric of the kind of attachment.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from testbed.observe.lab_view import LabView

PROTOCOL = re.compile(r"^(?P<name>\S+)\s+BGP\s+\S+\s+(?P<state>\S+)\s+(?P<since>\S+)(?:\s+(?P<info>\S.*))?$")
HAS_BFD = re.compile(r"^\S+\s+BFD\s", re.MULTILINE)
FIELD = re.compile(r"^\s+(?P<name>[A-Za-z][\w. ]*?):\s+(?P<value>\S.*)$")
COUNTED = re.compile(r"(\d+) (imported|filtered|exported|preferred)")
TABLE = re.compile(r"^Table (?P<name>\S+):$")
ROUTE = re.compile(r"^(?P<prefix>\d[\d.]*/\d+)?\s+(?P<type>\w+) \[(?P<session>\S+) (?P<since>\S+)[^]]*\](?P<best> \*)? \((?P<preference>\d+)[^)]*\)")
HOP = re.compile(r"^\s+via (?P<address>\S+) on (?P<device>\S+)")
OWN_TABLES = ("of-", "master")
ESTABLISHED = "Established"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session. `state` is BGP's (``Established``, ``Active``, …); `since` the local time of the last change; `cause` why it went down last, in BIRD's words. `bfd` None: it has none."""

    name: str
    neighbour: str
    neighbour_asn: int
    local_asn: int
    state: str
    since: str
    cause: str = ""
    received: int = 0
    advertised: int = 0
    bfd: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BgpRoute:
    """A route in one of the speaker's tables. `session` is who told it, or what originates it. `why` says what put it before the next one, or behind the best."""

    table: str
    prefix: str
    session: str
    best: bool
    preference: int
    next_hops: tuple[str, ...] = ()
    as_path: tuple[str, ...] = ()
    med: int | None = None
    local_preference: int | None = None
    communities: tuple[str, ...] = ()
    metric: int | None = None
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """Everything of one node."""

    node: str
    sessions: tuple[Session, ...] = ()
    routes: tuple[BgpRoute, ...] = ()


@dataclass(slots=True)
class _Read:
    """A route being read."""

    route: BgpRoute
    fields: dict[str, str] = field(default_factory=dict)
    hops: list[str] = field(default_factory=list)


def speaker(lab: LabView, node: str, birdc: str, socket: str) -> Speaker:
    """What the BIRD that listens on `socket` in `node` knows. Raises OSError if it does not answer."""

    def ask(*words: str) -> str:
        asked = lab.popen(node, [birdc, "-s", socket, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        answer, _ = asked.communicate()
        if asked.returncode != 0:
            raise OSError(f"BIRD in {node} does not answer: {answer.decode(errors='replace').strip()}")
        return answer.decode(errors="replace")

    protocols = ask("show", "protocols", "all")
    bfd = ask("show", "bfd", "sessions") if HAS_BFD.search(protocols) else ""
    return Speaker(node=node, sessions=sessions(protocols, bfd), routes=routes(ask("show", "route", "table", "all", "all")))


def sessions(protocols: str, bfd: str = "") -> tuple[Session, ...]:
    """The BGP sessions in BIRD's words, by name."""
    up = dict(_bfd_states(bfd))
    found = []
    for head, fields in _protocols(protocols.splitlines()):
        neighbour = fields.get("Neighbor address", "").split("%")[0]
        counted = {what: int(number) for number, what in COUNTED.findall(fields.get("Routes", ""))}
        found.append(
            Session(
                name=head["name"], neighbour=neighbour, neighbour_asn=int(fields.get("Neighbor AS", "0")), local_asn=int(fields.get("Local AS", "0")),
                state=fields.get("BGP state", head["state"]), since=head["since"], cause=fields.get("Last error", ""),
                received=counted.get("imported", 0) + counted.get("filtered", 0), advertised=counted.get("exported", 0), bfd=up.get(neighbour),
            )
        )
    return tuple(sorted(found, key=lambda session: session.name))


def routes(text: str) -> tuple[BgpRoute, ...]:
    """The routes in BIRD's words, by table and prefix, the best of each first."""
    groups: dict[tuple[str, str], list[BgpRoute]] = {}
    for route in _routes(text.splitlines()):
        groups.setdefault((route.table, route.prefix), []).append(route)
    return tuple(route for key in sorted(groups) for route in _explained(groups[key]))


def decisive(winner: BgpRoute, loser: BgpRoute) -> str:
    """What put one route before another, in a few words."""
    for what, of_winner, of_loser in _compared(winner, loser):
        if of_winner != of_loser:
            return f"{what} {of_winner} before {of_loser}"
    return "equal so far: both are used where the table has ECMP, else eBGP before iBGP, then the lower router id"


def _compared(winner: BgpRoute, loser: BgpRoute) -> Iterator[tuple[str, object, object]]:
    pairs: tuple[tuple[str, Callable[[BgpRoute], object]], ...] = (
        ("kind: metric", lambda route: -route.preference if route.metric is None else route.metric),
        ("local preference", lambda route: route.local_preference),
        ("AS path length", lambda route: len(route.as_path)),
        ("MED", lambda route: route.med or 0),
    )
    if winner.preference != loser.preference and None in (winner.metric, loser.metric):
        yield "kind:", winner.session, loser.session
    for what, value in pairs:
        yield what, value(winner), value(loser)


def _explained(same: list[BgpRoute]) -> Iterator[BgpRoute]:
    ranked = sorted(same, key=lambda route: (not route.best, -route.preference, -(route.local_preference or 0), len(route.as_path), route.med or 0, route.session))
    for place, route in enumerate(ranked):
        other = ranked[1] if place == 0 and len(ranked) > 1 else None if place == 0 else ranked[0]
        if other is None:
            yield replace(route, why="the only one")
        else:
            yield replace(route, why=decisive(route, other) if place == 0 else f"behind: {decisive(other, route)}")


def _protocols(lines: Iterable[str]) -> Iterator[tuple[dict[str, str], dict[str, str]]]:
    head: dict[str, str] | None = None
    fields: dict[str, str] = {}
    for line in lines:
        if line and not line[0].isspace():
            if head is not None:
                yield head, fields
            found = PROTOCOL.match(line)
            head, fields = (found.groupdict(), {}) if found is not None else (None, {})
        elif (named := FIELD.match(line)) is not None:
            fields.setdefault(named["name"], named["value"].strip())
    if head is not None:
        yield head, fields


def _bfd_states(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 3 and words[0][:1].isdigit() and words[0].count(".") == 3:
            yield words[0], words[2]


def _routes(lines: Iterable[str]) -> Iterator[BgpRoute]:
    table, prefix = "", ""
    reading: _Read | None = None
    for line in lines:
        named, found = TABLE.match(line), ROUTE.match(line)
        if reading is not None and (named or found) is not None:
            yield _finished(reading)
            reading = None
        if named is not None:
            table = named["name"]
        elif found is not None:
            prefix = found["prefix"] or prefix
            if not table.startswith(OWN_TABLES):
                reading = _Read(BgpRoute(table=table, prefix=prefix, session=found["session"], best=found["best"] is not None, preference=int(found["preference"])))
        elif reading is not None and (hop := HOP.match(line)) is not None:
            reading.hops.append(f"{hop['address']} {hop['device']}")
        elif reading is not None and (attribute := FIELD.match(line)) is not None:
            reading.fields[attribute["name"]] = attribute["value"].strip()
    if reading is not None:
        yield _finished(reading)


def _finished(read: _Read) -> BgpRoute:
    def number(name: str) -> int | None:
        return int(read.fields[name]) if name in read.fields else None

    return replace(
        read.route, next_hops=tuple(read.hops), as_path=tuple(read.fields.get("BGP.as_path", "").split()), med=number("BGP.med"), local_preference=number("BGP.local_pref"),
        communities=tuple(f"{high}:{low}" for high, low in re.findall(r"\((\d+),(\d+)\)", read.fields.get("BGP.community", ""))), metric=number("Kernel.metric"),
    )  # fmt: skip
